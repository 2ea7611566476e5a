"""A retry does not order again and a clear does, with Airflow's own scheduler, triggerer and task state store."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_segmind.emulator import Emulator, Fault
from demo.local_airflow import LocalAirflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(airflow_version < "3.3", reason="the task state store came with Airflow 3.3"),
]


@pytest.fixture
def run_id(airflow: LocalAirflow, emulator: Emulator) -> str:
    airflow.wait_for_dag("one_task")
    airflow.unpause("one_task")
    emulator.script(Fault("hang-after", seconds=20))
    charged = len(emulator.charges)
    run_id = airflow.trigger(
        "one_task",
        # Pictures of its own: the history cannot tell this order from others with the same ones.
        {"character_image": emulator.sample("scene", 9), "reference_character_image": emulator.sample("person", 9)},
    )
    airflow.wait_until("the order is accepted", lambda: len(emulator.charges) > charged, 60)
    return run_id


def test_retrying_a_crashed_task_does_not_order_again_and_clearing_a_finished_one_does(
    airflow: LocalAirflow, emulator: Emulator, run_id: str
) -> None:
    """The worker is killed at the worst moment: the order is accepted and billed, and its answer never comes."""
    before = len(emulator.charges) - 1
    (row,) = task_row(airflow, run_id)
    psutil.Process(row["pid"]).kill()
    assert airflow.wait_for_run("one_task", run_id, 180) == "success", story(airflow, run_id)
    assert len(emulator.charges) == before + 1
    assert task_row(airflow, run_id)[0]["try_number"] > 1
    first = airflow.xcom("one_task", run_id, "swap")
    assert first["request_id"] == emulator.charges[-1].request_id
    assert airflow.xcom("one_task", run_id, "swap", "poll_url") == first["poll_url"]

    airflow.clear_task("one_task", run_id, "swap")
    assert airflow.wait_for_run("one_task", run_id, 180) == "success", story(airflow, run_id)
    assert len(emulator.charges) == before + 2
    assert airflow.xcom("one_task", run_id, "swap")["request_id"] == emulator.charges[-1].request_id


def task_row(airflow: LocalAirflow, run_id: str) -> list[dict[str, Any]]:
    return airflow.metadata("SELECT pid, try_number, state FROM task_instance WHERE run_id = ?", run_id)


def story(airflow: LocalAirflow, run_id: str) -> str:
    tries = int(task_row(airflow, run_id)[0]["try_number"])
    return "\n".join(airflow.task_log("one_task", run_id, "swap", number) for number in range(1, tries + 1))
