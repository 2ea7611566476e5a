"""Wait on a worker for jobs of a batch that is still being ordered, and push their handles as an XCom."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.results import handle_of
from airflow_provider_segmind.batch.files import BatchFiles, Row
from airflow_provider_segmind.batch.ordering import Ordering
from airflow_provider_segmind.batch.plan import Plan
from airflow_provider_segmind.batch.results import Collector, JobWaits, Waiting, result_row
from airflow_provider_segmind.compat import THREADS_MAY_ASK_AIRFLOW
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.waiting.shared import SharedConnection
from airflow_provider_segmind.waiting.timeouts import until_timeout

log = logging.getLogger(__name__)

LEAVE_SECONDS = 3.0
"""Seconds between two pushes of the handles while ordering continues."""


class Waits:
    """
    Waits for jobs while others are still being ordered, so that no result expires in the meantime.

    :param timeout: seconds after which the wait for a job is left to the triggerer.
    """

    def __init__(
        self, waiting: Waiting, timeout: float, plan: Plan, files: BatchFiles, done: Mapping[int, Row]
    ) -> None:
        self._waiting = waiting
        self._timeout = timeout
        self._plan = plan
        self._results = Collector(files, len(plan.swaps), done, log)
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: JobWaits | None = None

    @property
    def rows(self) -> Mapping[int, Row]:
        """The results so far, by index."""
        return self._results.rows

    def begin(self, connection: SharedConnection) -> None:
        """Start waiting, also for orders of earlier attempts."""
        self._jobs = jobs = JobWaits(connection, self._waiting, self._results, leave_unfinished=True)
        self._start(self._results.run(self._plan.ledger.entries))
        earlier = [
            (index, entry.job(self._plan.terms.workflow))
            for index, entry in self._plan.ledger.entries.items()
            if entry.known and index not in self.rows and index not in self._plan.again
        ]
        self._start(jobs.begin_all(earlier, time.time() + self._timeout))

    def wait(self, index: int, job: Job) -> None:
        """Start waiting for one more job; one from the memory may be done."""
        assert self._jobs is not None  # noqa: S101 - begin() sets it
        if job.done:
            self._results.add(result_row(index, job, self._waiting.output_key))
        else:
            self._start(self._jobs.begin(index, job, time.time() + self._timeout))

    async def end(self) -> None:
        """Stop waiting and store the results; a triggerer waits for the rest and repeats what cannot be stored now."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._jobs is not None:
            await self._jobs.end()
        try:
            await self._results.flush()
        except Exception:
            log.exception("Results could not be stored; they are asked for again.")

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def handles_of(entries: Mapping[int, OrderRecord], workflow: str) -> list[dict[str, Any]]:
    """Return the handles of all accepted orders of a batch, in the batch's order."""
    return [handle_of(entry.job(workflow)) for _, entry in sorted(entries.items()) if entry.known]


class Handles:
    """Pushes the handles of a batch as XCom ``ordered``, in case the worker is killed and no other record exists."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._push = context["ti"].xcom_push
        self._plan = plan
        self._durable = OrderStore(context).durable
        self._left = 0

    async def leave_often(self) -> None:
        """Push the handles every few seconds, until cancelled."""
        pause = LEAVE_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            await self.leave()
            # A push of thousands of handles takes long: spend at most a tenth of the time on it.
            pause = max(LEAVE_SECONDS, 9 * (time.monotonic() - began))

    async def leave(self) -> None:
        """Push the handles now, if there are new ones."""
        handles = handles_of(self._plan.ledger.entries, self._plan.terms.workflow)
        if self._durable or len(handles) == self._left:
            return
        try:
            if THREADS_MAY_ASK_AIRFLOW:
                await asyncio.to_thread(self._push, key="ordered", value=handles)
            else:
                self._push(key="ordered", value=handles)
        except Exception:  # the log has the orders, too
            log.exception("The XCom 'ordered' could not be pushed; the log names each order.")
        else:
            self._left = len(handles)


async def place_all(
    context: Context,
    plan: Plan,
    connection: SharedConnection,
    indexes: Iterable[int],
    results: Waits | None,
    accepted: Callable[[], None],
    refused: Exception | None = None,
) -> Ordering:
    """
    Order some swaps of a batch; the returned ``Ordering`` holds what went wrong.

    :param results: waits for accepted orders until this function ends.
    :param refused: the reason to place no orders at all.
    """
    if results is not None:
        results.begin(connection)

    def note(index: int, job: Job) -> None:
        if not job.reused:
            accepted()
        if results is not None:
            results.wait(index, job)

    ordering = Ordering(connection, plan.ledger, plan.swaps, plan.terms, note, plan.memory)
    ordering.stopped = refused
    handles = Handles(context, plan)
    leaving = asyncio.ensure_future(handles.leave_often())
    try:
        await until_timeout(ordering.run(indexes), ordering.stop)
    except Exception as error:  # noqa: BLE001 - accepted orders must be recorded before it is raised
        ordering.stopped = ordering.stopped or error
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await handles.leave()
        if ordering.stopped is not None:
            why = ordering.stopped
            log.warning("Ordering stopped; what is ordered goes on. %s: %s", type(why).__name__, why)
        if results is not None:
            await results.end()
        plan.ledger.close()
        await connection.close()
    return ordering
