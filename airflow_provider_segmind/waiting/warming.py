"""
Have a triggerer load what ending a task needs, while all it has to do is wait.

The first request of any trigger to Airflow's task API makes Airflow 3.3.2 import the whole of that API, for seconds
(four of processor time, measured). Left to the first result, every task that waits would end so much later.
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
    """
    Make the first request of this process, beside whatever the caller goes on to do.

    :param ending: how the task may end; one that resumes on a worker needs no request here.
    :param ti: the task instance that the trigger waits for, if it has one.
    """
    if _going or ti is None or not (ending.success and ending.push):
        return
    # Kept, because nobody else holds it, and so that there is one only.
    _going.append(asyncio.get_running_loop().create_task(_ask(ti)))


async def _ask(ti: Any) -> None:
    try:
        await asyncio.to_thread(
            XCom.get_one, key=_NOT_THERE, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
        )
    except Exception as error:  # noqa: BLE001 - nothing depends on it
        log.debug("The first request to Airflow's task API failed: %s", error)
