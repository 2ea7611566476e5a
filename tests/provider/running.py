"""Run a task through a deferral as Airflow does: everything that crosses a process goes through JSON."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.triggers.base import BaseTrigger

from airflow_provider_segmind.compat import TaskDeferred

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 3.1
    from airflow.exceptions import AirflowRescheduleException


class TaskInstance:
    """Keeps what a task pushes, and when it was first rescheduled."""

    dag_id, run_id, task_id, map_index = "dag", "run", "task", -1
    state: Any = "running"
    """What Airflow's database says of it; an exception is raised."""

    def __init__(
        self, first_reschedule: float | None = None, max_tries: int = 0, try_number: int = 1, retries: int | None = None
    ) -> None:
        self.xcoms: dict[str, Any] = {}
        self.max_tries = max_tries
        self.try_number = try_number
        self.first_reschedule = first_reschedule
        self.task = SimpleNamespace(retries=max_tries if retries is None else retries)

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom, which must be plain JSON."""
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str | list[str], key: str, map_indexes: int | None = None) -> Any:
        """Return what the task itself pushed."""
        return self.xcoms.get(key) if isinstance(task_ids, str) else [self.xcoms.get(key)]

    def get_task_states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str], map_index: int | None) -> Any:
        """Return the state of this task."""
        assert (dag_id, task_ids, run_ids) == (self.dag_id, [self.task_id], [self.run_id])
        if isinstance(self.state, Exception):
            raise self.state
        return {self.run_id: {self.task_id if map_index is None else f"{self.task_id}_{map_index}": self.state}}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Return when this task was first rescheduled."""
        return None if self.first_reschedule is None else datetime.fromtimestamp(self.first_reschedule, UTC)


def context(ti: TaskInstance | None = None) -> Any:
    """Return what the tasks of this package need of a context."""
    return {"ti": ti or TaskInstance()}


def revive(trigger: BaseTrigger) -> Any:
    """Return the trigger as another triggerer makes it from the database."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))


async def first_event(trigger: Any) -> Any:
    """Run a trigger to its event, and check that it yields only that one."""
    events = [event async for event in trigger.run()]
    assert len(events) == 1
    return json.loads(json.dumps(events[0].payload))


def run(task: Any, ctx: Any = None) -> Any:
    """Run a task to its result, through a deferral if it asks for one."""
    ctx = ctx or context()
    try:
        return task.execute(ctx)
    except TaskDeferred as deferred:
        event = asyncio.run(first_event(revive(deferred.trigger)))
        return task.resume_execution(deferred.method_name, {"event": event}, ctx)


def defer(task: Any) -> TaskDeferred:
    """Run a task up to its deferral, and return that."""
    try:
        task.execute(context())
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError(f"{task} did not defer")


def run_in_mode(make: Any, mode: str) -> Any:
    """Run a sensor to its end in one of its three modes; ``make`` returns a new one for each start of the task."""
    if mode == "deferrable":
        return run(make(deferrable=True))
    if mode == "poke":
        return make(deferrable=False, mode="poke").execute(context())
    return _run_rescheduled(make)


def _run_rescheduled(make: Any) -> Any:
    ti = TaskInstance()
    while True:
        started = time.time()
        try:
            return make(deferrable=False, mode="reschedule").execute(context(ti))
        except AirflowRescheduleException as again:
            ti = TaskInstance(first_reschedule=ti.first_reschedule or started)
            time.sleep(max(0.0, again.reschedule_date.timestamp() - time.time()))  # as the scheduler would
