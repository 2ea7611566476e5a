"""
The pattern of other providers, without their network: what is left is what Airflow itself costs.

A task submits; a sensor defers at once, and when its trigger fires, it resumes on a worker to return the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator, Context
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

WAIT = 5.0
"""Seconds that a job takes."""


class PeerTrigger(BaseTrigger):
    """
    Sleeps as long as a job takes.

    :param request_id: the job.
    """

    def __init__(self, request_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.request_id = request_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another triggerer needs to sleep for the same job."""
        return (f"{__name__}.{type(self).__name__}", {"request_id": self.request_id})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event."""
        await asyncio.sleep(WAIT)
        yield TriggerEvent({"status": "success", "request_id": self.request_id})


class PeerSubmitOperator(BaseOperator):
    """
    Returns an id, as if a service had answered at once.

    :param request_id: the id.
    """

    template_fields = ("request_id",)

    def __init__(self, *, request_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id

    def execute(self, context: Context) -> str:
        """Return the id."""
        return self.request_id


class PeerSensor(BaseSensorOperator):
    """
    Waits for a job in the triggerer.

    :param request_id: the job.
    """

    template_fields = ("request_id",)

    def __init__(self, *, request_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id

    def execute(self, context: Context) -> None:
        """Leave the wait to a trigger."""
        self.defer(trigger=PeerTrigger(self.request_id), method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Return the result, on a worker."""
        return str(event["request_id"])


class DeferOnceOperator(PeerSensor):
    """Defers once, and ends in the trigger: as little as a task that waits can do."""

    def execute(self, context: Context) -> None:
        """Leave the wait, and the end, to a trigger."""
        self.defer(trigger=EndingTrigger(self.request_id), method_name="execute_complete")


class RecordsOperator(DeferOnceOperator):
    """Defers once, with the requests to Airflow of a `BodySwapOperator`: its records, XComs and links."""

    def execute(self, context: Context) -> None:
        """Ask for what an order needs so that it is paid for once and can be seen, without an order."""
        store: Any = context["task_state_store"]
        ti: Any = context["ti"]
        store.get("order")
        store.set("order", {"at": 0.0})
        ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index)
        store.set("order", {"at": 0.0, "request_id": self.request_id})
        for key in ("poll_url", "request_id", "swap", "link_to_page", "link_to_result", "link_to_source"):
            ti.xcom_push(key=key, value=self.request_id)
        super().execute(context)


class EndingTrigger(PeerTrigger):
    """Sleeps as long as a job takes, and ends the task."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event."""
        await asyncio.sleep(WAIT)
        yield TaskSuccessEvent(xcoms={"return_value": self.request_id})
