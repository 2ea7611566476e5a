"""The sets of pins are what they say, and the floors in one of them are those of pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.pins import SETS
from tools.release.sources import ROOT


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
