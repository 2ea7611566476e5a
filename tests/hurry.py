"""An Airflow that runs for tests hurries, and does nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from demo.local_airflow import LocalAirflow
from tests.metadata import copy_database

SETTINGS = Path(__file__).parent / "hurried" / "airflow_local_settings.py"
# Reading all DAG files anew every ten seconds, each in a process, is most of what an idle Airflow does.
_READ_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600"}


def hurried(home: Path, dags: Path, env: Mapping[str, str]) -> LocalAirflow:
    """Return an Airflow with a migrated database, each of whose components imports the settings when it starts."""
    local = LocalAirflow(home, dags, {**_READ_ONCE, **env})
    copy_database(local.sqlite_path)
    (local.home / "config").mkdir()
    shutil.copy(SETTINGS, local.home / "config")
    return local
