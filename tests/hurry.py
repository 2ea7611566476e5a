"""An Airflow that runs for tests hurries, and does nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from demo.child import Child
from demo.local_airflow import LocalAirflow
from tests.airflow_fork import Component
from tests.metadata import copy_database

SETTINGS = Path(__file__).parent / "hurried" / "airflow_local_settings.py"
_THRIFTY = {
    # Reading all DAG files anew every ten seconds, each in a process, is most of what an idle Airflow does.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    # The rest is the scheduler's: each look for work takes it forty milliseconds, also when there is none.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
}


class _Forked(LocalAirflow):
    """An Airflow whose components are forks of one process that has imported all they need."""

    def _child(self, name: str, *arguments: str) -> Child:
        return Component(name, arguments, self.env, self.home / "components" / f"{name}.log")


def hurried(home: Path, dags: Path, env: Mapping[str, str], *, fork: bool = True) -> LocalAirflow:
    """
    Return an Airflow with a migrated database, each of whose components imports the settings when it starts.

    :param fork: as of :func:`tests.airflow_fork.airflow`.
    """
    local = (_Forked if fork else LocalAirflow)(home, dags, {**_THRIFTY, **env})
    local.pause = 1.0  # other tests use the time
    copy_database(local.sqlite_path)
    (local.home / "config").mkdir()
    shutil.copy(SETTINGS, local.home / "config")
    return local
