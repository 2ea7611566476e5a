"""Everything that a provider names is tried, whatever key it is under, and what fails is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import airflow
import pytest

import airflow_provider_segmind
from airflow_provider_segmind.get_provider_info import get_provider_info
from tools.release import imports


def no_option(section: str, name: str) -> str | None:
    return None


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


def test_the_walk_passes_no_dotted_name_of_this_provider_by() -> None:
    info = get_provider_info()
    walked = {value for _, what, value in imports.names(info) if what != imports.OPTIONS}
    assert walked == {text for text in strings(info) if text.startswith("airflow_provider_segmind.")}
    assert "config" in {place for place, _, _ in imports.names(info)}


def test_every_key_of_airflows_own_schema_is_known() -> None:
    paths = [Path(root) / "provider_info.schema.json" for root in airflow.__path__]
    schema = json.loads(next(path for path in paths if path.exists()).read_text())
    assert set(schema["properties"]) - set(imports.KEYS) == set()
    for key, about in schema["properties"].items():
        inner = imports.KEYS[key]
        if isinstance(inner, Mapping):
            assert set(about["items"].get("properties", {})) - set(inner) == set()


@pytest.mark.parametrize("info", [{"surprises": ["json"]}, {"hooks": [{"surprises": ["json"]}]}])
def test_an_unknown_key_is_a_problem_and_not_passed_by(info: dict[str, Any]) -> None:
    (problem,) = imports.try_all(info, no_option)
    assert "surprises is a key that KEYS in tools/release/imports.py does not know" in problem


def test_what_cannot_be_imported_is_named_and_the_rest_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_the_program.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    info = {
        "name": "not.a.module",
        "operators": [{"integration-name": "X", "python-modules": ["json", "no_such_module", "ends_the_program"]}],
        "connection-types": [{"connection-type": "x", "hook-class-name": "json.NoSuchHook", "conn-fields": {}}],
        "notifications": ["json.JSONDecoder", "no_such_module.Notifier"],
        "task-decorators": [{"name": "x", "class-name": "json.no_such_function"}],
    }
    assert [problem.partition(":")[0] for problem in imports.try_all(info, no_option)] == [
        "operators.python-modules names no_such_module",
        "operators.python-modules names ends_the_program",
        "connection-types.hook-class-name names json.NoSuchHook",
        "notifications names no_such_module.Notifier",
        "task-decorators.class-name names json.no_such_function",
    ]


def test_an_option_whose_default_airflow_does_not_know_is_named() -> None:
    options = {name: {"default": "8"} for name in ("known", "unknown")}
    info = {"config": {"segmind": {"description": None, "options": options}}}
    problems = imports.try_all(info, lambda section, name: "8" if (section, name) == ("segmind", "known") else None)
    assert problems == ["config names [segmind] unknown with default '8'; Airflow says None"]


def test_as_a_program_it_finds_out_that_a_package_is_not_of_its_environment(tmp_path: Path) -> None:
    """The package of these tests is that of the checkout."""
    command = (sys.executable, imports.__file__, "airflow-provider-segmind", "airflow_provider_segmind")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    outcome = json.loads(done.stdout)
    assert outcome["problems"] == []
    assert outcome["file"] == airflow_provider_segmind.__file__
    assert f"airflow_provider_segmind: {airflow_provider_segmind.__file__}" in outcome["outside"]
