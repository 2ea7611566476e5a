"""One migrated metadata database for the whole run, over all its processes; each test that needs one gets a copy."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

SHARED = "SEGMIND_TESTS_SHARED"
"""Variable that names the folder which all processes of a run share."""


def copy_database(target: Path) -> None:
    """
    Make sure that a migrated SQLite database is somewhere.

    :param target: its path; a database that is there stays as it is.
    """
    if not target.exists():
        shutil.copyfile(migrated(), target)


def migrated() -> Path:
    """Return the database that others are copied from; it is made for the first who asks."""
    folder = Path(os.environ[SHARED])
    database = folder / "airflow.db"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            making = folder / "making.db"
            env = {
                **os.environ,
                "AIRFLOW_HOME": str(folder),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{making}",
            }
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, env=env, check=True, capture_output=True, timeout=240)
            making.rename(database)
    return database
