"""Wait for the jobs of a batch and store each result as it arrives, on a worker or in a triggerer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow_provider_segmind.api.errors import JobExpiredError, SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import Said
from airflow_provider_segmind.api.results import outputs_of, result_of
from airflow_provider_segmind.batch.files import COMPLETED, EXPIRED, FAILED, UNFINISHED, BatchFiles, Row, is_good
from airflow_provider_segmind.waiting.remembering import keep_end, known_end
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
MAX_OUTPUTS, MAX_TEXT = 20, 2048
"""Outputs in a row, and characters of each; the job's poll URL has the rest."""
FLUSH_ROWS = 500
REPORT_SECONDS = 30.0


class Collector:
    """
    Collects results, stores them within a few seconds, and logs the progress of the batch.

    :param done: results of earlier attempts, by index.
    :param log: the logger for progress messages.
    """

    def __init__(self, files: BatchFiles, total: int, done: Mapping[int, Row], log: Any) -> None:
        self.rows: dict[int, Row] = dict(done)
        self._files = files
        self._total = total
        self._log = log
        self._buffer: list[Row] = []
        self._began = self._reported = time.monotonic()
        self._had = len(done)
        self._lock = asyncio.Lock()
        self._full = asyncio.Event()

    def add(self, row: Row) -> None:
        """Take a result; :meth:`run` stores it soon, and again if the storage fails."""
        self.rows[row["index"]] = row
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
                await asyncio.wait_for(self._full.wait(), FLUSH_SECONDS)
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
        done, bad = len(self.rows), sum(not is_good(row) for row in self.rows.values())
        rate = 60 * (done - self._had) / max(time.monotonic() - self._began, 1e-3)
        left = f"about {(self._total - done) / rate:.0f} min left" if rate > 0 else "time left unknown"
        self._log.info(
            "Batch: %s%d of %d done, %d without a picture, %.0f a minute, %s.",
            "" if ordered is None else f"{ordered} ordered, ",
            *(done, self._total, bad, rate, left),
        )


async def wait_for(
    connection: SharedConnection,
    index: int,
    job: Job,
    *,
    deadline: float,
    poll_interval: float,
    output_key: str | None,
    max_outage: float | None = None,
    clock_offset: float | None = None,
    said: Said | None = None,
) -> Row:
    """
    Wait for one job of a batch and return its result row, whatever the outcome.

    :param deadline: seconds since the epoch.
    :param max_outage: seconds of outage after which the wait gives up; the result may then expire before a retry.
    :param clock_offset: see :meth:`~airflow_provider_segmind.api.poller.Poller.wait`.
    """
    try:
        done = await known_end(job)
        if done.done:
            return {**_row(index, job), **_said(done, output_key)}
        done = await connection.poller.wait(
            job.poll_url,
            deadline=deadline,
            poll_interval=poll_interval,
            max_outage=max_outage,
            workflow=job.workflow or "",
            submitted_at=job.submitted_at,
            clock_offset=clock_offset,
            said=said,
        )
        await keep_end(connection, done)
    except SegmindError as error:
        error.request_id = error.request_id or job.request_id
        await keep_end(connection, error)
        status = EXPIRED if isinstance(error, JobExpiredError) else UNFINISHED
        return {**_row(index, job), "status": status, "error": str(error)}
    except Exception as error:  # must not end the other waits of the batch
        log.exception("Waiting for %s broke", job.poll_url)
        broken = f"The wait broke: {type(error).__name__}. Ask for it again."
        return {**_row(index, job), "status": UNFINISHED, "error": broken}
    seconds = round(max(0.0, time.time() - job.submitted_at), 1) if job.submitted_at else None
    return {**_row(index, job), "seconds": seconds, **_said(done, output_key)}


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
