"""Metadata that does not agree with the project is named."""

from __future__ import annotations

import pytest

from tests.tools.made import ABOUT, ENTRY_POINTS, Made
from tools.release import metadata


def test_nothing_is_found_in_what_agrees(made: Made) -> None:
    for package in (made.wheel(), made.sdist()):
        assert metadata.check_version(package, made.sources) == []
        assert metadata.check_python(package, made.sources) == []
        assert metadata.check_airflow(package, made.sources) == []
    assert metadata.check_entry_points(made.wheel(), made.sources) == []
    assert metadata.check_date(made.sources) == []


@pytest.mark.parametrize("heading", ["1.2.0 (unreleased)", "1.2.0"])
def test_a_section_without_a_date_is_a_warning(made: Made, heading: str) -> None:
    made.committed["CHANGELOG.md"] = f"# Changelog\n\n## {heading}\n"
    (finding,) = metadata.check_date(made.sources)
    assert not finding.blocks
    assert finding.what == f"CHANGELOG.md says `{heading}`"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("## 1.3.0 (2026-02-01)\n\n## 1.2.0 (2026-01-31)\n", "the newest section of CHANGELOG.md is 1.3.0"),
        ("# Changelog\n", "CHANGELOG.md has no section"),
    ],
)
def test_a_version_that_the_changelog_does_not_begin_with_is_named(made: Made, text: str, what: str) -> None:
    made.committed["CHANGELOG.md"] = text
    (finding,) = metadata.check_version(made.sdist(), made.sources)
    assert finding.blocks
    assert what in finding.what


def test_another_required_python_is_named(made: Made) -> None:
    made.metadata = made.metadata.replace("Requires-Python: >=3.11", "Requires-Python: >=3.9")
    (finding,) = metadata.check_python(made.wheel(), made.sources)
    assert "Requires-Python >=3.9; requires-python in pyproject.toml is >=3.11" in finding.what


@pytest.mark.parametrize(("there", "what"), [("3.10", "Python 3.10; "), (None, "Python 3; ")])
def test_classifiers_that_say_another_python_are_named(made: Made, there: str | None, what: str) -> None:
    lines = [line for line in made.metadata.splitlines() if not line.startswith("Classifier")]
    if there:
        lines.append(f"Classifier: Programming Language :: Python :: {there}")
    made.metadata = "\n".join(lines)
    (finding,) = metadata.check_python(made.wheel(), made.sources)
    assert what in finding.what


@pytest.mark.parametrize("group", metadata.ENTRY_POINTS)
def test_an_entry_point_that_is_missing_or_differs_is_named(made: Made, group: str) -> None:
    for text in (ENTRY_POINTS.replace(f"[{group}]", "[other]"), ENTRY_POINTS.replace(f"[{group}]\n", f"[{group}]\nx")):
        (finding,) = metadata.check_entry_points(made.wheel({f"{ABOUT}/entry_points.txt": text}), made.sources)
        assert f"entry points of {group}: " in finding.what
    assert len(metadata.check_entry_points(made.wheel({f"{ABOUT}/entry_points.txt": None}), made.sources)) == 2


def test_the_oldest_and_newest_airflow_are_compared_as_numbers(made: Made) -> None:
    assert metadata.supported_airflows(made.sources) == ("3.1", "3.10")


@pytest.mark.parametrize("required", ["apache-airflow>=3.0", "other"])
def test_an_airflow_that_is_required_and_not_tested_is_named(made: Made, required: str) -> None:
    made.metadata = made.metadata.replace("apache-airflow>=3.1", required)
    (finding,) = metadata.check_airflow(made.wheel(), made.sources)
    assert "the oldest file in constraints/ is for 3.1" in finding.what
