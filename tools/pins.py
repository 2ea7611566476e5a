"""Whether the built wheel installs and works beside the versions that a managed service has, set by set."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools.release import environments, packages, smoke
from tools.release.commands import clean_environment, run
from tools.release.environments import DISTRIBUTION, Installed
from tools.release.findings import Finding, ReleaseError, Report
from tools.release.packages import Package
from tools.release.sources import ROOT, Sources

SETS = ROOT / "constraints" / "services"
MOST_ADDED = 12
"""How many distributions a plain installation may add to an Airflow that is there."""
_REMEDY = "Look at dependencies in pyproject.toml, and at the set's file in constraints/services/."
_TESTS = ("tests/api", "tests/provider")


def main() -> int:
    """
    Try the sets that are named, or all.

    :returns: the exit code: 1 if anything is wrong with one of them.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.pins", description=__doc__)
    parser.add_argument("--python", action="append", help="an interpreter; more than once for more than one")
    parser.add_argument("--tests", action="store_true", help="run the provider's tests in each, without the slow ones")
    parser.add_argument("sets", nargs="*", help="names of files in constraints/services/, without .txt; default: all")
    given = parser.parse_args()
    pythons = [shutil.which(python) or python for python in given.python or [sys.executable]]
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="pins-"))
    try:
        built = report.make("wheel", lambda: packages.build(ROOT, folder)[0])
        for python in pythons:
            for name in given.sets or sorted(path.stem for path in SETS.glob("*.txt")):
                if built is not None:
                    place = folder / f"{name}-{Path(python).name}"
                    title = f"{name}, {Path(python).name}"
                    _try(report, title, SETS / f"{name}.txt", built, place, python, given.tests)
        report.conclude()
        return int(report.blocked)
    finally:
        if os.environ.get("KEEP") == "1":
            print(f"Left there, as KEEP=1 asks: {folder}")
        else:
            shutil.rmtree(folder)


def _try(report: Report, title: str, pins: Path, wheel: Package, folder: Path, python: str, tests: bool) -> None:
    made = report.make(f"{title}: Airflow", lambda: _airflow(wheel, pins, folder, python))
    if made is None:
        return
    installed: Installed = made
    report.check(f"{title}: pip install", lambda: _install(installed, pins))
    report.check(f"{title}: pip check", lambda: environments.check_requirements(installed))
    report.check(f"{title}: imports", lambda: environments.check_imports(installed))
    report.check(f"{title}: Airflow's commands", lambda: environments.check_commands(installed))
    report.check(f"{title}: a swap", lambda: smoke.check_smoke(installed, Sources(ROOT, frozenset())))
    if tests:
        report.check(f"{title}: tests", lambda: _test(installed, pins))
    if os.environ.get("KEEP") != "1":
        shutil.rmtree(folder)  # ten environments are five gigabytes


def _airflow(wheel: Package, pins: Path, folder: Path, python: str) -> Installed | None:
    made = environments.empty(wheel, folder, python)
    try:
        environments.pip(made, "install", "--quiet", "apache-airflow", "--constraint", pins, remedy=_REMEDY)
    except ReleaseError as problem:
        if pins.stem.startswith("next-") and "No matching distribution" in str(problem):
            print(f"{'':10}No index has it yet.")
            return None
        raise
    return made


def _install(installed: Installed, pins: Path) -> list[Finding]:
    before = environments.versions(installed)
    environments.pip(installed, "install", "--quiet", installed.package.path, "--constraint", pins, remedy=_REMEDY)
    after = environments.versions(installed)
    added = sorted(after.keys() - before.keys() - {DISTRIBUTION})
    airflow = ", ".join(f"{name.removeprefix('apache-airflow-providers-')} {after[name]}" for name in _SHOWN)
    print(f"{'':10}{airflow}; adds {len(added)}: {' '.join(added)}")
    changed = [f"{name} {version} to {after[name]}" for name, version in before.items() if after[name] != version]
    found = [Finding(f"it changes what was there: {', '.join(changed)}", _REMEDY)] if changed else []
    if len(added) > MOST_ADDED:
        found.append(Finding(f"it adds {len(added)} distributions; {MOST_ADDED} are allowed", _REMEDY))
    return found


def _test(installed: Installed, pins: Path) -> list[Finding]:
    groups = (f"--group={ROOT / 'pyproject.toml'}:{name}" for name in ("dev", "s3"))
    wheel = f"{installed.package.path}[provenance,qa]"
    environments.pip(installed, "install", "--quiet", wheel, *groups, "--constraint", pins, remedy=_REMEDY)
    command = (installed.python, "-m", "pytest", "-q", "--numprocesses", "auto", "-m", "not slow", *_TESTS)
    printed = run(*command, cwd=ROOT, env=clean_environment(), timeout=3600, remedy="KEEP=1 leaves the environment.")
    print(f"{'':10}{printed.splitlines()[-1]}")
    return []


_SHOWN = ("apache-airflow", "apache-airflow-providers-common-compat", "apache-airflow-providers-http")

if __name__ == "__main__":
    raise SystemExit(main())
