"""Programs that a check runs, and what is said when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.release.findings import ReleaseError

# Whatever could lead a program from its own environment into the checkout, or into somebody's Airflow.
_LEADING_ASTRAY = ("AIRFLOW", "_AIRFLOW", "SEGMIND", "PYTHON", "VIRTUAL_ENV", "PYTEST_", "COVERAGE_")


def clean_environment() -> dict[str, str]:
    """
    Return the variables of this process without those that change what is imported, or which Airflow is found.

    :returns: a new environment for programs; pip's settings and proxies are still in it.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEADING_ASTRAY)}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1"}


def run(
    *command: object,
    cwd: Path,
    remedy: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 900,
    log: Path | None = None,
) -> str:
    """
    Run a program to its end.

    :param command: the program and its arguments.
    :param cwd: the folder that it runs in.
    :param remedy: what to do if it fails.
    :param env: its complete environment; :func:`clean_environment` if not given.
    :param timeout: seconds that it may take.
    :param log: a file that gets all that it wrote, errors included.
    :returns: what it wrote to its standard output; with a ``log``, all that it wrote.
    :raises ReleaseError: it failed, is not there or took too long; the message has the end of what it wrote.
    """
    words = [str(part) for part in command]
    shown = " ".join([Path(words[0]).name, *words[1:]])
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=clean_environment() if env is None else env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except OSError as problem:
        raise ReleaseError(f"`{shown}` cannot be run: {problem}", remedy) from problem
    except subprocess.TimeoutExpired as problem:
        raise ReleaseError(f"`{shown}` did not end within {timeout:.0f} s", remedy) from problem
    if log is not None:
        log.write_text(done.stdout + done.stderr)
    if done.returncode:
        raise ReleaseError(f"`{shown}` ended with exit code {done.returncode}:\n{_tail(done)}", remedy)
    return done.stdout if log is None else done.stdout + done.stderr


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return "\n".join(f"    {line}" for line in lines[-25:])
