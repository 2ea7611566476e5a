"""
Where a waiting task starts and ends in a real Airflow, and that nothing which only a worker does is lost by it.

A start on a worker is counted in the task's log, where each leaves one line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_segmind.emulator import Emulator, Fault
from demo.local_airflow import LocalAirflow
from tests.hurry import is_settled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(airflow_version < "3.3", reason="tasks end in the triggerer from Airflow 3.3 on"),
]

WITHOUT_PICTURE = json.dumps(
    {"status": "COMPLETED", "output": [{"keyname": "note", "value": {"data": "no picture yet", "type": "text"}}]}
)
START = "::group::Pre Execute"


@dataclass(frozen=True)
class Ran:
    """How one task ran: its state, how often it started on a worker, its tries, its logs."""

    state: str
    starts: int
    tries: int
    log: str


@pytest.fixture(scope="module")
def run_id(airflow: LocalAirflow, emulator: Emulator) -> str:
    airflow.wait_for_dag("endings")
    airflow.unpause("endings")
    seconds = emulator.settings.job_seconds
    emulator.set(job_seconds=3600)  # until all of them wait
    emulator.script(Fault("will-fail"))  # of the first order, which the others come after
    scene, person = emulator.sample("scene"), emulator.sample("person")
    run_id = airflow.trigger("endings", {"scene": scene, "person": person})
    empty: list[str] = []

    def ordered() -> bool:
        empty[:] = [
            charge.request_id for charge in emulator.charges if charge.inputs["select_character"] == "nobody at all"
        ]
        return bool(empty)

    airflow.wait_until("the job that is without a picture once is ordered", ordered, 120, every=0.05)
    emulator.script(Fault("raw", on="poll", request_id=empty[-1], body=WITHOUT_PICTURE))
    airflow.wait_until("all that wait are deferred", lambda: is_settled(airflow, "endings", run_id), 180, every=0.5)
    emulator.finish_jobs()
    emulator.set(job_seconds=seconds)
    airflow.wait_for_run("endings", run_id, 300)
    return run_id


@pytest.fixture
def ran(airflow: LocalAirflow, run_id: str) -> Callable[..., Ran]:
    def look(task_id: str, map_index: int = -1) -> Ran:
        (row,) = airflow.metadata(
            "SELECT state, try_number FROM task_instance WHERE run_id = ? AND task_id = ? AND map_index = ?",
            *(run_id, task_id, map_index),
        )
        tries = int(row["try_number"])
        log = "\n".join(airflow.task_log("endings", run_id, task_id, number + 1, map_index) for number in range(tries))
        return Ran(str(row["state"]), log.count(START), tries, log)

    return look


def callbacks(airflow: LocalAirflow, task_id: str) -> list[Path]:
    return sorted(airflow.home.glob(f"callback-{task_id}-*"))


def test_a_plain_sensor_ends_in_the_triggerer_with_its_result(
    airflow: LocalAirflow, run_id: str, ran: Callable[..., Ran]
) -> None:
    wait = ran("plain")
    assert (wait.state, wait.starts) == ("success", 1), wait.log
    result = airflow.xcom("endings", run_id, "plain")
    assert result == airflow.xcom("endings", run_id, "never")
    assert result["image_url"] in wait.log


@pytest.mark.parametrize(
    ("task_id", "map_index"),
    [("plain", -1), ("never", -1), ("one_task", -1), ("ends_mapped", 1), ("starts", -1), ("starts_after_mapped", 2)],
)
def test_a_task_that_waited_links_to_its_own_picture_wherever_it_ended(
    airflow: LocalAirflow, run_id: str, task_id: str, map_index: int
) -> None:
    links = airflow.links("endings", run_id, task_id, map_index)
    assert links["Result picture"] == airflow.xcom("endings", run_id, task_id, map_index=map_index)["image_url"]


def test_a_task_resumes_on_a_worker_when_it_is_told_to(ran: Callable[..., Ran]) -> None:
    assert (ran("never").state, ran("never").starts) == ("success", 2), ran("never").log


def test_a_task_that_orders_and_waits_starts_once(airflow: LocalAirflow, run_id: str, ran: Callable[..., Ran]) -> None:
    swap = ran("one_task")
    assert (swap.state, swap.starts) == ("success", 1), swap.log
    assert airflow.xcom("endings", run_id, "one_task")["image_url"]


def test_a_task_with_a_callback_resumes_and_its_callback_runs_there(
    airflow: LocalAirflow, ran: Callable[..., Ran]
) -> None:
    assert (ran("with_callback").state, ran("with_callback").starts) == ("success", 2)
    assert len(callbacks(airflow, "with_callback")) == 1


def test_a_task_that_is_forced_to_end_in_the_triggerer_says_what_it_gives_up(ran: Callable[..., Ran]) -> None:
    forced = ran("callback_forced")
    assert (forced.state, forced.starts) == ("success", 1), forced.log
    assert "without: on_success_callback" in forced.log


def test_a_task_with_an_outlet_resumes_and_the_asset_event_is_there(
    airflow: LocalAirflow, run_id: str, ran: Callable[..., Ran]
) -> None:
    assert (ran("with_outlet").state, ran("with_outlet").starts) == ("success", 2)
    events = airflow.call("GET", "assets/events", params={"source_dag_id": "endings", "source_run_id": run_id})
    assert [event["source_task_id"] for event in events["asset_events"]] == ["with_outlet"]


def test_a_task_that_another_is_mapped_over_resumes_and_the_other_is_mapped(
    airflow: LocalAirflow, run_id: str, ran: Callable[..., Ran]
) -> None:
    assert (ran("mapped_over").state, ran("mapped_over").starts) == ("success", 2)
    mapped = [ti["state"] for ti in airflow.task_instances("endings", run_id) if ti["task_id"] == "each"]
    assert mapped == ["success"] * len(airflow.xcom("endings", run_id, "mapped_over"))


def test_soft_fail_skips_in_the_triggerer(ran: Callable[..., Ran]) -> None:
    assert (ran("skips").state, ran("skips").starts) == ("skipped", 1), ran("skips").log


def test_a_failure_without_retries_ends_in_the_triggerer_with_its_reason_in_the_log(ran: Callable[..., Ran]) -> None:
    failed = ran("fails")
    assert (failed.state, failed.starts, failed.tries) == ("failed", 1, 1), failed.log
    assert "JobFailedError" in failed.log


def test_a_failure_for_good_is_not_tried_again_although_the_task_has_retries(ran: Callable[..., Ran]) -> None:
    failed = ran("fails_for_good")
    assert (failed.state, failed.starts, failed.tries) == ("failed", 2, 1), failed.log


def test_a_failure_with_a_callback_resumes_and_its_callback_runs(
    airflow: LocalAirflow, ran: Callable[..., Ran]
) -> None:
    assert (ran("fails_with_callback").state, ran("fails_with_callback").starts) == ("failed", 2)
    assert len(callbacks(airflow, "fails_with_callback")) == 1


def test_a_failure_that_may_pass_is_tried_again_from_the_triggerer(ran: Callable[..., Ran]) -> None:
    retried = ran("retries")
    assert (retried.state, retried.starts, retried.tries) == ("success", 0, 2), retried.log


@pytest.mark.parametrize(
    ("task_id", "starts"),
    [("ends_mapped", 1), ("starts_after_mapped", 0), ("starts_after_list", 0), ("starts_elsewhere", 1)],
)
def test_mapped_sensors_wait_each_for_their_own_job(
    airflow: LocalAirflow, run_id: str, ran: Callable[..., Ran], task_id: str, starts: int
) -> None:
    """The shape that the triggerer cannot see through starts on a worker, and ends like the others."""
    for index in range(3):
        seen = ran(task_id, index)
        assert (seen.state, seen.starts) == ("success", starts), seen.log
    waited = [airflow.xcom("endings", run_id, task_id, map_index=index)["request_id"] for index in range(3)]
    ordered = [airflow.xcom("endings", run_id, "submits", map_index=index)["request_id"] for index in range(3)]
    assert waited == ordered


@pytest.mark.parametrize("task_id", ["starts", "starts_with_text"])
def test_a_sensor_that_starts_in_the_triggerer_needs_no_worker(
    airflow: LocalAirflow, run_id: str, ran: Callable[..., Ran], task_id: str
) -> None:
    seen = ran(task_id)
    assert (seen.state, seen.starts) == ("success", 0), seen.log
    assert airflow.xcom("endings", run_id, task_id) == airflow.xcom("endings", run_id, "never")


@pytest.mark.parametrize(
    ("task_id", "state", "starts"),
    [
        ("starts_with_callback", "success", 1),
        ("starts_and_skips", "skipped", 0),
        ("starts_and_fails_for_good", "failed", 1),
    ],
)
def test_a_sensor_that_started_in_the_triggerer_goes_to_a_worker_for_what_only_a_worker_does(
    airflow: LocalAirflow, ran: Callable[..., Ran], task_id: str, state: str, starts: int
) -> None:
    seen = ran(task_id)
    assert (seen.state, seen.starts, seen.tries) == (state, starts, 1), seen.log
    assert len(callbacks(airflow, task_id)) == (1 if task_id == "starts_with_callback" else 0)


def test_every_job_was_charged_once(emulator: Emulator, airflow: LocalAirflow, run_id: str) -> None:
    tis: list[dict[str, Any]] = airflow.task_instances("endings", run_id)
    orders = [ti for ti in tis if ti["task_id"].startswith("submit") or ti["task_id"] == "one_task"]
    charged = Counter(charge.request_id for charge in emulator.charges)
    assert set(charged.values()) == {1}
    assert len(orders) == 7
