"""A swap's buttons on its task's page, while a triggerer waits for it and in each attempt."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_segmind.emulator import Emulator, Fault, samples
from demo.bucket import ROOT, Bucket
from demo.local_airflow import LocalAirflow

pytestmark = pytest.mark.slow

DAG_ID = "one_task"


def order(airflow: LocalAirflow, bucket: Bucket) -> str:
    for kind in ("scene", "person"):
        bucket.put(f"looks/{kind}.png", samples.draw(kind, 0))
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    conf = {"character_image": f"{ROOT}/looks/scene.png", "reference_character_image": f"{ROOT}/looks/person.png"}
    return airflow.trigger(DAG_ID, conf)


def test_a_deferred_task_has_the_link_to_its_swap_whose_seconds_are_counted(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    emulator.set(job_seconds=3600)
    began = time.time()
    try:
        run_id = order(airflow, bucket)
        airflow.wait_until("The deferral", lambda: airflow.task_state(DAG_ID, run_id, "swap") == "deferred", 60)
        links = airflow.links(DAG_ID, run_id, "swap")
        (swap,) = airflow.page("segmind/swaps", params={"dag_id": DAG_ID, "run_id": run_id}).json()["swaps"]
        assert airflow.task_state(DAG_ID, run_id, "swap") == "deferred"
    finally:
        emulator.set(job_seconds=3)
    path = f"dags/{DAG_ID}/runs/{quote(run_id, safe='')}/tasks/swap/plugin/body-swaps-task"
    assert links == {"Before / after": path, "Result picture": None}
    assert swap["state"] == "waiting"
    assert began < swap["submitted_at"] < time.time()
    for slot in ("before", "reference"):
        picture = airflow.page(f"segmind/{swap['pictures'][slot]['full']}")
        assert picture.headers["content-type"] == "image/png"
    waited = time.time() - swap["submitted_at"]
    emulator.finish_jobs()
    assert airflow.wait_for_run(DAG_ID, run_id, 120) == "success"
    assert airflow.links(DAG_ID, run_id, "swap")["Before / after"] == path
    # The triggerer ended the task, and said when.
    (swap,) = airflow.page("segmind/swaps", params={"dag_id": DAG_ID, "run_id": run_id}).json()["swaps"]
    assert swap["state"] == "completed"
    assert waited < swap["seconds"] < time.time() - began


@pytest.mark.skipif(airflow_version < "3.3", reason="before Airflow 3.3 a retry without a memory orders nothing")
def test_after_a_failed_attempt_the_next_one_shows_its_own_order(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    before = len(emulator.charges)
    emulator.script(Fault("will-fail", on="submit", times=1))
    run_id = order(airflow, bucket)
    assert airflow.wait_for_run(DAG_ID, run_id, 180) == "success"
    first, second = (charge.request_id for charge in emulator.charges[before:])
    (swap,) = airflow.page("segmind/swaps", params={"dag_id": DAG_ID, "run_id": run_id}).json()["swaps"]
    assert swap["request_id"] == second != first
    assert (swap["state"], swap["checks"]) == ("completed", [])
