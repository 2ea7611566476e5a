"""The smoke DAG: a swap through an installed Airflow, against the emulator that was installed with it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from PIL import Image

from demo.child import Child, ChildDiedError
from tools.release.commands import run
from tools.release.environments import PACKAGE, Installed
from tools.release.findings import Finding, ReleaseError
from tools.release.sources import Sources

DAG = "body_swap"
_DEFERRED = "running trigger in line"  # what `airflow dags test` says when a task has deferred
_REMEDY = "`make release-check KEEP=1` leaves each environment; swap.log and emulator.log there have what was printed."
_BOOT_SECONDS = 30.0


@dataclass(frozen=True)
class RunningEmulator:
    """
    An emulator in a process of its own.

    :param url: where it listens.
    :param api_key: the key that it lets in.
    """

    url: str
    api_key: str

    @property
    def connection(self) -> str:
        """The Airflow connection to it, as JSON."""
        return json.dumps({"conn_type": "segmind", "host": self.url, "password": self.api_key})

    def charges(self) -> list[dict[str, Any]]:
        """Return its ledger: one entry for each bill."""
        answer = requests.get(f"{self.url}/_emulator/charges", timeout=10)
        answer.raise_for_status()
        charges: list[dict[str, Any]] = answer.json()
        return charges


def check_smoke(installed: Installed, sources: Sources) -> list[Finding]:
    """
    Run the example DAG of one swap: it orders, defers, and gets a picture for one charge.

    :param installed: the environment.
    :param sources: the project; it has the example.
    :returns: what did not go as it should.
    :raises ReleaseError: the emulator or Airflow failed.
    """
    shutil.copy(sources.folder / "example_dags" / f"{DAG}.py", installed.dags)
    quiet = installed.variables("ERROR")
    run(installed.cli, "db", "migrate", cwd=installed.cwd, env=quiet, remedy=_REMEDY)
    with emulator(installed) as running:
        env = installed.variables("INFO", AIRFLOW_CONN_SEGMIND_DEFAULT=running.connection)
        pictures = {
            "character_image": f"{running.url}/samples/scene/0.png",
            "reference_character_image": f"{running.url}/samples/person/0.png",
        }
        command = (installed.cli, "dags", "test", DAG, "--conf", json.dumps(pictures))
        printed = run(*command, cwd=installed.cwd, env=env, remedy=_REMEDY, log=installed.folder / "swap.log")
        return judge(printed, running.charges())


def judge(printed: str, charges: list[dict[str, Any]]) -> list[Finding]:
    """
    Look at what a run of the smoke DAG printed and cost; its picture is fetched.

    :param printed: what ``airflow dags test`` printed.
    :param charges: the emulator's ledger.
    :returns: what did not go as it should.
    """
    found = []
    if _DEFERRED not in printed:
        found.append(Finding(f"the sensor of {DAG} did not defer: nothing says `{_DEFERRED}`", _REMEDY))
    if len(charges) != 1:
        found.append(Finding(f"one run of {DAG} was charged {len(charges)} times, not once", _REMEDY))
    made = re.search(r"Request (\w+) made (http://\S+)", printed)
    if made is None:
        found.append(Finding(f"the last task of {DAG} named no picture", _REMEDY))
    else:
        if [charge["request_id"] for charge in charges] != [made[1]]:
            found.append(Finding(f"the picture is of request {made[1]}, which was not what was charged", _REMEDY))
        found += _look_at(made[2])
    return found


def _look_at(url: str) -> list[Finding]:
    try:
        answer = requests.get(url, timeout=30)
        answer.raise_for_status()
        with Image.open(io.BytesIO(answer.content)) as picture:
            picture.load()
    except (requests.RequestException, OSError) as problem:
        return [Finding(f"the picture of {DAG} cannot be read: {problem}", _REMEDY)]
    return []


@contextlib.contextmanager
def emulator(installed: Installed) -> Iterator[RunningEmulator]:
    """
    Run the installed package's emulator, with jobs that the sensor's first look does not find done.

    :param installed: the environment.
    :returns: the emulator, until the context ends.
    :raises ReleaseError: it does not come up.
    """
    ready, log = installed.folder / "emulator.json", installed.folder / "emulator.log"
    command = (
        *(str(installed.python), "-P", "-m", f"{PACKAGE}.emulator", "--port", "0", "--ready-file", str(ready)),
        *("--job-seconds", "2", "--job-polls", "1"),
    )
    child = Child("the installed emulator", command, installed.variables("ERROR"), log, installed.cwd)
    try:
        child.start()
        child.wait_until_ready(ready.exists, _BOOT_SECONDS)
        said = json.loads(ready.read_text())
        yield RunningEmulator(said["url"], said["api_key"])
    except ChildDiedError as problem:
        raise ReleaseError(str(problem), _REMEDY) from problem
    finally:
        child.stop(grace=3.0)
