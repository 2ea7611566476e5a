"""An Airflow home with DAGs of the pages, whose default connection leads to an emulator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from airflow_provider_segmind.emulator import Emulator
from tests.airflow_fork import airflow
from tests.docs.pages import Block
from tests.metadata import copy_database


class Home:
    """
    A new Airflow, without services.

    :param folder: where it is; made here.
    :param emulator: what its default connection leads to.
    """

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self._dags = folder / "dags"
        self._dags.mkdir(parents=True)
        self._emulator = emulator
        self._env = {
            **os.environ,
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
            "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(emulator.airflow_connection()),
        }
        copy_database(folder / "airflow.db")

    def add(self, block: Block) -> None:
        """Save a DAG of a page in the DAGs folder, with the emulator in Segmind's place."""
        code = block.code.replace("https://api.segmind.com", self._emulator.url)
        (self._dags / f"{block.dag_id}.py").write_text(code)

    def run(self, block: Block, conf: dict[str, Any]) -> None:
        """Run a DAG of a page with ``airflow dags test``."""
        self.add(block)
        self.airflow("dags", "test", str(block.dag_id), "--conf", json.dumps(conf))

    def airflow(self, *words: str) -> str:
        """Run a command of Airflow's to its good end, and return all that it printed."""
        done = airflow(*words, env=self._env)
        assert done.returncode == 0, done.stdout[-9000:]
        return done.stdout
