"""Whether the built wheel installs and works beside the versions that a managed service has, set by set."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from tools import environment
from tools.environment import ROOT, CheckError, build, pip, run, working_folder
from tools.smoke import DISTRIBUTION

SETS = ROOT / "constraints" / "services"
MOST_ADDED = 12
"""How many distributions a plain installation may add to an Airflow that is there."""
_SHOWN = ("apache-airflow", "apache-airflow-providers-common-compat", "apache-airflow-providers-http")
_TESTS = ("-m", "not slow", "tests/api", "tests/provider")


def main() -> int:
    """Try the sets that are named, or all, and return the exit code: 1 if anything is wrong with one of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.pins", description=__doc__)
    parser.add_argument("--python", action="append", help="an interpreter; more than once for more than one")
    parser.add_argument("--tests", action="store_true", help="run the provider's tests in each, without the slow ones")
    parser.add_argument("sets", nargs="*", help="names of files in constraints/services/, without .txt; default: all")
    given = parser.parse_args()
    failed = 0
    try:
        with working_folder("pins-") as folder:
            wheel, _ = build(ROOT, folder / "dist")
            for python in [shutil.which(name) or name for name in given.python or [sys.executable]]:
                for name in given.sets or sorted(path.stem for path in SETS.glob("*.txt")):
                    failed += _fails(folder / f"{name}-{Path(python).name}", python, name, wheel, given.tests)
    except CheckError as problem:
        print(f"FAILED  {problem}")
        return 1
    return int(failed > 0)


def _fails(place: Path, python: str, name: str, wheel: Path, tests: bool) -> bool:
    """Try a set, print what came of it, and return whether anything is wrong."""
    try:
        result, problem = "    ok", _try(place, python, name, wheel, tests)
    except CheckError as error:
        result, problem = "FAILED", str(error)
    print(f"{result}  {place.name}: {problem}", flush=True)
    if os.environ.get("KEEP") != "1":
        shutil.rmtree(place)  # ten environments are five gigabytes
    return result == "FAILED"


def _try(place: Path, python: str, name: str, wheel: Path, tests: bool) -> str:
    """Try a set, and say what was found."""
    pins = SETS / f"{name}.txt"
    try:
        found = install(place, python, pins, wheel)
    except CheckError as problem:
        if name.startswith("next-") and "No matching distribution" in str(problem):
            return "no index has it yet"
        raise
    if tests:
        groups = (f"--group={ROOT / 'pyproject.toml'}:{group}" for group in ("dev", "s3"))
        pip(place, "install", "--quiet", f"{wheel}[excel,heic,provenance,qa]", *groups, "--constraint", pins)
        command = (environment.python_of(place), "-m", "pytest", "-q", "--numprocesses", "auto", *_TESTS)
        found += f"; {run(*command, cwd=ROOT, timeout=3600, remedy='KEEP=1 leaves the environment.').splitlines()[-1]}"
    return found


def install(place: Path, python: str, pins: Path, built: Path) -> str:
    """Install the Airflow of a set of pins, then a built file, try that, and say what was added."""
    environment.make(place, python)
    pip(place, "install", "--quiet", "--no-compile", "apache-airflow", "--constraint", pins)
    before = environment.versions(place)
    pip(place, "install", "--quiet", "--no-compile", built, "--constraint", pins)
    found = describe(before, environment.versions(place))
    environment.try_out(place)
    return found


def describe(before: dict[str, str], after: dict[str, str]) -> str:
    """Say what the wheel added to the distributions that were there; raise if that changed one, or is too much."""
    added = sorted(after.keys() - before.keys() - {DISTRIBUTION})
    changed = [
        f"{name} {version} to {after.get(name)}" for name, version in before.items() if after.get(name) != version
    ]
    if changed or len(added) > MOST_ADDED:
        wrong = (
            f"it changes {', '.join(changed)}" if changed else f"it adds {' '.join(added)}; {MOST_ADDED} are allowed"
        )
        raise CheckError(f"{wrong}. Look at dependencies in pyproject.toml, and at the set in constraints/services/.")
    shown = ", ".join(f"{name.removeprefix('apache-airflow-providers-')} {after[name]}" for name in _SHOWN)
    return f"{shown}; adds {len(added)}: {' '.join(added)}"


if __name__ == "__main__":
    raise SystemExit(main())
