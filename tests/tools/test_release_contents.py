"""What is missing, too much, secret or too large in a built file, or does not agree with the changelog, is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.made import ABOUT, BOTH, SDIST, WHEEL, project, sdist_problems, wheel_problems
from tools import release
from tools.release import DOCUMENTED_KEY, LIMITS, project_problems, supported_airflows
from tools.smoke import PACKAGE

PLUGIN = f"{PACKAGE}/plugin/__init__.py"
Problems = Callable[..., list[str]]


@BOTH
def test_nothing_is_found_in_what_is_complete(tmp_path: Path, name: str, problems: Problems) -> None:
    assert problems(tmp_path) == []


@pytest.mark.parametrize("licence", ["LICENSE", "NOTICE"])
def test_a_licence_that_is_missing_is_named(tmp_path: Path, licence: str) -> None:
    (problem,) = wheel_problems(tmp_path, {f"{ABOUT}/licenses/{licence}": None})
    assert problem.startswith(f"{WHEEL} lacks {licence}: ")
    project(tmp_path / "source", {licence: None})
    assert f"{SDIST} lacks {licence}: keep" in sdist_problems(tmp_path, {licence: None})[-1]


def test_an_sdist_needs_all_that_its_tests_need(tmp_path: Path) -> None:
    (problem,) = sdist_problems(tmp_path, {"Makefile": None, "tests/test_it.py": None})
    assert problem.startswith(f"{SDIST} lacks Makefile, tests/test_it.py: ")


def test_what_is_in_an_sdist_and_not_committed_is_named(tmp_path: Path) -> None:
    (problem,) = sdist_problems(tmp_path, {"else.txt": ""})
    assert problem.startswith(f"{SDIST} has else.txt: ")


def test_many_files_are_counted_not_listed(tmp_path: Path) -> None:
    (problem,) = sdist_problems(tmp_path, {f"{number}.txt": "" for number in range(9)})
    assert "4.txt and 4 more: " in problem


# Put together here, so that this file does not have what it is looked for.
SECRETS = {
    "a key of Segmind": "SG_" + "0f" * 8,
    "a private key": "-----BEGIN EC " + "PRIVATE KEY-----",
    "a key of AWS": "AKIA" + "ABCDEFGH01234567",
    "a token of GitHub": "ghp_" + "a1" * 18,
    "a token of PyPI": "pypi-" + "AgEIcHlwaS5vcmc" * 4,
}


@BOTH
@pytest.mark.parametrize(("sort", "secret"), SECRETS.items())
def test_what_looks_like_a_secret_is_found_and_not_repeated(
    tmp_path: Path, name: str, problems: Problems, sort: str, secret: str
) -> None:
    project(tmp_path / "source", {PLUGIN: ""})
    (problem,) = problems(tmp_path, {PLUGIN: f'KEY = "{secret}"\n'})
    assert problem.startswith(f"{name}: {PLUGIN} has what looks like {sort}: ")
    assert secret not in problem


def test_the_emulators_key_is_no_secret(tmp_path: Path) -> None:
    assert wheel_problems(tmp_path, {PLUGIN: f'KEY = "{DOCUMENTED_KEY.decode()}"\n'}) == []


@BOTH
def test_a_file_that_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, problems: Problems
) -> None:
    monkeypatch.setattr(release, "LIMITS", dict.fromkeys(LIMITS, 100))
    (problem,) = problems(tmp_path)
    assert problem.startswith(f"{name} has ")
    assert " bytes, and 100 are allowed" in problem


@pytest.mark.parametrize("heading", ["1.2.0 (unreleased)", "1.2.0"])
def test_a_section_without_a_date_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], heading: str
) -> None:
    assert list(project_problems(project(tmp_path))) == []
    assert capsys.readouterr().out == ""
    assert list(project_problems(project(tmp_path, {"CHANGELOG.md": f"# Changelog\n\n## {heading}\n"}))) == []
    assert f"Warning: CHANGELOG.md says `{heading}`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "newest"),
    [("## 1.3.0 (2026-02-01)\n\n## 1.2.0 (2026-01-31)\n", "1.3.0"), ("# Changelog\n", "none")],
)
def test_a_version_that_the_changelog_does_not_begin_with_is_named(tmp_path: Path, text: str, newest: str) -> None:
    (problem,) = project_problems(project(tmp_path, {"CHANGELOG.md": text}))
    assert f"CHANGELOG.md begins with {newest}: " in problem


def test_the_oldest_and_newest_airflow_are_compared_as_numbers(tmp_path: Path) -> None:
    project(tmp_path, {f"constraints/airflow-{version}.txt": "" for version in ("3.1", "3.10", "3.9")})
    assert supported_airflows(tmp_path) == ["3.1", "3.9", "3.10"]
