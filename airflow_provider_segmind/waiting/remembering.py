"""A wait and the memory of swaps: do not ask for what is known to be done, and keep what is seen to end."""

from __future__ import annotations

import asyncio
import logging

from asgiref.sync import sync_to_async

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.compat import THREADS_MAY_ASK_AIRFLOW
from airflow_provider_segmind.memory.store import store
from airflow_provider_segmind.memory.swaps import hook_with, is_old, keep, lost, recalled
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)


async def known_end(job: Job) -> Job:
    """Return a job as the memory knows it, if it was ordered long ago and is done; else as it is."""
    if not is_old(job) or not await _is_ready():
        return job
    return await asyncio.to_thread(recalled, job)


async def keep_end(connection: SharedConnection, outcome: Job | SegmindError) -> None:
    """Keep how a job ended, with its pictures. Never raises."""
    if not await _is_ready():
        return
    if isinstance(outcome, SegmindError):
        await asyncio.to_thread(lost, outcome)
    else:
        hook = hook_with(connection.conn_id, (await connection.client()).settings)
        await asyncio.to_thread(keep, hook, outcome)


async def _is_ready() -> bool:
    """Whether there is a memory, and its connection is looked up. Never raises."""
    where = store()
    if where is None:
        return False
    if not THREADS_MAY_ASK_AIRFLOW:
        # Before Airflow 3.2, of all threads only asgiref's can ask Airflow, see `compat.async_connection`. The check
        # looks the connection up for all that follow, once for this process.
        try:
            await sync_to_async(where.check)()
        except SegmindError as error:
            log.warning("%s", error)
            return False
    return True
