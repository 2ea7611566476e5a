"""A wait and the memory of swaps: do not ask for what is known to be done, and keep what is seen to end."""

from __future__ import annotations

import asyncio
import time

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.memory.store import remembers
from airflow_provider_segmind.memory.swaps import hook_with, keep, lost, recalled
from airflow_provider_segmind.waiting.shared import SharedConnection

OLD = 600.0
"""Seconds after an order from which another task may have seen its end; Segmind forgets it after an hour."""


async def known_end(job: Job) -> Job:
    """Return a job as the memory knows it, if it was ordered long ago and is done; else as it is."""
    if not remembers() or time.time() - (job.submitted_at or 0.0) < OLD:
        return job
    return await asyncio.to_thread(recalled, job)


async def keep_end(connection: SharedConnection, outcome: Job | SegmindError) -> None:
    """Keep how a job ended, with its pictures. Never raises."""
    if not remembers():
        return
    if isinstance(outcome, SegmindError):
        await asyncio.to_thread(lost, outcome)
    else:
        hook = hook_with(connection.conn_id, (await connection.client()).settings)
        await asyncio.to_thread(keep, hook, outcome)
