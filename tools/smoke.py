"""
Try the installed provider: import all that it names, ask Airflow's commands about it, and make one emulated swap.

It runs as a program inside the environment in which the provider is installed, so it imports nothing of the checkout.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

DISTRIBUTION = "airflow-provider-segmind"
PACKAGE = "airflow_provider_segmind"
PLUGIN = "segmind"
DAG = "body_swap"
OPTIONAL = ("numpy", "openlineage")
"""What modules of the provider import that a plain installation does not bring."""
_DEFERRED = "running trigger in line"  # what `airflow dags test` says when a task has deferred


def main() -> int:
    """Try everything, print what is wrong, and return the exit code."""
    problems = [*installed_problems(), *command_problems(), *swap_problems()]
    print("\n".join(problems))
    return int(bool(problems))


def installed_problems() -> Iterator[str]:
    """Name what the distribution announces or has and nobody can import, and options that Airflow does not know."""
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    package = importlib.import_module(PACKAGE)
    if not Path(str(package.__file__)).resolve().is_relative_to(Path(sys.prefix).resolve()):
        yield f"{PACKAGE} is not of this environment: {package.__file__}"
    for entry in importlib.metadata.distribution(DISTRIBUTION).entry_points:
        yield from _raised(f"entry point {entry.group} names {entry.value}", entry.load)
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.", onerror=lambda name: None):
        if not module.name.endswith(".__main__"):
            yield from _raised(module.name, importlib.import_module, module.name)
    info = importlib.import_module(f"{PACKAGE}.get_provider_info").get_provider_info()
    yield from option_problems(info, conf.get)


def option_problems(info: Mapping[str, Any], option: Callable[[str, str], str | None]) -> Iterator[str]:
    """Name the options of the provider info whose default is not what Airflow reads."""
    for section, about in info["config"].items():
        for name, described in about["options"].items():
            if (said := option(section, name)) != described["default"]:
                yield f"[{section}] {name} has the default {described['default']!r}; Airflow says {said!r}"


def _raised(what: str, load: Callable[..., object], *arguments: str) -> Iterator[str]:
    try:
        load(*arguments)
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - a module can raise whatever it likes
        if not (isinstance(problem, ModuleNotFoundError) and problem.name in OPTIONAL):
            yield f"{what}: {type(problem).__name__}: {problem}"


def command_problems() -> Iterator[str]:
    """Name what Airflow's own commands do not know of the provider and its plugin."""
    version = importlib.metadata.version(DISTRIBUTION)
    providers = _table("providers", "get", DISTRIBUTION)
    if not any(version in provider.values() for provider in providers):
        yield f"`airflow providers get {DISTRIBUTION}` says {providers}, not {version}"
    plugins = {plugin["name"]: plugin for plugin in _table("plugins")}
    for part in ("fastapi_apps", "react_apps"):
        if not plugins.get(PLUGIN, {}).get(part):
            yield f"`airflow plugins` knows no {part} of the plugin {PLUGIN}"


def _table(*command: str) -> list[dict[str, Any]]:
    # Airflow prints log lines before it, to the same place.
    lines = reversed(_airflow(*command, "--output", "json").splitlines())
    return list(json.loads(next((line for line in lines if line.startswith("[{")), "[]")))


def swap_problems() -> list[str]:
    """Run the installed example DAG of one swap, and say what is wrong with the run."""
    from airflow_provider_segmind.emulator import Emulator

    home = Path(os.environ["AIRFLOW_HOME"])
    (home / "dags").mkdir(exist_ok=True)
    shutil.copy(Path(importlib.import_module(PACKAGE).__path__[0], "example_dags", f"{DAG}.py"), home / "dags")
    _airflow("db", "migrate")
    with Emulator(job_seconds=2, job_polls=1) as emulator:
        connection = json.dumps(emulator.airflow_connection())
        inputs = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
        more = {"AIRFLOW_CONN_SEGMIND_DEFAULT": connection, "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}
        printed = _airflow("dags", "test", DAG, "--conf", json.dumps(inputs), **more)
        (home / "swap.log").write_text(printed)
        return judged(printed, [charge.request_id for charge in emulator.charges])


def judged(printed: str, charges: list[str]) -> list[str]:
    """Say what is wrong with a run, by what ``airflow dags test`` printed and the ids of what was charged."""
    found = [] if _DEFERRED in printed else [f"the sensor of {DAG} did not defer: nothing says `{_DEFERRED}`"]
    if len(charges) != 1:
        found.append(f"one run of {DAG} was charged {len(charges)} times, not once")
    made = re.search(r"Request (\w+) made (http://\S+)", printed)
    if made is None:
        return [*found, f"the last task of {DAG} named no picture"]
    if charges != [made[1]]:
        found.append(f"the picture is of request {made[1]}, which was not what was charged")
    return [*found, *_raised(f"the picture of {DAG} cannot be read", _open, made[2])]


def _open(url: str) -> None:
    from PIL import Image

    with urllib.request.urlopen(url, timeout=30) as answer, Image.open(io.BytesIO(answer.read())) as picture:  # noqa: S310
        picture.load()


def _airflow(*arguments: str, **more: str) -> str:
    """Run an ``airflow`` command with more environment variables, and return all that it printed."""
    command = [sys.executable, "-P", "-m", "airflow", *arguments]
    env = {**os.environ, **more}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    printed = done.stdout + done.stderr
    if done.returncode:
        raise SystemExit(f"{printed}\n`airflow {' '.join(arguments)}` ended with exit code {done.returncode}.")
    return printed


if __name__ == "__main__":
    raise SystemExit(main())
