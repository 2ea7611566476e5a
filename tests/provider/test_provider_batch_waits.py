"""The jobs of a batch are waited for without a task each, and without holding up the triggers beside them."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_segmind.api import schedule
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.batch import results as batch_results
from airflow_provider_segmind.batch.files import BatchFiles
from airflow_provider_segmind.batch.results import BEGUN_TOGETHER, Collector, JobWaits, Waiting
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.memory.swaps import is_old
from airflow_provider_segmind.waiting.shared import SharedConnection, shared_connection
from tests.provider.batches import until

LATER = 4e9


def jobs(emulator: Emulator, count: int) -> list[tuple[int, Job]]:
    """Return jobs whose first poll is due in some seconds."""
    urls = [f"{emulator.url}/workflows/request/{number:032x}" for number in range(count)]
    return [(number, Job(f"{number:032x}", url, "QUEUED")) for number, url in enumerate(urls)]


@pytest.fixture
async def connection(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SharedConnection]:
    monkeypatch.setattr(schedule, "PRIOR", 35.0)  # otherwise the first poll is due at once on a busy machine
    async with shared_connection("segmind_default") as shared:
        await shared.client()
        yield shared


@pytest.fixture
def results(tmp_path: Path) -> Collector:
    return Collector(BatchFiles(str(tmp_path / "results.jsonl"), "b"), 1, {}, logging.getLogger("batch"))


@pytest.fixture
def waits(connection: SharedConnection, results: Collector) -> JobWaits:
    return JobWaits(connection, Waiting(60.0, None, None), results)


async def test_jobs_that_run_take_no_task_and_none_is_asked_for_after_the_end(
    emulator: Emulator, connection: SharedConnection, waits: JobWaits
) -> None:
    tasks = len(asyncio.all_tasks())
    await waits.begin_all(jobs(emulator, 300), LATER)
    assert len(asyncio.all_tasks()) == tasks
    assert len(connection.poller._schedule) == 300
    await waits.end()
    await waits.ended()
    assert len(connection.poller._schedule) == 0


async def test_other_triggers_have_their_turns_while_a_large_batch_begins(emulator: Emulator, waits: JobWaits) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await waits.begin_all(jobs(emulator, 10 * BEGUN_TOGETHER), LATER)
    task.cancel()
    assert turns >= 10
    await waits.end()


async def test_a_job_whose_poll_url_is_not_segminds_does_not_keep_the_others_from_being_waited_for(
    emulator: Emulator, connection: SharedConnection, waits: JobWaits, results: Collector
) -> None:
    evil = (300, Job("evil", "https://evil.example/1", "QUEUED"))
    await waits.begin_all([evil, *jobs(emulator, 3)], LATER)
    assert list(results.rows) == [300]
    assert results.rows[300]["status"] == "UNFINISHED"
    assert "is not on the connection's host" in results.rows[300]["error"]
    assert len(connection.poller._schedule) == 3
    await waits.end()


async def test_waits_that_the_poller_ends_leave_their_jobs_to_a_retry(
    emulator: Emulator, connection: SharedConnection, waits: JobWaits, results: Collector
) -> None:
    await waits.begin_all(jobs(emulator, 3), LATER)
    await connection.poller.close()
    await waits.ended()
    assert not results.rows


async def test_a_job_that_is_seen_to_end_at_the_very_end_is_left_to_the_next_wait(
    emulator: Emulator, waits: JobWaits, results: Collector
) -> None:
    """What became of it would be kept with a connection that is closed by then."""
    ((index, job),) = jobs(emulator, 1)
    await waits.begin(index, job, LATER)
    (wait,) = waits._waits
    wait.set_result(replace(job, status="COMPLETED"))
    await waits.end()
    await waits.ended()
    assert not results.rows


async def test_jobs_that_the_memory_is_not_asked_for_do_not_wait_behind_those_it_is(
    emulator: Emulator, connection: SharedConnection, waits: JobWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that hangs would let the records of young jobs expire."""

    async def hanging(job: Job) -> Job:
        if is_old(job):
            await asyncio.Event().wait()
        return job

    monkeypatch.setattr(batch_results, "known_end", hanging)
    old = [(index, replace(job, submitted_at=1.0)) for index, job in jobs(emulator, 2 * BEGUN_TOGETHER)]
    young = [(index, replace(job, submitted_at=time.time())) for index, job in jobs(emulator, 5)]
    beginning = asyncio.create_task(waits.begin_all([*old, *young], LATER))
    await until(lambda: len(connection.poller._schedule) == len(young))
    beginning.cancel()
    await waits.end()


@pytest.mark.parametrize("moments", range(6))
async def test_results_are_no_longer_stored_after_the_end_however_close_the_last_one_was(
    results: Collector, moments: int
) -> None:
    storing = asyncio.create_task(results.run())
    await asyncio.sleep(0)
    for index in range(batch_results.FLUSH_ROWS):
        results.add({"index": index, "status": "COMPLETED"})
    for _ in range(moments):
        await asyncio.sleep(0)
    storing.cancel()
    done, _ = await asyncio.wait({storing}, timeout=30)
    assert storing in done


async def test_an_error_at_the_very_end_is_not_logged_as_one_that_nobody_saw(
    emulator: Emulator, waits: JobWaits, caplog: pytest.LogCaptureFixture
) -> None:
    ((index, job),) = jobs(emulator, 1)
    await waits.begin(index, job, LATER)
    (wait,) = waits._waits
    wait.set_exception(SegmindError("gone"))
    await asyncio.sleep(0)
    await waits.end()
    del wait
    gc.collect()
    assert "never retrieved" not in caplog.text
