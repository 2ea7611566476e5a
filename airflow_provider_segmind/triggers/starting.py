"""
Start a waiting task in the triggerer, so that it needs no worker (Airflow 3.3's ``start_from_trigger``).
Its arguments are fixed when the DAG is parsed, so the trigger finds the job itself, or starts the task on a worker.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from airflow.sdk.definitions.param import ParamsDict
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TriggerEvent

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.gallery import XCOM_KEY
from airflow_provider_segmind.api.parameters import (
    CONN_ID,
    POLL_INTERVAL,
    TIMEOUT,
    check_interval,
    check_mode,
    check_outage,
)
from airflow_provider_segmind.api.results import read_handle
from airflow_provider_segmind.api.uris import quoted
from airflow_provider_segmind.gallery.recording import is_shown, waiting
from airflow_provider_segmind.links import before_after
from airflow_provider_segmind.triggers.segmind import BACKSTOP, PixelFlowTrigger
from airflow_provider_segmind.waiting.ending import (
    Read,
    TriggerExit,
    allowed,
    push,
    worker_only,
    worker_only_settings,
)
from airflow_provider_segmind.waiting.events import event_of_start

log = logging.getLogger(__name__)

RETURN_VALUE = "return_value"
_NEVER_RUN = ("on_execute_callback", "pre_execute")
"""Settings that only a start on a worker runs."""


class UnknownShapeError(Exception):
    """Only a worker can find the job, because of how the task is connected."""


class StartedPixelFlowTrigger(PixelFlowTrigger):
    """
    Waits for a job from the very start of a task.

    :param source: ``task_id`` and ``key`` of the XCom that names the job. Without it, ``poll_url`` names the job or,
        for a mapped task, the value it is mapped over.
    :param grace: seconds from the task's own deadline until Airflow ends the wait.
    :param end_in_trigger: the task's ``end_in_trigger``.
    :param waiting: arguments of :class:`~airflow_provider_segmind.triggers.segmind.PixelFlowTrigger`.
    """

    def __init__(
        self,
        *,
        source: Mapping[str, str] | None = None,
        grace: float = BACKSTOP,
        end_in_trigger: str | bool = "auto",
        **waiting: Any,
    ) -> None:
        super().__init__(**{"poll_url": "", "deadline": 0.0, **waiting})
        self.source = source
        self.grace = grace
        self.end_in_trigger = end_in_trigger

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the arguments with which another triggerer can wait for the same job."""
        _, waiting = super().serialize()
        own = {"source": self.source, "grace": self.grace, "end_in_trigger": self.end_in_trigger}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**waiting, **own}

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render the author's templates: no worker has done so, and the fields hold nothing else."""
        BaseTrigger.render_template_fields(self, context, jinja_env)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Find the job, wait for it, and yield one event."""
        try:
            await self._prepare()
        except Exception as error:  # noqa: BLE001 - a worker can handle it, or reports it
            self.log.info("This task starts on a worker instead: %s: %s", type(error).__name__, error)
            yield TriggerEvent(event_of_start())
            return
        await self._show_wait()
        async for event in super().run():
            yield event

    async def _prepare(self) -> None:
        ends_at = getattr(self, "timeout_after", None)
        if ends_at is None:
            raise UnknownShapeError("Airflow did not say when the wait ends")
        self.deadline = (ends_at if ends_at.tzinfo else ends_at.replace(tzinfo=UTC)).timestamp() - self.grace
        self.ending = await asyncio.to_thread(self._ending)
        if not self.poll_url:
            self._take(await self._named_job())

    async def _show_wait(self) -> None:
        """Show the waiting swap in the gallery and link to it, as a worker does before it defers."""
        record = waiting(self.poll_url, self.request_id, self.submitted_at)
        if record is None or self.task_instance is None or not is_shown(self.workflow, self.needs_image):
            return
        links = before_after(self.task_instance) if self.needs_image else {}
        for key, value in {XCOM_KEY: record.to_json(), **links}.items():
            try:
                await push(self.task_instance, value, key)
            except Exception:
                self.log.warning("This swap is not shown in the gallery while it is waited for.", exc_info=True)
                return

    def _ending(self) -> TriggerExit:
        task, ti, parsed = self.task, self.task_instance, self.ending
        success, failure, skip = allowed(self.end_in_trigger, worker_only(_serialized(task), *_NEVER_RUN))
        forced = self.end_in_trigger is True
        return replace(
            parsed,
            success=success and (parsed.success or forced),
            failure=failure and (parsed.failure or forced),
            skip=skip and (parsed.skip or forced),
            # A person's clear adds tries that a triggerer cannot see.
            retries_left=bool(getattr(task, "retries", 1)) or getattr(ti, "try_number", 2) > 1,
        )

    async def _named_job(self) -> Any:
        """Return the XCom that names the job."""
        ti = self.task_instance
        if ti is None:
            raise UnknownShapeError("Airflow did not say which task this is")
        if self.source is not None:
            return await asyncio.to_thread(_pull_job, ti, self.source["task_id"], self.source["key"])
        upstream = mapped_over(self.task)
        if upstream.is_mapped:
            return await asyncio.to_thread(
                ti.xcom_pull, task_ids=upstream.task_id, key=RETURN_VALUE, map_indexes=ti.map_index
            )
        return (await _pull_list(ti, upstream.task_id))[ti.map_index]

    def _take(self, named: Any) -> None:
        known = named if isinstance(named, Mapping) else {"poll_url": named}
        if not isinstance(known.get("poll_url"), str):
            raise UnknownShapeError(f"the task before it left {quoted(named, most=200)}, which has no poll_url")
        job = read_handle(known)
        self.poll_url, self.request_id = job["poll_url"], job["request_id"]
        self.workflow, self.submitted_at = job["workflow"], job["submitted_at"]
        self.reused = job.get("reused") is True


def sensor_start(read: Read, poll_url: object, *, mapped: bool, needs_image: bool) -> StartTriggerArgs:
    """
    Return the arguments with which Airflow starts a sensor in the triggerer.

    :param read: returns a sensor's setting by name; for a mapped sensor only the settings that were given.
    :param poll_url: the sensor's ``poll_url``; unknown for a mapped sensor.
    """
    timeout = check_interval("timeout", read("timeout") or TIMEOUT)
    lost = worker_only_settings(read, *_NEVER_RUN)
    ending = TriggerExit(
        success=not lost.success,
        failure=not lost.failure,
        skip=not lost.skip,
        soft_fail=bool(read("soft_fail")),
        never_fail=bool(read("never_fail")),
        push=read("do_xcom_push") is not False,
    )
    return StartTriggerArgs(
        trigger_cls=f"{__name__}.{StartedPixelFlowTrigger.__name__}",
        next_method="execute_complete",
        trigger_kwargs={
            "segmind_conn_id": read("segmind_conn_id") or CONN_ID,
            "poll_interval": check_interval("poke_interval", read("poke_interval") or POLL_INTERVAL),
            "max_outage": None if read("silent_fail") else check_outage(read("max_outage")),
            "output_key": read("output_key"),
            "needs_image": needs_image,
            **({"poll_url": "", "source": None} if mapped else _origin(poll_url)),
            "grace": BACKSTOP,
            "end_in_trigger": check_mode("auto" if read("end_in_trigger") is None else read("end_in_trigger")),
            "ending": ending.to_json(),
        },
        timeout=timedelta(seconds=timeout + BACKSTOP),
    )


def may_start(read: Read, dag: Any, own_params: Any, *, grouped: bool = False) -> bool:
    """
    Return whether a task may start in the triggerer without losing a setting; if not, log why.

    :param read: returns a task's setting by the name of its constructor parameter.
    :param grouped: whether the task is in a mapped task group.
    """
    reasons = [why for name, why in _WORKERS_OWN.items() if read(name)]
    if grouped:
        reasons.append(
            "it is in a mapped task group, where only a worker knows which order is its own; map the sensor itself"
        )
    broken = _without_default(dag, own_params)
    if broken:
        reasons.append(f"params of its DAG have no valid default: {', '.join(broken)}; give them one")
    for why in reasons:
        log.warning("This sensor starts on a worker although start_from_trigger=True: %s.", why)
    return not reasons


_WORKERS_OWN = {
    "execution_timeout": (
        "it has an execution_timeout, which Airflow does not enforce while a task is deferred, and would then; use "
        "timeout instead"
    ),
    "map_index_template": "it has a map_index_template, which only a worker renders",
}
"""Settings that Airflow 3.3.2 ignores, or treats differently, for a task that starts in the triggerer; and why."""


def _without_default(dag: Any, own_params: Any) -> list[str]:
    """Return the params without a valid default."""
    # Before it starts such a trigger, Airflow 3.3.2 checks the params outside of any ``try`` (``create_triggers``) and
    # without the run's own values. A param without a valid default ends the whole triggerer, again after each restart.
    params = ParamsDict(suppress_exception=True)
    for more in (dag.params if dag else {}, own_params):
        params.update(more)
    broken = []
    for name, param in params.items():
        try:
            param.resolve()
        except ValueError:
            broken.append(name)
    return broken


def mapped_over(task: Any) -> Any:
    """
    Return the task whose output a mapped task's ``poll_url`` is mapped over.

    :param task: the mapped task as the scheduler knows it.
    :raises UnknownShapeError: the task is mapped in another way, or may run although the other task failed; then their
        map indexes may differ.
    """
    mapping = getattr(getattr(task, "expand_input", None), "value", None)
    arg = mapping.get("poll_url") if isinstance(mapping, Mapping) and len(mapping) == 1 else None
    if arg is None or type(arg).__name__ != "SchedulerPlainXComArg" or arg.key != RETURN_VALUE:
        raise UnknownShapeError("it is not mapped over exactly one task's output as poll_url")
    if str(getattr(task, "trigger_rule", "")) != "all_success":
        raise UnknownShapeError(f"its trigger_rule is {task.trigger_rule}")
    return arg.operator


def _origin(poll_url: object) -> dict[str, Any]:
    operator, key = getattr(poll_url, "operator", None), getattr(poll_url, "key", None)
    if operator is not None and isinstance(key, str) and not getattr(operator, "is_mapped", False):
        return {"poll_url": "", "source": {"task_id": operator.task_id, "key": key}}
    if isinstance(poll_url, str) and not ("xcom_pull" in poll_url and not re.search(r"\bmap_indexes\s*=", poll_url)):
        return {"poll_url": poll_url, "source": None}
    raise InvalidRequestError(
        f"poll_url is {quoted(poll_url)}, and start_from_trigger=True takes it only from a task's output, as in "
        "submit.output['poll_url'], or from a text; one with xcom_pull must say map_indexes=, without which Airflow "
        "3.3 waits for ever. Change one of the two."
    )


def _serialized(task: Any) -> Read:
    """Return a function that reads the settings of a task as the scheduler knows it."""

    def read(name: str) -> Any:
        if name == "mapped_over":
            return not task.is_mapped and next(task.iter_mapped_dependants(), None) is not None
        if name.startswith("on_"):
            return getattr(task, f"has_{name}", False)
        # The scheduler's class has methods with these names; the author's settings were read at parse time.
        return getattr(task, name, None) if name == "outlets" else None

    return read


def _pull_job(ti: Any, task_id: str, key: str) -> Any:
    """Return the whole output of the task that ordered if it is the same job, else the XCom that names the job."""
    named = ti.xcom_pull(task_ids=task_id, key=key, map_indexes=-1)
    if key == RETURN_VALUE or not isinstance(named, str):
        return named
    try:
        handle = ti.xcom_pull(task_ids=task_id, key=RETURN_VALUE, map_indexes=-1)
    except Exception as error:  # noqa: BLE001 - only a hint; the job is paid for
        log.debug("What task %s knows of the job cannot be read: %s", task_id, error)
        return named
    return handle if isinstance(handle, Mapping) and handle.get("poll_url") == named else named


_flights: dict[tuple[object, ...], asyncio.Task[Any]] = {}


async def _pull_list(ti: Any, task_id: str) -> Any:
    """Return a task's whole output, with one pull for all callers at the same moment."""
    # If each of a thousand mapped tasks pulled a list of a thousand, a million entries would pass through the
    # triggerer's single supervisor. The output is not cached: a person may clear the task, which orders again.
    loop = asyncio.get_running_loop()
    name = (loop, ti.dag_id, ti.run_id, task_id)
    flight = _flights.get(name)
    if flight is None:
        pull: Callable[..., Any] = ti.xcom_pull
        flight = loop.create_task(asyncio.to_thread(pull, task_ids=task_id, key=RETURN_VALUE, map_indexes=-1))
        _flights[name] = flight
        flight.add_done_callback(lambda done: _landed(name, done))
    return await asyncio.shield(flight)


def _landed(name: tuple[object, ...], flight: asyncio.Task[Any]) -> None:
    _flights.pop(name, None)
    if not flight.cancelled():
        flight.exception()  # retrieve it, or asyncio complains if no caller waits any more
