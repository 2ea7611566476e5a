"""Whether the metadata of the built files agrees with the project."""

from __future__ import annotations

import configparser
import re
import tomllib
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tools.release.findings import Finding
from tools.release.packages import Package
from tools.release.sources import Sources

ENTRY_POINTS = ("apache_airflow_provider", "airflow.plugins")
"""The groups by which Airflow finds the provider and its plugin."""
VERSION_FILE = "airflow_provider_segmind/__init__.py"
_SECTION = re.compile(r"^## (?P<version>\S+)(?: \((?P<date>[^)]*)\))?$", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CONSTRAINTS = re.compile(r"constraints/airflow-(\d+)\.(\d+)\.txt")


def check_version(package: Package, sources: Sources) -> list[Finding]:
    """
    Compare the version with the newest section of the changelog.

    :param package: the wheel or the sdist.
    :param sources: what it was built from.
    :returns: that they differ.
    """
    version, section = package.metadata["Version"], _newest_section(sources)
    if section is None:
        return [Finding("CHANGELOG.md has no section", f"Begin one: `## {version} (unreleased)`.")]
    if section["version"] == version:
        return []
    what = f"{package.path.name} has version {version}; the newest section of CHANGELOG.md is {section['version']}"
    return [Finding(what, f"Write the same version into CHANGELOG.md and {VERSION_FILE}.")]


def check_date(sources: Sources) -> list[Finding]:
    """
    Look whether the newest section of the changelog has the day of its release.

    :param sources: the project.
    :returns: a warning if it has none, since everything else can be checked before that day.
    """
    section = _newest_section(sources)
    if section is None or _DATE.fullmatch(section["date"] or ""):
        return []
    what = f"CHANGELOG.md says `{section[0].removeprefix('## ')}`"
    return [Finding(what, "A release needs its day there: `(2026-01-31)`.", blocks=False)]


def _newest_section(sources: Sources) -> re.Match[str] | None:
    return _SECTION.search(sources.read("CHANGELOG.md"))


def check_python(package: Package, sources: Sources) -> list[Finding]:
    """
    Compare the required Python with pyproject.toml, and with the classifiers.

    :param package: the wheel or the sdist.
    :param sources: what it was built from.
    :returns: where they differ.
    """
    wanted, said = _project(sources)["requires-python"], package.metadata["Requires-Python"]
    if said != wanted:
        what = f"{package.path.name} has Requires-Python {said}; requires-python in pyproject.toml is {wanted}"
        return [Finding(what, "Build it anew; a hook of the build changes it.")]
    classifiers = package.metadata.get_all("Classifier") or []
    versions = [found[1] for name in classifiers if (found := re.fullmatch(r".* :: Python :: (3\.\d+)", name))]
    refused = [version for version in versions if version not in SpecifierSet(wanted)]
    if refused or not versions:
        what = f"classifiers name Python {', '.join(refused) or '3'}; requires-python is {wanted}"
        return [Finding(what, "Bring classifiers and requires-python in pyproject.toml together.")]
    return []


def check_entry_points(package: Package, sources: Sources) -> list[Finding]:
    """
    Look for the names by which Airflow finds the provider and the plugin.

    :param package: the wheel; an sdist has none.
    :param sources: what it was built from.
    :returns: what is missing or differs from pyproject.toml.
    """
    parsed = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(package.files.get(f"{package.about}entry_points.txt", b"").decode())
    there = {group: dict(parsed[group]) for group in parsed.sections()}
    declared = _project(sources).get("entry-points", {})
    return [
        Finding(
            f"{package.path.name} has as entry points of {group}: {there.get(group)}; declared: {declared.get(group)}",
            f'Look at [project.entry-points."{group}"] in pyproject.toml.',
        )
        for group in ENTRY_POINTS
        if not there.get(group) or there.get(group) != declared.get(group)
    ]


def supported_airflows(sources: Sources) -> tuple[str, str]:
    """
    Return the oldest and the newest Airflow that there are constraints for.

    :param sources: the project.
    :returns: such as ``3.1`` and ``3.3``.
    """
    found = sorted((int(match[1]), int(match[2])) for name in sources.files if (match := _CONSTRAINTS.fullmatch(name)))
    return f"{found[0][0]}.{found[0][1]}", f"{found[-1][0]}.{found[-1][1]}"


def check_airflow(package: Package, sources: Sources) -> list[Finding]:
    """
    Compare the required Airflow with the oldest that is tested.

    :param package: the wheel or the sdist.
    :param sources: what it was built from; it has the constraints.
    :returns: that they differ.
    """
    oldest, _ = supported_airflows(sources)
    required = [Requirement(text) for text in package.metadata.get_all("Requires-Dist") or []]
    airflow = next((str(one.specifier) for one in required if one.name == "apache-airflow"), "none")
    if airflow == f">={oldest}":
        return []
    what = f"{package.path.name} requires apache-airflow{airflow}; the oldest file in constraints/ is for {oldest}"
    return [Finding(what, "Add constraints for the oldest that is required, or require the oldest that is tested.")]


def _project(sources: Sources) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(sources.read("pyproject.toml"))["project"]
    return project
