"""
Warm up a triggerer while its tasks wait: the first request to Airflow's task API makes Airflow 3.3.2 import all of
that API, which takes seconds (four of CPU time, measured) and would delay the end of every waiting task.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_segmind.waiting.ending import Ending

log = logging.getLogger(__name__)

_NOT_THERE = "segmind_not_there"
_going: list[asyncio.Task[None]] = []


def warm_up(ending: Ending, ti: Any) -> None:
    """Start the first request of this process in the background, unless the task resumes on a worker anyway."""
    if _going or ti is None or not (ending.success and ending.push):
        return
    # Keep a reference, or the task may be garbage-collected; it also prevents a second request.
    _going.append(asyncio.get_running_loop().create_task(_ask(ti)))


async def _ask(ti: Any) -> None:
    try:
        await asyncio.to_thread(
            XCom.get_one, key=_NOT_THERE, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
        )
    except Exception as error:  # noqa: BLE001 - only a warm-up
        log.debug("The first request to Airflow's task API failed: %s", error)
