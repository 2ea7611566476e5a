"""An empty environment with one Airflow, into which one built file is installed as a user would."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.airflow_settings import airflow_environment, free_port
from tools.release import imports
from tools.release.commands import run
from tools.release.findings import Finding, ReleaseError
from tools.release.packages import Package
from tools.release.sources import Sources

DISTRIBUTION = "airflow-provider-segmind"
PACKAGE = "airflow_provider_segmind"
_PLUGIN = "segmind"


@dataclass(frozen=True)
class Installed:
    """
    A virtual environment, and a folder that its programs run in; neither is near a checkout.

    :param folder: where both are.
    :param package: what is installed there.
    """

    folder: Path
    package: Package

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def cli(self) -> Path:
        """Its ``airflow`` command."""
        return self.folder / "venv" / "bin" / "airflow"

    @property
    def cwd(self) -> Path:
        """The folder that programs run in."""
        return self.folder / "cwd"

    @property
    def dags(self) -> Path:
        """The folder with the DAGs of its Airflow."""
        return self.folder / "dags"

    def variables(self, log_level: str, **extra: str) -> dict[str, str]:
        """
        Return the environment variables of its programs.

        :param log_level: from which level on Airflow logs.
        :param extra: more variables.
        :returns: all of them; none leads into a checkout, or to another Airflow.
        """
        home = self.folder / "airflow"
        settings = {"AIRFLOW__LOGGING__LOGGING_LEVEL": log_level, **extra}
        made = airflow_environment(home, self.dags, free_port(), f"sqlite:///{home / 'airflow.db'}", settings)
        kept = {name: value for name, value in made.items() if not name.startswith("PYTHON")}
        return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}


def empty(package: Package, folder: Path, python: str = sys.executable) -> Installed:
    """
    Make an environment with nothing in it, not even pip.

    :param package: what is going to be installed there.
    :param folder: where to; made here.
    :param python: the interpreter that it is made with.
    :returns: the environment.
    :raises ReleaseError: there is no such interpreter.
    """
    made = Installed(folder, package)
    for path in (made.cwd, made.dags, folder / "airflow"):
        path.mkdir(parents=True)
    command = (python, "-m", "venv", "--without-pip", "--symlinks", folder / "venv")
    run(*command, cwd=made.cwd, remedy="Name a Python that is installed.")
    return made


def install(package: Package, airflow: str, sources: Sources, folder: Path) -> Installed:
    """
    Install a built file into an empty environment.

    :param package: the file.
    :param airflow: which Airflow, such as ``3.1``.
    :param sources: the project; it has the constraints.
    :param folder: where to; made here.
    :returns: the environment.
    :raises ReleaseError: the file cannot be installed, or not with that Airflow.
    """
    made = empty(package, folder)
    constraints = sources.folder / "constraints" / f"airflow-{airflow}.txt"
    remedy = f"Look at dependencies in pyproject.toml, and at constraints/{constraints.name}."
    pip(made, "install", "--quiet", package.path, "--constraint", constraints, remedy=remedy)
    found = versions(made)["apache-airflow"]
    if not found.startswith(f"{airflow}."):
        raise ReleaseError(f"apache-airflow {found} was installed, not {airflow}", remedy)
    return made


def versions(installed: Installed) -> dict[str, str]:
    """
    Return the name and version of each distribution in an environment.

    :param installed: the environment.
    """
    listed = pip(installed, "list", "--format=json", remedy="pip itself is broken; make the environment anew.")
    return {one["name"]: one["version"] for one in json.loads(listed)}


def pip(installed: Installed, *arguments: object, remedy: str) -> str:
    """
    Let this process's pip work in an environment.

    :param installed: the environment.
    :param arguments: pip's.
    :param remedy: what to do if it fails.
    :returns: what it printed.
    :raises ReleaseError: it failed.
    """
    command = (sys.executable, "-P", "-m", "pip", "--python", installed.python, *arguments)
    return run(*command, cwd=installed.cwd, remedy=remedy)


def check_requirements(installed: Installed) -> list[Finding]:
    """
    Let pip say whether what is installed fits together.

    :param installed: the environment.
    :returns: nothing; what does not fit is raised.
    :raises ReleaseError: something does not fit.
    """
    pip(installed, "check", remedy="Bring dependencies in pyproject.toml and the constraints together.")
    return []


def check_imports(installed: Installed) -> list[Finding]:
    """
    Import there what the provider names to Airflow, and see that nothing of it comes from elsewhere.

    :param installed: the environment.
    :returns: what cannot be imported or read, or is not of the environment.
    :raises ReleaseError: the program that imports them failed.
    """
    script = installed.cwd / "try_imports.py"
    shutil.copy(imports.__file__, script)
    printed = run(
        *(installed.python, "-P", script, DISTRIBUTION, PACKAGE),
        cwd=installed.cwd,
        env=installed.variables("ERROR"),
        remedy="`make release-check KEEP=1` leaves each environment, with try_imports.py in its folder cwd.",
    )
    outcome = json.loads(printed.splitlines()[-1])
    remedy = "Correct airflow_provider_segmind/get_provider_info.py, or what it names."
    found = [Finding(problem, remedy) for problem in outcome["problems"]]
    if outcome["outside"] or not outcome["file"]:
        what = f"not imported from the environment: {', '.join(outcome['outside']) or PACKAGE}"
        found.append(Finding(what, "Whatever put it on sys.path there must not."))
    return found


def check_commands(installed: Installed) -> list[Finding]:
    """
    Let Airflow's own commands say that they know the provider and its plugin.

    :param installed: the environment.
    :returns: what they do not know.
    :raises ReleaseError: a command failed.
    """
    version = installed.package.metadata["Version"]
    remedy = "Look at [project.entry-points] in pyproject.toml, and at what `airflow` prints there."
    providers = _table(installed, "providers", "get", DISTRIBUTION, remedy=remedy)
    plugins = {plugin["name"]: plugin for plugin in _table(installed, "plugins", remedy=remedy)}
    unknown = [
        f"`airflow plugins` knows no {part} of the plugin {_PLUGIN}"
        for part in ("fastapi_apps", "react_apps")
        if not plugins.get(_PLUGIN, {}).get(part)
    ]
    if not any(version in provider.values() for provider in providers):
        unknown.append(f"`airflow providers get {DISTRIBUTION}` says {providers}, not {version}")
    return [Finding(what, remedy) for what in unknown]


def _table(installed: Installed, *command: str, remedy: str) -> list[dict[str, Any]]:
    printed = run(
        *(installed.cli, *command, "--output", "json"),
        cwd=installed.cwd,
        env=installed.variables("ERROR"),
        remedy=remedy,
    )
    # Airflow prints log lines before it, to the same place.
    rows = next((line for line in reversed(printed.splitlines()) if line.startswith("[{")), None)
    if rows is None:
        raise ReleaseError(f"`airflow {' '.join(command)}` printed no table", remedy)
    parsed: list[dict[str, Any]] = json.loads(rows)
    return parsed
