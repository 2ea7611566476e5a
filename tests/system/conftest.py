"""One real Airflow and one emulator for all system tests: starting them takes half a minute."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airflow_provider_segmind.emulator import Emulator
from demo.bucket import ROOT, Bucket
from demo.local_airflow import LocalAirflow
from tests.airflow_fork import airflow as forked
from tests.hurry import hurried

DAG_FOLDERS = (Path(__file__).resolve().parents[2] / "example_dags", Path(__file__).parent / "dags")

AirflowCli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(job_seconds=3, job_polls=1) as running:
        yield running


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    with Bucket() as started:
        yield started


@pytest.fixture(scope="session")
def airflow(emulator: Emulator, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    connection = json.dumps(emulator.airflow_connection())
    dags = tmp_path_factory.mktemp("dags")
    for file in (file for folder in DAG_FOLDERS for file in folder.glob("*.py")):
        shutil.copy(file, dags)
    env = {
        "AIRFLOW_CONN_SEGMIND_DEFAULT": connection,
        "AIRFLOW_CONN_AWS_DEFAULT": bucket.connection,
        "AIRFLOW__SEGMIND__GALLERY_ROOTS": ROOT,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        # A killed supervisor is noticed by its silence, by default after five minutes.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    }
    with hurried(tmp_path_factory.mktemp("airflow"), dags, env) as local:
        local.wait_healthy()
        yield local
        pids = local.pids
    left = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert not left, f"Airflow was stopped, but these of its processes are still there: {left}"


@pytest.fixture(scope="session")
def airflow_cli(airflow: LocalAirflow) -> AirflowCli:
    """Return a function that runs Airflow's own command against the running Airflow."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return forked(*arguments, env={**airflow.env, "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"})  # it is read

    return run
