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


def is_settled(airflow: LocalAirflow, dag_id: str, run_id: str) -> bool:
    """Whether all that has begun waits, and the scheduler knows; a resume before that is lost by Airflow 3.3.2."""
    sql = "SELECT state, task_id, map_index, pid FROM task_instance WHERE dag_id = ? AND run_id = ?"
    tasks = airflow.metadata(sql, dag_id, run_id)
    waiting = [task for task in tasks if task["state"] == "deferred"]
    if not waiting or any(task["state"] in ("scheduled", "queued", "running") for task in tasks):
        return False
    said = (airflow.home / "components" / "scheduler.log").read_text(errors="replace")
    left = "TaskInstance Finished: dag_id={}, task_id={task_id}, run_id={}, map_index={map_index},"
    # What starts in the triggerer leaves no worker.
    return all(left.format(dag_id, run_id, **task) in said for task in waiting if task["pid"] is not None)
