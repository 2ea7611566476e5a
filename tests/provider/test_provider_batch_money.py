"""A swap of a batch is not paid for twice where the clock, the service or its history behave oddly."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import flow, history
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.batch.files import BatchFiles
from airflow_provider_segmind.batch.results import Collector, JobWaits, Waiting
from airflow_provider_segmind.compat import THREADS_MAY_ASK_AIRFLOW, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.waiting.shared import shared_connection
from tests.provider import paces
from tests.provider.batches import PNG, Batch, at_once, charged, swaps

__all__ = ["at_once"]


def test_an_order_that_was_accepted_long_after_its_first_429_is_still_found(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 429 can ask for ten minutes; the history is searched for seven after the intent."""
    monkeypatch.setattr(paces, "QUICKER", 1.0)  # real pauses, since the history goes by the time
    monkeypatch.setattr(history, "LATE", 0.5)
    emulator.set(job_seconds=0)
    emulator.script(Fault("429", after=20, times=8, seconds=1.0), Fault("drop-after", after=20, times=4))
    assert Batch(emulator, tmp_path, swaps=swaps(emulator, 40)).attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


def test_a_failed_job_that_is_ordered_again_is_not_mistaken_for_the_new_order(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Both requests of the swap are in the history, made within the same minute, when the new answer is lost."""
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail", after=3))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    with pytest.raises(SegmindError, match="9 COMPLETED, 1 FAILED"):
        batch.attempt()
    emulator.script(Fault("drop-after"))
    assert batch.attempt()["completed"] == 10
    assert charged(emulator) == [1] * 9 + [2]


def test_what_was_ordered_is_waited_for_when_the_balance_cannot_pay_for_the_rest(
    emulator: Emulator, tmp_path: Path
) -> None:
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 40))
    assert batch.store is not None
    emulator.set(job_polls=2)
    batch.store.broken_after = 8
    with pytest.raises((RuntimeError, SegmindError)):
        batch.attempt()
    batch.store.broken_after = None
    ordered = len(emulator.charges)
    assert 0 < ordered < 40
    emulator.set(credits=0.1)
    with pytest.raises(SegmindError, match=r"COMPLETED.* NOT_ORDERED"):
        batch.attempt()
    assert any("None was ordered now" in (row["error"] or "") for row in batch.rows())
    assert sum(row["status"] == "COMPLETED" for row in batch.rows()) > 0
    emulator.set(credits=100.0)
    assert batch.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


async def test_a_wait_outlasts_any_outage_that_ends_before_the_deadline(emulator: Emulator, tmp_path: Path) -> None:
    """Otherwise its job would not be asked for until all others are ordered, when its record may have expired."""
    emulator.set(job_seconds=0)
    job = SegmindHook().submit(BODY_SWAP_WORKFLOW, {k: v for k, v in swaps(emulator, 1)[0].items() if k != "id"})
    emulator.script(Fault("502-html", on="poll", times=12))
    async with shared_connection("segmind_default") as connection:
        connection.poller = poller = Poller(connection.client, pace=flow.Pace(first=0.01, limit=0.02))
        results = Collector(BatchFiles(str(tmp_path / "results.jsonl"), "b"), 1, {}, logging.getLogger("batch"))
        waits = JobWaits(connection, Waiting(0.05, None, None), results)
        await waits.begin(0, job, time.time() + 30)
        await waits.ended()
        await poller.close()
    assert results.rows[0]["status"] == "COMPLETED"


def test_a_history_that_refuses_for_a_while_is_asked_again_in_the_same_attempt(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("drop-after", after=6, times=3), Fault("429", on="history", times=2, seconds=0.1))
    assert Batch(emulator, tmp_path, swaps=swaps(emulator, 30)).attempt()["completed"] == 30
    assert charged(emulator) == [1] * 30


def test_an_upload_that_is_refused_for_a_while_does_not_stop_the_batch(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    person = tmp_path / "person.png"
    person.write_bytes(PNG)
    emulator.script(Fault("429", on="upload", times=1, seconds=0.1))
    given = [{**swap, "reference_character_image": str(person)} for swap in swaps(emulator, 2)]
    assert Batch(emulator, tmp_path, swaps=given).attempt()["completed"] == 2


def test_where_an_intent_cannot_be_kept_nothing_is_sent_and_the_reason_is_said(
    emulator: Emulator, tmp_path: Path
) -> None:
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    assert batch.store is not None
    batch.store.broken_after = 1
    with pytest.raises(SegmindError, match="10 NOT_ORDERED"):
        batch.attempt()
    assert not emulator.charges
    assert "the metadata database is gone" in batch.rows()[0]["error"]


@pytest.mark.parametrize("refusal", ["406-credits", "404"])
def test_a_refused_new_order_does_not_make_the_failed_one_be_forgotten(
    emulator: Emulator, tmp_path: Path, refusal: str
) -> None:
    """The FAILED order has the same inputs: forgotten, it would be taken for the next one whose answer is lost."""
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail"))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 5))
    with pytest.raises(SegmindError, match="1 FAILED"):
        batch.attempt()
    failed = emulator.charges[0].request_id
    emulator.script(Fault(refusal))
    with pytest.raises(SegmindError, match="1 FAILED"):
        batch.attempt()
    assert len(emulator.charges) == 5
    emulator.script(Fault("drop-after"))
    assert batch.attempt()["completed"] == 5
    assert charged(emulator) == [1] * 4 + [2]
    assert failed not in [row["request_id"] for row in batch.rows()]


def test_a_batch_that_was_ended_while_its_worker_started_orders_nothing(emulator: Emulator, tmp_path: Path) -> None:
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    batch.state = "failed"
    with pytest.raises(SegmindError, match="state for this task is failed, not running"):
        batch.attempt()
    assert not emulator.charges


@pytest.mark.skipif(not THREADS_MAY_ASK_AIRFLOW, reason="on Airflow 3.1 a batch asks once, before its first order")
def test_a_batch_that_is_ended_half_way_orders_no_more_and_keeps_what_it_ordered(
    emulator: Emulator, tmp_path: Path
) -> None:
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 30))
    context = batch.context()
    asked = batch.ti.get_task_states

    def ended_half_way(**what: Any) -> Any:
        if len(emulator.charges) >= 10:
            batch.ti.state = "failed"
        return asked(**what)

    batch.ti.get_task_states = ended_half_way  # type: ignore[method-assign]
    seconds = emulator.settings.job_seconds
    emulator.set(job_seconds=3600)  # not done while a busy machine still orders
    with pytest.raises(TaskDeferred):
        batch.task().execute(context)
    emulator.set(job_seconds=seconds)
    emulator.finish_jobs()
    ordered = len(emulator.charges)
    assert 10 <= ordered < 30
    assert batch.attempt()["completed"] == 30
    assert charged(emulator) == [1] * 30
