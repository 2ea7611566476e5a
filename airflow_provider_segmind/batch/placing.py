"""Place the orders of a batch, and keep a record of accepted orders even if something fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from airflow.sdk import Context

from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.batch.ordering import Ordering
from airflow_provider_segmind.batch.plan import Plan
from airflow_provider_segmind.batch.waits import Handles, Waits
from airflow_provider_segmind.waiting.shared import SharedConnection
from airflow_provider_segmind.waiting.timeouts import until_timeout

log = logging.getLogger(__name__)


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
        accepted()
        if results is not None:
            results.wait(index, job)

    ordering = Ordering(connection, plan.ledger, plan.swaps, plan.terms, note)
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
