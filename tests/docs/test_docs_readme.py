"""What the README and docs/ say is true: their code runs, and their commands for the emulator parse."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk import DAG

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.emulator import Emulator, __main__
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.docs.home import Home
from tests.docs.pages import README, ROOT, SAID, Block, blocks, shell_lines
from tests.hurry import SETTINGS
from tests.listed import listed

EMULATOR = "python -m airflow_provider_segmind.emulator"

PYTHON = blocks("python")
DAGS = [block for block in PYTHON if block.dag_id]
TESTS = [block for block in PYTHON if block.is_test]
PROGRAMS = [block for block in PYTHON if not block.dag_id and not block.is_test]


def test_there_is_something_to_hold_true() -> None:
    assert len(DAGS) >= 3
    assert DAGS[0].dag_id == "first_body_swap"
    assert TESTS
    assert PROGRAMS


@pytest.mark.parametrize("block", DAGS, ids=str)
def test_a_dag_of_the_docs_can_be_imported(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[DAG] = []
    enter = DAG.__enter__
    monkeypatch.setattr(DAG, "__enter__", lambda dag: made.append(dag) or enter(dag))
    exec(compile(block.code, str(block), "exec"), {"__name__": f"docs_{block.dag_id}"})  # noqa: S102
    assert [dag.dag_id for dag in made] == [block.dag_id]
    assert made[0].tasks


def test_airflow_still_refuses_what_the_readme_says_it_refuses() -> None:
    """When it no longer does, mapped sensors can be written like the others, and the README should say so."""
    assert "cannot map over XCom with custom key" in README.read_text()
    with DAG(dag_id="refused", schedule=None):
        submit = SubmitBodySwapOperator(task_id="submit", character_image="a", reference_character_image="b")
        with pytest.raises(ValueError, match="cannot map over XCom with custom key"):
            BodySwapSensor.partial(task_id="wait").expand(poll_url=submit.output["poll_url"])


@pytest.mark.slow
def test_the_first_dag_runs_as_the_readme_says(tmp_path: Path) -> None:
    """The command is the README's own, with the port of an emulator that is running."""
    commands = [line for _, line in shell_lines() if "dags test" in line]
    assert len(commands) == 1
    with Emulator(job_polls=1) as emulator:
        home = Home(tmp_path / "home", emulator)
        for block in DAGS:
            home.add(block)
        program, *words = shlex.split(commands[0].replace("http://127.0.0.1:8765", emulator.url))
        assert program == "airflow"
        assert f"The picture is at {emulator.url}/outputs/" in home.airflow(*words)
        assert len(emulator.charges) == 1
        assert emulator.charges[0].defaulted == ()


@pytest.mark.slow
@pytest.mark.parametrize(("dag_id", "swaps"), [("many_body_swaps", 2), ("thousands_of_body_swaps", 6)])
def test_many_swaps_run_with_the_emulators_samples(tmp_path: Path, dag_id: str, swaps: int) -> None:
    with Emulator(job_polls=1) as emulator:
        home = Home(tmp_path / "home", emulator)
        (block,) = (block for block in DAGS if block.dag_id == dag_id)
        code = block.code.replace("http://127.0.0.1:8765", emulator.url)
        home.add(block._replace(code=code.replace("swaps/results.jsonl", str(tmp_path / "results.jsonl"))))
        home.airflow("dags", "test", dag_id)
        assert len(emulator.charges) == swaps


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_of_the_docs_runs(block: Block) -> None:
    exec(compile(block.code, str(block), "exec"), {"__name__": "docs_program"})  # noqa: S102


@pytest.mark.parametrize(
    "block",
    [pytest.param(test, id=str(test), marks=[pytest.mark.slow] * ("dag.test(" in test.code)) for test in TESTS],
)
def test_the_tests_of_the_docs_pass(block: Block, tmp_path: Path) -> None:
    """Each in a folder of its own, with the DAGs and the settings of pytest that its page shows."""
    (tmp_path / "test_of_the_docs.py").write_text(block.code)
    (tmp_path / "dags").mkdir()
    for dag in DAGS:
        if dag.page == block.page:
            (tmp_path / "dags" / f"{dag.dag_id}.py").write_text(dag.code)
    settings = [shown.code for shown in blocks("toml") if shown.page == block.page]
    (tmp_path / "pyproject.toml").write_text("\n".join(settings) or "[tool.pytest.ini_options]\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    # A reader waits a minute and a half for a history of the real service; the emulator's shows all at once.
    hurried = {"PYTHONPATH": str(SETTINGS.parent)} if "dag.test(" in block.code else {}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={**env, "AIRFLOW_HOME": str(tmp_path / "home"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **hurried},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"\b{block.code.count('def test_')} passed", done.stdout)


def _emulator_commands() -> Iterator[tuple[str, list[str]]]:
    for _, line in shell_lines():
        if line.startswith(EMULATOR):
            yield line, shlex.split(line.removeprefix(EMULATOR), comments=True)


@pytest.mark.parametrize(("command", "arguments"), [pytest.param(*one, id=one[0]) for one in _emulator_commands()])
def test_a_command_for_the_emulator_parses(command: str, arguments: list[str]) -> None:
    if arguments == ["--help"]:
        return
    __main__._parser().parse_args(arguments)


def test_every_connection_in_a_command_can_be_used() -> None:
    texts = re.findall(r"AIRFLOW_CONN_SEGMIND_DEFAULT='([^']+)'", SAID)
    assert len(texts) >= 2
    for text in texts:
        parts = json.loads(text)
        assert parts.pop("conn_type") == "segmind"
        assert set(parts) <= {"host", "password", "port", "schema", "extra"}
        Settings.from_connection(
            host=parts.get("host"), password=parts["password"], port=parts.get("port"), extra=parts.get("extra")
        )


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.code)


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 500_000] == []


# Written so that this file does not match itself.
_FOREIGN = re.compile(
    "|".join(
        [
            r"pythonhosted\.or[g]",
            r"(extra-)?index-ur[l]",
            r"find-link[s]",
            r"/(root|work)/[a-z.]",
            r"/opt/(wheel[s]|pyp[i])",
            r"/(home|Users)/[a-z]",
            r"/tmp/[a-z]",  # noqa: S108
        ]
    )
)


def test_no_tracked_file_names_this_machine_or_a_package_registry() -> None:
    found = []
    for name in listed(ROOT):
        try:
            lines = (ROOT / name).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{name}:{number}: {line.strip()[:80]}" for number, line in enumerate(lines, 1) if _FOREIGN.search(line)
        ]
    assert found == []
