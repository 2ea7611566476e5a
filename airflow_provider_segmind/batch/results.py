"""Wait for the jobs of a batch and store each result as it arrives, on a worker or in a triggerer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_segmind.api.errors import JobExpiredError, SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import Said
from airflow_provider_segmind.api.poller import Wait
from airflow_provider_segmind.api.results import outputs_of, result_of
from airflow_provider_segmind.batch.files import COMPLETED, EXPIRED, FAILED, UNFINISHED, BatchFiles, Row, Rows, is_good
from airflow_provider_segmind.memory.swaps import is_old
from airflow_provider_segmind.observability.metrics import outcome_of
from airflow_provider_segmind.waiting.remembering import keep_end, known_end
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
MAX_OUTPUTS, MAX_TEXT = 20, 2048
"""Outputs in a row, and characters of each; the job's poll URL has the rest."""
FLUSH_ROWS = 500
REPORT_SECONDS = 30.0
BEGUN_TOGETHER = 64
"""Jobs for which the memory of swaps is asked at the same time."""


@dataclass(frozen=True)
class Waiting:
    """
    How to wait for the jobs of a batch.

    :param poll_interval: seconds.
    :param max_outage: seconds of outage after which a wait gives up; the result may then expire before a retry.
    :param clock_offset: see :meth:`~airflow_provider_segmind.api.poller.Poller.begin`.
    """

    poll_interval: float
    output_key: str | None
    max_outage: float | None
    clock_offset: float | None = None


class Collector:
    """
    Collects results, stores them within a few seconds, and logs the progress of the batch.

    :param done: results of earlier attempts, by index.
    :param log: the logger for progress messages.
    """

    def __init__(self, files: BatchFiles, total: int, done: Mapping[int, Row], log: Any) -> None:
        self.rows = Rows(done.values())
        self._files = files
        self._total = total
        self._log = log
        self._buffer: list[Row] = []
        self._began = self._reported = time.monotonic()
        self._had = len(done)
        self._bad = sum(not is_good(row) for row in done.values())
        self._lock = asyncio.Lock()
        self._full = asyncio.Event()

    def add(self, row: Row) -> None:
        """Take a result; :meth:`run` stores it soon, and again if the storage fails."""
        self.rows.add(row)
        self._bad += not is_good(row)
        self._buffer.append(row)
        if len(self._buffer) >= FLUSH_ROWS:
            self._full.set()

    async def flush(self) -> None:
        """Store all new results. If the storage raises, keep them for the next flush."""
        async with self._lock:
            rows = self._buffer[:]
            if rows:
                await asyncio.to_thread(self._files.write_part, rows)
                del self._buffer[: len(rows)]

    async def run(self, ordered: Mapping[int, Any] | None = None) -> None:
        """
        Store and report until cancelled.

        :param ordered: the orders so far, if ordering still continues.
        """
        while True:
            with suppress(TimeoutError):
                # Not `wait_for`: in Python 3.11 it loses a cancellation that comes when it has what it waits for.
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._full.wait()
            self._full.clear()
            try:
                await self.flush()
            except Exception:  # noqa: BLE001 - storage backends raise any type
                self._log.exception("Results could not be stored now; trying again.")
                await asyncio.sleep(FLUSH_SECONDS)
            if time.monotonic() - self._reported >= REPORT_SECONDS:
                self._reported = time.monotonic()
                self.report(None if ordered is None else len(ordered))

    def report(self, ordered: int | None = None) -> None:
        """Log the progress of the batch."""
        done = len(self.rows)
        rate = 60 * (done - self._had) / max(time.monotonic() - self._began, 1e-3)
        left = f"about {(self._total - done) / rate:.0f} min left" if rate > 0 else "time left unknown"
        self._log.info(
            "Batch: %s%d of %d done, %d without a picture, %.0f a minute, %s.",
            "" if ordered is None else f"{ordered} ordered, ",
            *(done, self._total, self._bad, rate, left),
        )


class JobWaits:
    """
    Waits for the jobs of a batch, and hands the row of each to a collector as soon as the job ends.

    A job that runs takes no task of its own, since a batch may have a hundred thousand.

    :param how: how to wait for each job.
    :param leave_unfinished: whether another wait asks again for jobs that did not end, so that they get no row now.
    """

    def __init__(
        self, connection: SharedConnection, how: Waiting, results: Collector, *, leave_unfinished: bool = False
    ) -> None:
        self._connection = connection
        self._how = how
        self._results = results
        self._leave_unfinished = leave_unfinished
        self._said = Said()
        self._waits: set[Wait] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._over = False

    async def begin_all(self, jobs: Iterable[tuple[int, Job]], deadline: float) -> None:
        """Begin to wait for many jobs; those last that the memory of swaps is asked for, some at a time."""
        left = iter(sorted(jobs, key=lambda one: is_old(one[1])))

        async def begin_some() -> None:
            for index, job in left:
                await self.begin(index, job, deadline)
                await asyncio.sleep(0)  # the other triggers of this event loop must not wait for all of them

        await asyncio.gather(*(begin_some() for _ in range(BEGUN_TOGETHER)))

    async def begin(self, index: int, job: Job, deadline: float) -> None:
        """Begin to wait for a job, until so many seconds since the epoch, unless the memory of swaps knows its end."""
        try:
            known = await known_end(job)
            if known.done:
                self._add(job, {**_row(index, job), **_said(known, self._how.output_key)})
                return
            wait = await self._connection.poller.begin(
                job.poll_url,
                deadline=deadline,
                poll_interval=self._how.poll_interval,
                max_outage=self._how.max_outage,
                workflow=job.workflow or "",
                submitted_at=job.submitted_at,
                clock_offset=self._how.clock_offset,
                said=self._said,
            )
        except Exception as error:  # noqa: BLE001 - it must not end the other waits of the batch
            self._add(job, await self._failed(index, job, error))
        else:
            self._waits.add(wait)
            wait.add_done_callback(partial(self._done, index, job), context=wait.context)

    async def ended(self) -> None:
        """Return as soon as no job is waited for."""
        while self._waits or self._tasks:
            self._ended.clear()
            await self._ended.wait()

    async def end(self) -> None:
        """Wait no longer; what ended at this moment is left to the next wait."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        for wait in tuple(self._waits):
            self._connection.poller.leave(wait)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, index: int, job: Job, wait: Wait) -> None:
        self._waits.discard(wait)
        if not wait.cancelled():
            wait.exception()  # seen: asyncio would log it if nothing else looks at it before the end
            if not self._over:
                task = asyncio.get_running_loop().create_task(self._keep(index, job, wait))
                self._tasks.add(task)
                task.add_done_callback(self._kept)
        self._ended.set()

    def _kept(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ended.set()

    async def _keep(self, index: int, job: Job, wait: Wait) -> None:
        try:
            done = await wait
            await keep_end(self._connection, done)
            seconds = round(max(0.0, time.time() - job.submitted_at), 1) if job.submitted_at else None
            row = {**_row(index, job), "seconds": seconds, **_said(done, self._how.output_key)}
        except Exception as error:  # noqa: BLE001 - it must not end the other waits of the batch
            row = await self._failed(index, job, error)
        self._add(job, row)

    async def _failed(self, index: int, job: Job, error: Exception) -> Row:
        """Return the row of a job whose wait ended with an error."""
        if not isinstance(error, SegmindError):
            log.error("Waiting for %s broke", job.poll_url, exc_info=error)
            broken = f"The wait broke: {type(error).__name__}. Ask for it again."
            return {**_row(index, job), "status": UNFINISHED, "error": broken}
        error.request_id = error.request_id or job.request_id
        await keep_end(self._connection, error)
        status = EXPIRED if isinstance(error, JobExpiredError) else UNFINISHED
        return {**_row(index, job), "status": status, "error": str(error)}

    def _add(self, job: Job, row: Row) -> None:
        if row["status"] == UNFINISHED and self._leave_unfinished:
            return
        self._connection.counters.ended(outcome_of(row), job.workflow, job.submitted_at)
        self._results.add(row)


def _row(index: int, job: Job) -> Row:
    return {"index": index, "request_id": job.request_id, "poll_url": job.poll_url, "error": None}


def result_row(index: int, job: Job, output_key: str | None) -> Row:
    """Return the result row of a job that the memory knows to be done."""
    return {**_row(index, job), "seconds": None, **_said(job, output_key)}


def _said(job: Job, output_key: str | None) -> Row:
    """Return what a result row says of a job that is done."""
    try:
        result = result_of(job, output_key=output_key, needs_image=True)
    except SegmindError as error:
        status = FAILED if job.status == FAILED else COMPLETED
        return {"status": status, "outputs": _shortened(outputs_of(job)), "error": str(error)}
    told = {name: result[name] for name in ("status", "image_url")}
    return {**told, "outputs": _shortened(result["outputs"]), "error": None}


def _shortened(outputs: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return outputs with long texts cut: thousands of rows are held in memory and in one file."""
    return [{**output, "url": _beginning(output["url"])} for output in outputs[:MAX_OUTPUTS]]


def _beginning(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
