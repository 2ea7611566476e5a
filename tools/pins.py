"""Whether the built wheel installs and works beside the versions that a managed service has, set by set."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools.environment import ROOT, CheckError, Environment, build, clean_environment, run
from tools.smoke import DISTRIBUTION

SETS = ROOT / "constraints" / "services"
MOST_ADDED = 12
"""How many distributions a plain installation may add to an Airflow that is there."""
_SHOWN = ("apache-airflow", "apache-airflow-providers-common-compat", "apache-airflow-providers-http")
_TESTS = ("tests/api", "tests/provider")


def main() -> int:
    """Try the sets that are named, or all, and return the exit code: 1 if anything is wrong with one of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.pins", description=__doc__)
    parser.add_argument("--python", action="append", help="an interpreter; more than once for more than one")
    parser.add_argument("--tests", action="store_true", help="run the provider's tests in each, without the slow ones")
    parser.add_argument("sets", nargs="*", help="names of files in constraints/services/, without .txt; default: all")
    given = parser.parse_args()
    keep = os.environ.get("KEEP") == "1"
    folder = Path(tempfile.mkdtemp(prefix="pins-"))
    failed = 0
    try:
        wheel, _ = build(ROOT, folder / "dist")
        for python in [shutil.which(name) or name for name in given.python or [sys.executable]]:
            for name in given.sets or sorted(path.stem for path in SETS.glob("*.txt")):
                place = folder / f"{name}-{Path(python).name}"
                try:
                    print(
                        f"    ok  {name}, {Path(python).name}: {_try(place, python, name, wheel, given.tests)}",
                        flush=True,
                    )
                except CheckError as problem:
                    failed += 1
                    print(f"FAILED  {name}, {Path(python).name}: {problem}", flush=True)
                if not keep:
                    shutil.rmtree(place, ignore_errors=True)  # ten environments are five gigabytes
        return int(failed > 0)
    except CheckError as problem:
        print(f"FAILED  {problem}")
        return 1
    finally:
        if keep:
            print(f"Left there, as KEEP=1 asks: {folder}")
        else:
            shutil.rmtree(folder)


def _try(place: Path, python: str, name: str, wheel: Path, tests: bool) -> str:
    """Install a set's Airflow, then the wheel, and try that; return what was found."""
    pins = ("--constraint", SETS / f"{name}.txt")
    made = Environment.make(place, python)
    try:
        made.pip("install", "--quiet", "apache-airflow", *pins)
    except CheckError as problem:
        if name.startswith("next-") and "No matching distribution" in str(problem):
            return "no index has it yet"
        raise
    before = made.versions()
    made.pip("install", "--quiet", wheel, *pins)
    after = made.versions()
    found = describe(before, after)
    made.try_out()
    if tests:
        groups = (f"--group={ROOT / 'pyproject.toml'}:{group}" for group in ("dev", "s3"))
        made.pip("install", "--quiet", f"{wheel}[provenance,qa]", *groups, *pins)
        command = (made.python, "-m", "pytest", "-q", "--numprocesses", "auto", "-m", "not slow", *_TESTS)
        remedy = "KEEP=1 leaves the environment."
        found += f"; {run(*command, cwd=ROOT, env=clean_environment(), timeout=3600, remedy=remedy).splitlines()[-1]}"
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
