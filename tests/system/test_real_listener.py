"""An Airflow with a listener, such as OpenLineage's, which only workers call: no task passes it by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_segmind.emulator import Emulator
from tests.hurry import hurried

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(airflow_version < "3.3", reason="tasks end in the triggerer from Airflow 3.3 on"),
]

LISTENED = Path(__file__).with_name("listened")


def test_a_listener_sees_every_task_that_would_otherwise_end_in_the_triggerer(tmp_path: Path) -> None:
    shutil.copytree(LISTENED, tmp_path / "dags")
    with Emulator(job_seconds=20) as emulator:
        env = {
            "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(emulator.airflow_connection()),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "dags" / "plugins"),
        }
        with hurried(tmp_path / "home", tmp_path / "dags", env) as airflow:
            airflow.wait_healthy()
            airflow.wait_for_dag("listened")
            airflow.unpause("listened")
            conf = {"scene": emulator.sample("scene"), "person": emulator.sample("person")}
            assert airflow.wait_for_run("listened", airflow.trigger("listened", conf), 180) == "success"
            seen = {path.name for path in airflow.home.glob("seen-*")}
        assert len(emulator.charges) == 2
    assert seen == {"seen-submit", "seen-one_task", "seen-waits", "seen-starts"}
