"""Tasks that wait on their worker, where no triggerer runs: the same results, errors and bills as in a triggerer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import JobFailedError, JobTimeoutError
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.provider.batches import Batch, charged, swaps
from tests.provider.tries import Task

OURS = "AIRFLOW__SEGMIND__DEFAULT_DEFERRABLE"
ALL = "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"
PICTURES = {"character_image": "https://a.example/1.png", "reference_character_image": "https://a.example/2.png"}


@pytest.mark.parametrize(
    ("settings", "deferrable"),
    [
        ({}, True),
        ({OURS: "False"}, False),
        ({ALL: "False"}, False),
        ({ALL: "True"}, True),
        ({OURS: "True", ALL: "False"}, True),
        ({OURS: "False", ALL: "True"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("own", [None, True, False])
def test_a_task_waits_where_its_author_or_else_the_administrator_says(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], deferrable: bool, own: bool | None
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    made = [
        BodySwapSensor(task_id="wait", poll_url="https://api.segmind.com/workflows/request/1", deferrable=own),
        BodySwapOperator(task_id="swap", deferrable=own, **PICTURES),
        BodySwapBatchOperator(task_id="batch", swaps=[], results_uri="r.jsonl", deferrable=own),
    ]
    assert {task.deferrable for task in made} == {deferrable if own is None else own}


def test_a_sensor_starts_on_a_worker_where_the_administrator_has_no_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://api.segmind.com/workflows/request/1"
    with pytest.raises(ValueError, match="needs deferrable=True"):
        BodySwapSensor(task_id="wait", poll_url=url, start_from_trigger=True, deferrable=False)
    monkeypatch.setenv(OURS, "False")
    assert not BodySwapSensor(task_id="wait", poll_url=url, start_from_trigger=True).start_from_trigger


def blocking(emulator: Emulator, **options: Any) -> Task:
    emulator.set(job_polls=2)
    return Task(emulator, deferrable=False, **options)


@pytest.mark.parametrize("durable", [True, False], ids=["3.3", "3.1"])
def test_a_swap_is_ordered_waited_for_and_charged_once(emulator: Emulator, durable: bool) -> None:
    result = blocking(emulator, durable=durable).start()
    assert result["status"] == "COMPLETED"
    assert result["image_url"].startswith(emulator.url)
    assert [charge.request_id for charge in emulator.charges] == [result["request_id"]]


def test_a_retry_waits_for_the_job_that_is_on_record(emulator: Emulator) -> None:
    task = blocking(emulator, timeout=0.2)
    emulator.set(job_seconds=3600)
    for _ in range(2):
        with pytest.raises(JobTimeoutError, match="cannot be cancelled"):
            task.start()
    emulator.finish_jobs()
    assert task.start()["status"] == "COMPLETED"
    assert len(emulator.charges) == 1


def test_without_a_record_a_wait_that_ended_is_no_reason_to_order_again(emulator: Emulator) -> None:
    task = blocking(emulator, timeout=0.2, durable=False)
    emulator.set(job_seconds=3600)
    with pytest.raises(AirflowFailException, match=r"JobTimeoutError.* a retry would pay again"):
        task.start()
    with pytest.raises(AirflowFailException, match="This is a retry"):
        task.start()
    assert len(emulator.charges) == 1


def test_a_job_that_failed_is_ordered_again_by_a_retry(emulator: Emulator) -> None:
    emulator.script(Fault("will-fail", on="submit", times=1))
    task = blocking(emulator)
    with pytest.raises(JobFailedError):
        task.start()
    assert task.start()["status"] == "COMPLETED"
    assert len(emulator.charges) == 2


@pytest.mark.parametrize("kept", [True, False], ids=["3.3", "3.1"])
def test_a_batch_is_ordered_waited_for_and_charged_once_for_each_swap(
    emulator: Emulator, tmp_path: Path, kept: bool
) -> None:
    emulator.set(job_polls=2)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 5), deferrable=False)
    if not kept:
        batch.store = None
    summary = batch.start()
    assert (summary["total"], summary["completed"]) == (5, 5)
    assert all(row["image_url"] for row in batch.rows())
    assert charged(emulator) == [1] * 5


def test_a_batch_leaves_what_is_not_done_in_time_to_a_retry_that_orders_nothing(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=3600)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 3), deferrable=False, timeout=0.3)
    with pytest.raises(Exception, match="3 UNFINISHED"):
        batch.start()
    emulator.finish_jobs()
    assert batch.start()["completed"] == 3
    assert charged(emulator) == [1] * 3


def test_a_task_that_may_defer_does(emulator: Emulator) -> None:
    emulator.set(job_polls=2)
    with pytest.raises(TaskDeferred):
        Task(emulator).start()
