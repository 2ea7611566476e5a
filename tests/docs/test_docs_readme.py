"""What the README and docs/ say is true: their code runs, their commands parse, and nothing public goes unmentioned."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import DAG

from airflow_provider_segmind.api.errors import BY_NAME
from airflow_provider_segmind.api.models import KNOWN_EXTRAS, Settings
from airflow_provider_segmind.emulator import Emulator, __main__
from airflow_provider_segmind.emulator.faults import KINDS, Fault
from airflow_provider_segmind.get_provider_info import get_provider_info
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tools.release.sources import listed

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
EMULATOR = "python -m airflow_provider_segmind.emulator"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of code, with the line at which it starts."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def dag_id(self) -> str | None:
        """The id of the DAG that it makes, if it makes one."""
        found = re.search(r"dag_id=\"(\w+)\"", self.code)
        return found[1] if found else None

    @property
    def is_test(self) -> bool:
        """Whether it is a module for pytest."""
        return "\ndef test_" in self.code


def blocks(language: str) -> list[Block]:
    return [
        Block(page, text.count("\n", 0, match.start()) + 2, match[1], match[2])
        for page, text in ((page, page.read_text()) for page in PAGES)
        for match in _BLOCK.finditer(text)
        if match[1] == language
    ]


PYTHON = blocks("python")
DAGS = [block for block in PYTHON if block.dag_id]
TESTS = [block for block in PYTHON if block.is_test]
PROGRAMS = [block for block in PYTHON if not block.dag_id and not block.is_test]
SAID = "\n".join(page.read_text() for page in PAGES)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An Airflow home of its own, with the DAGs of the pages in its DAGs folder."""
    home = tmp_path_factory.mktemp("docs-airflow")
    (home / "dags").mkdir()
    for block in DAGS:
        (home / "dags" / f"{block.dag_id}.py").write_text(block.code)
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    return env


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


def test_the_first_dag_runs_as_the_readme_says(environment: dict[str, str]) -> None:
    """The command is the README's own, with the port of an emulator that is running."""
    commands = [line for block in blocks("bash") for line in block.code.splitlines() if "dags test" in line]
    assert len(commands) == 1
    with Emulator(job_polls=1) as emulator:
        words = shlex.split(commands[0].replace("http://127.0.0.1:8765", emulator.url))
        connection = json.dumps(emulator.airflow_connection())
        done = subprocess.run(
            [sys.executable, "-m", *words],
            env={**environment, "AIRFLOW_CONN_SEGMIND_DEFAULT": connection},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        assert f"The picture is at {emulator.url}/outputs/" in done.stdout + done.stderr
        assert len(emulator.charges) == 1
        assert emulator.charges[0].defaulted == ()


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_of_the_docs_runs(block: Block) -> None:
    exec(compile(block.code, str(block), "exec"), {"__name__": "docs_program"})  # noqa: S102


def test_the_tests_of_the_docs_pass(tmp_path: Path) -> None:
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_docs_block_{number}.py").write_text(block.code)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _emulator_commands() -> Iterator[tuple[str, list[str]]]:
    for block in blocks("bash"):
        for line in block.code.replace("\\\n", " ").splitlines():
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


def _task_classes() -> Iterator[type[Any]]:
    info = get_provider_info()
    for group in ("operators", "sensors", "transfers"):
        for entry in info.get(group, []):
            for name in [*entry.get("python-modules", []), *filter(None, [entry.get("python-module")])]:
                for value in vars(importlib.import_module(name)).values():
                    if inspect.isclass(value) and issubclass(value, BaseOperator) and value.__module__ == name:
                        yield value


def _parameters(cls: type[Any]) -> Iterator[str]:
    for base in cls.__mro__:
        if base in (BaseOperator, BaseSensorOperator):
            return
        for name, parameter in inspect.signature(base.__init__).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                yield name


@pytest.mark.parametrize("cls", list(_task_classes()), ids=lambda cls: cls.__name__)
def test_every_operator_and_sensor_is_described_with_its_parameters(cls: type[Any]) -> None:
    assert f"`{cls.__name__}`" in README.read_text()
    assert f"`{cls.__module__.removeprefix('airflow_provider_segmind.')}`" in README.read_text()
    missing = [name for name in _parameters(cls) if f"`{name}" not in SAID]
    assert missing == []


def test_every_method_of_the_hook_is_described() -> None:
    own = [
        name
        for name, value in vars(SegmindHook).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and (name not in vars(HttpHook) or name == "test_connection")
    ]
    assert {"submit", "get_job", "wait", "get_credits", "upload"} <= set(own)
    assert [name for name in own if f"`{name}(" not in README.read_text()] == []


@pytest.mark.parametrize("extra", sorted(KNOWN_EXTRAS))
def test_every_extra_of_the_connection_is_in_the_table(extra: str) -> None:
    assert f"\n| `{extra}` |" in README.read_text()


@pytest.mark.parametrize("error", sorted(set(BY_NAME) - {"SegmindError"}))
def test_every_error_is_in_the_table(error: str) -> None:
    assert f"\n| `{error}` |" in README.read_text()


def test_every_fault_and_option_of_the_emulator_is_described() -> None:
    page = (ROOT / "docs" / "emulator.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
    options = {option for action in __main__._parser()._actions for option in action.option_strings} - {"-h", "--help"}
    assert [option for option in sorted(options) if f"`{option}" not in page] == []


def _billed_faults() -> Iterator[Any]:
    page = (ROOT / "docs" / "emulator.md").read_text()
    for kinds, billed in re.findall(r"^\| (`.*`) \| .* \| (no|\*\*yes\*\*|with status 200) \|$", page, re.MULTILINE):
        for kind in re.findall(r"`([\w-]+)`", kinds):
            yield pytest.param(kind, None, int(billed != "no"), id=kind)
            if billed == "with status 200":
                yield pytest.param(kind, 502, 0, id=f"{kind}-502")


@pytest.mark.parametrize(("kind", "status", "bills"), list(_billed_faults()))
def test_a_fault_of_a_submit_bills_as_the_table_says(kind: str, status: int | None, bills: int) -> None:
    with Emulator() as emulator:
        emulator.script(Fault(kind, status=status, seconds=0.01, body="1" if kind == "huge" else None))
        headers = {"x-api-key": emulator.api_key}
        with contextlib.suppress(requests.RequestException):
            url = f"{emulator.url}/workflows/0123456789abcdef01234567-v1"
            requests.post(url, json={}, headers=headers, timeout=10, allow_redirects=False)
        assert len(emulator.charges) == bills


def test_the_readme_names_every_make_target_and_no_other() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", README.read_text(), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)) - {"help"}
    advertised = set(re.findall(r"@echo 'make ([a-z][a-z-]*)", makefile))
    assert named - there == set()
    assert advertised - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    broken = []
    for target in _LINK.findall(page.read_text()):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
