"""The same on PostgreSQL, whose JSON takes less than that of SQLite."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_segmind.emulator import Emulator
from demo.local_airflow import LocalAirflow
from tests import hostile
from tests.cluster.postgres import Postgres

DAGS = Path(hostile.__file__).parent / "system" / "dags"


def test_no_answer_ends_the_triggerer_or_leaves_a_task_behind(tmp_path: Path) -> None:
    with Emulator() as emulator, Postgres(tmp_path / "postgres.log") as postgres:
        env = {
            "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(emulator.airflow_connection()),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url,
        }
        with LocalAirflow(tmp_path / "airflow", DAGS, env) as airflow:
            airflow.wait_healthy(240)
            hostile.play(airflow, emulator, postgres.query)
