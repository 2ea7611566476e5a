"""Trigger that waits for all jobs of a batch and stores each result as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segmind.api.clocks import known_offset
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.batch.files import BatchFiles, Row, composed, result_in, summary_of, too_many
from airflow_provider_segmind.batch.results import Collector, JobWaits, Waiting
from airflow_provider_segmind.gallery.recording import ended_batch
from airflow_provider_segmind.waiting.ending import finish, read_trigger_exit
from airflow_provider_segmind.waiting.events import event_of_batch, event_of_error
from airflow_provider_segmind.waiting.shared import SharedConnection, shared_connection


class BodySwapBatchTrigger(BaseTrigger):
    """
    Waits until all jobs of a batch are done, and always ends with one small event.

    Its arguments are small too: the list of jobs is in the batch's files.

    :param results: URI of the results manifest.
    :param batch: unique name of the batch.
    :param segmind_conn_id: id of the Airflow connection.
    :param deadline: seconds since the epoch.
    :param poll_interval: seconds between polls of one job.
    :param output_key: ``keyname`` of the output to return as ``image_url``.
    :param max_failures: number of swaps that may fail; below 1, their share of all swaps.
    :param price: US dollars for one swap, for the summary.
    :param ending: how the task may end in the triggerer.
    :param max_outage: seconds that an outage may last before the trigger gives up a swap; ``None`` for no limit.
    :param clock_offset: seconds that the clock behind ``deadline`` is ahead of Segmind's clock, if known.
    :param later: arguments from another version of this package; ignored.
    """

    def __init__(
        self,
        results: str,
        batch: str,
        segmind_conn_id: str,
        deadline: float,
        poll_interval: float = 7.0,
        output_key: str | None = None,
        max_failures: float = 0,
        price: float = 0.0,
        ending: Mapping[str, Any] | None = None,
        max_outage: float | None = None,
        clock_offset: float | None = None,
        **later: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.results = results
        self.batch = batch
        self.segmind_conn_id = segmind_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.output_key = output_key
        self.max_failures = max_failures
        self.price = price
        self.ending = read_trigger_exit(ending)
        self.max_outage = max_outage
        self.clock_offset = clock_offset

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the arguments with which another triggerer can wait for the same batch."""
        names = ("results", "batch", "segmind_conn_id", "deadline", "poll_interval", "output_key")
        more = ("max_failures", "price", "max_outage", "clock_offset")
        kwargs = {name: getattr(self, name) for name in (*names, *more)}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**kwargs, "ending": self.ending.to_json()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event: the end of the task if nothing is lost by that, else the event to resume with."""
        try:
            summary = await self._wait()
            yield await self._end(summary) or TriggerEvent(event_of_batch(summary))
        except SegmindError as error:
            yield TriggerEvent(event_of_error(error))
        except Exception as error:
            # An exception would fail the task without its message.
            self.log.exception("Waiting for the batch of %s broke", self.results)
            yield TriggerEvent(event_of_error(SegmindError(f"Waiting for the batch broke: {type(error).__name__}.")))

    async def on_kill(self) -> None:
        """Log that a person ended the wait, but not the jobs, which cannot be cancelled (called by Airflow 3.3)."""
        self.log.warning(
            "A person ended this wait. Segmind cannot cancel: the jobs of the batch go on and are billed. Their poll "
            "URLs and the results so far are in %s.parts/%s",
            *(self.results, self.batch),
        )

    async def _wait(self) -> dict[str, Any]:
        async with shared_connection(self.segmind_conn_id) as connection:
            return await self.wait(connection, self.log)

    async def wait(self, connection: SharedConnection, log: Any) -> dict[str, Any]:
        """Wait for all jobs, write the results manifest, and return its summary; also usable on a worker."""
        files = BatchFiles(self.results, self.batch)
        results, orders = await asyncio.to_thread(self._begun, files, log)
        results.report()
        how = Waiting(self.poll_interval, self.output_key, self.max_outage, known_offset(self.clock_offset))
        waits = JobWaits(connection, how, results)
        storing = asyncio.get_running_loop().create_task(results.run())
        try:
            await waits.begin_all(orders, self.deadline)
            await waits.ended()
        finally:
            storing.cancel()
            await waits.end()
        await results.flush()
        results.report()
        return await asyncio.to_thread(self._written, files, results.rows)

    # The list of a large batch takes more memory than its waits: only what the wait needs of it is kept, and it is read
    # again at the end.

    @staticmethod
    def _begun(files: BatchFiles, log: Any) -> tuple[Collector, list[tuple[int, Job]]]:
        """Return the results so far, and the orders to wait for."""
        parts, total = files.read_parts(), 0
        known: dict[int, Row] = {}
        orders: list[tuple[int, Job]] = []
        for swap in files.read_swaps():
            total, index = total + 1, swap["index"]
            if (part := result_in(parts, swap)) is not None:
                known[index] = part
            elif swap["request_id"]:
                orders.append((index, _job(swap)))
        return Collector(files, total, known, log), orders

    def _written(self, files: BatchFiles, results: Mapping[int, Row]) -> dict[str, Any]:
        """Write the results manifest, and return its summary."""
        files.write_results(composed(files.read_swaps(), results))
        return summary_of(composed(files.read_swaps(), results), self.results, self.price)

    async def _end(self, summary: Mapping[str, Any]) -> TriggerEvent | None:
        if too_many(summary, self.max_failures):
            return None
        return await finish(self.ending, self.task_instance, summary, self.log, ended_batch(summary))


def _job(swap: Row) -> Job:
    """Return the job of an ordered swap."""
    submitted_at = swap.get("submitted_at")
    return Job(
        swap["request_id"],
        swap["poll_url"],
        "QUEUED",
        workflow=swap.get("workflow"),
        submitted_at=submitted_at if isinstance(submitted_at, (int, float)) else None,
        reused=swap.get("reused") is True,
    )
