"""Commands that a check runs, and virtual environments into which a built file is installed as by a user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from demo.airflow_settings import past_proxies
from tools import smoke

ROOT = Path(__file__).resolve().parents[1]
# Whatever could lead a program from its own environment into the checkout, or into somebody's Airflow.
_LEADING_ASTRAY = ("AIRFLOW", "_AIRFLOW", "SEGMIND", "PYTHON", "VIRTUAL_ENV", "PYTEST_", "COVERAGE_")


class CheckError(Exception):
    """A check failed; the message says what is wrong, and what to do about it."""


@contextlib.contextmanager
def working_folder(prefix: str) -> Iterator[Path]:
    """Lend an empty folder; it is left there if ``KEEP=1`` asks for that."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        if os.environ.get("KEEP") == "1":
            print(f"Left there, as KEEP=1 asks: {folder}")
        else:
            shutil.rmtree(folder)


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that change what is imported, or which Airflow is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEADING_ASTRAY)}
    # Of an Airflow's packages little is imported: pip would compile all for half a minute.
    return {**kept, "PIP_COMPILE": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1"}


def run(*command: object, cwd: Path, remedy: str, env: Mapping[str, str] | None = None, timeout: float = 900) -> str:
    """Run a program in a clean or a given environment and return what it printed, or raise with what to do."""
    words = [str(part) for part in command]
    shown = f"`{' '.join([Path(words[0]).name, *words[1:]])}`"
    env = env or clean_environment()
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, input="", capture_output=True, text=True, timeout=timeout, check=False
        )
    except OSError as problem:
        raise CheckError(f"{shown} cannot be run: {problem}. {remedy}") from problem
    except subprocess.TimeoutExpired as problem:
        raise CheckError(f"{shown} did not end within {timeout:.0f} s. {remedy}") from problem
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in [*done.stdout.splitlines(), *done.stderr.splitlines()][-25:])
        raise CheckError(f"{shown} ended with exit code {done.returncode}:\n{tail}\n{remedy}")
    return done.stdout


def build(source: Path, out: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the sdist; return the wheel and the sdist."""
    remedy = "Run `python -m build` in a clean clone and correct what it says; pyproject.toml has [build-system]."
    run(sys.executable, "-m", "build", "--outdir", out, source, cwd=out.parent, remedy=remedy)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def make(folder: Path, python: str) -> None:
    """Make a virtual environment in a folder, which must be near no checkout, with nothing in it, not even pip."""
    (folder / "airflow").mkdir(parents=True)
    command = (python, "-m", "venv", "--without-pip", "--symlinks", folder / "venv")
    run(*command, cwd=folder, remedy="Name a Python that is installed.")


def python_of(folder: Path) -> Path:
    """Return the interpreter of the environment in a folder."""
    return folder / "venv" / "bin" / "python"


def pip(folder: Path, *arguments: object) -> str:
    """Let this process's pip work in the environment of a folder, and return what pip printed."""
    remedy = "Look at dependencies in pyproject.toml, and at the constraints that were used."
    return run(sys.executable, "-P", "-m", "pip", "--python", python_of(folder), *arguments, cwd=folder, remedy=remedy)


def versions(folder: Path) -> dict[str, str]:
    """Return the version of each distribution in the environment of a folder."""
    return {one["name"]: one["version"] for one in json.loads(pip(folder, "list", "--format=json"))}


def try_out(folder: Path) -> None:
    """Let pip say whether all fits together in the environment of a folder, and run :mod:`tools.smoke` in it."""
    pip(folder, "check")
    home, env = folder / "airflow", clean_environment()
    env |= {
        **past_proxies(env),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    script = shutil.copy(smoke.__file__, folder)  # the checkout must not be what it imports
    remedy = "KEEP=1 leaves the environment; airflow/swap.log there has what the DAG printed."
    run(python_of(folder), "-P", script, cwd=folder, env=env, remedy=remedy)
