"""The sets of pins are what they say, the floors in one are those of pyproject.toml, and the wheel adds little."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.environment import ROOT, CheckError
from tools.pins import MOST_ADDED, SETS, describe
from tools.smoke import DISTRIBUTION


def requirements(path: Path) -> dict[str, Requirement]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {found.name: found for found in map(Requirement, lines)}


@pytest.mark.parametrize("path", sorted(SETS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_set_says_where_it_is_from_and_which_airflow_it_has(path: Path) -> None:
    assert path.read_text().startswith("# ")
    (airflow,) = requirements(path)["apache-airflow"].specifier
    assert airflow.operator == "=="
    if path.stem.startswith(("mwaa", "composer", "release")):
        assert path.stem.endswith(f"-{airflow.version}")
    elif path.stem.startswith("astro"):
        assert airflow.version.startswith(path.stem.split("-")[1])


def test_the_floors_are_tried_as_they_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["provenance"]])
    tried = requirements(SETS / "floors.txt")
    for requirement in declared:
        (floor,) = requirement.specifier
        if requirement.name != "c2pa-python":  # signing is tried with its newest only
            (pin,) = tried[requirement.name].specifier
            assert floor.operator == ">="
            assert requirement.specifier.contains(pin.version)
            assert pin.version.startswith(floor.version)


AIRFLOW = {
    "apache-airflow": "3.1.0",
    "apache-airflow-providers-common-compat": "1.7",
    "apache-airflow-providers-http": "5.3",
}


def test_a_wheel_that_changes_what_was_there_or_adds_much_is_refused() -> None:
    more = {f"p{number}": "1" for number in range(MOST_ADDED)}
    assert describe(AIRFLOW, {**AIRFLOW, **more, DISTRIBUTION: "0.1"}).startswith(
        "apache-airflow 3.1.0, common-compat 1.7, http 5.3; adds 12: "
    )
    with pytest.raises(CheckError, match=r"it changes apache-airflow 3\.1\.0 to 3\.2\.0\. Look at"):
        describe(AIRFLOW, AIRFLOW | {"apache-airflow": "3.2.0"})
    with pytest.raises(CheckError, match=r"; 12 are allowed\. Look at"):
        describe(AIRFLOW, {**AIRFLOW, **more, "one": "1"})
