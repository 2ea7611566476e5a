import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from airflow_provider_segmind.emulator import Emulator, Fault

# Before anything imports Airflow. `dag.test()` looks for its DAG in the DAGs folder.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).with_name("dags"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture(scope="session")
def airflow_database():
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def segmind(monkeypatch):
    with Emulator(credits=5.0) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(emulator.airflow_connection()))
        yield emulator


@pytest.fixture
def states(segmind, airflow_database):
    """Runs the DAG, and returns how its tasks ended."""
    from tested_swap import dag

    def run():
        pictures = {"scene": segmind.sample("scene"), "person": segmind.sample("person")}
        return {task.task_id: str(task.state) for task in dag.test(run_conf=pictures).get_task_instances()}

    return run


def test_a_swap_is_ordered_once_with_the_right_inputs(segmind, states):
    segmind.set(job_polls=1)  # so that it is waited for
    assert states() == {"submit": "success", "wait": "success"}
    (charge,) = segmind.charges
    assert charge.inputs["select_character"] == "the woman in front"
    assert charge.defaulted == ()  # Segmind had no reason to swap a sample picture of its own


def test_a_lost_answer_is_found_in_the_history(segmind, states):
    segmind.script(Fault("drop-after"))
    assert states() == {"submit": "success", "wait": "success"}
    assert len(segmind.charges) == 1


def test_a_job_that_failed_is_not_ordered_again(segmind, states):
    segmind.script(Fault("will-fail"))
    assert states() == {"submit": "success", "wait": "failed"}
    assert len(segmind.charges) == 1


def test_nothing_is_billed_without_credit(segmind, states):
    segmind.set(credits=0.0)
    assert states() == {"submit": "failed", "wait": "upstream_failed"}
    assert segmind.charges == ()
