"""
Start a waiting task in the triggerer, so that it needs no worker at all (Airflow 3.3's ``start_from_trigger``).

Airflow starts such a task from arguments that were fixed when the DAG was parsed; which job to wait for is known only
when it runs. So the trigger finds that out itself: from a text that Airflow renders, or from the XCom of the task that
ordered. Where it cannot, the task starts on a worker, which knows all shapes.
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
from airflow_provider_segmind.api.patience import check_interval, check_outage
from airflow_provider_segmind.api.results import read_handle
from airflow_provider_segmind.api.uris import quoted
from airflow_provider_segmind.gallery.recording import is_shown, waiting
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.links import before_after
from airflow_provider_segmind.triggers.segmind import BACKSTOP, PixelFlowTrigger
from airflow_provider_segmind.waiting.ending import Ending, Read, allowed, check_mode, losses_of, push, settings_lost
from airflow_provider_segmind.waiting.events import event_of_start

log = logging.getLogger(__name__)

POLL_INTERVAL = 7.0
"""Seconds between polls, unless an author says otherwise."""
TIMEOUT = 3600.0
"""Seconds that a wait takes at most, unless an author says otherwise."""
RETURN_VALUE = "return_value"
_NEVER_RUN = ("on_execute_callback", "pre_execute")
"""What only a start on a worker runs."""


class UnknownShapeError(Exception):
    """The task is connected in a way that only a worker understands."""


class StartedPixelFlowTrigger(PixelFlowTrigger):
    """
    Waits for a job from the very start of a task.

    :param source: ``task_id`` and ``key`` of the XCom that names the job; without it, ``poll_url`` does, or, for a
        mapped task, what it is mapped over.
    :param grace: seconds between the task's own deadline and the time at which Airflow ends the wait.
    :param end_in_trigger: the task's ``end_in_trigger``.
    :param waiting: the arguments of :class:`~airflow_provider_segmind.triggers.segmind.PixelFlowTrigger`.
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
        """Return what another triggerer needs to wait for the same job."""
        _, waiting = super().serialize()
        own = {"source": self.source, "grace": self.grace, "end_in_trigger": self.end_in_trigger}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**waiting, **own}

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render what the DAG's author wrote: no worker has, and nothing else is in it."""
        BaseTrigger.render_template_fields(self, context, jinja_env)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Find out which job it is, wait for it, and yield one event."""
        try:
            await self._prepare()
        except Exception as error:  # noqa: BLE001 - whatever it is, a worker can do it, or says what is wrong
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
        """Show the swap, and link to it, as a worker does that defers."""
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

    def _ending(self) -> Ending:
        task, ti, parsed = self.task, self.task_instance, self.ending
        success, failure, skip = allowed(self.end_in_trigger, losses_of(_serialized(task), *_NEVER_RUN))
        forced = self.end_in_trigger is True
        return replace(
            parsed,
            success=success and (parsed.success or forced),
            failure=failure and (parsed.failure or forced),
            skip=skip and (parsed.skip or forced),
            # A person's clear gives more tries than these, of which a triggerer knows nothing.
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


def sensor_start(read: Read, poll_url: object, *, mapped: bool, needs_image: bool) -> StartTriggerArgs:
    """
    Return how Airflow starts a sensor in the triggerer.

    :param read: gives the sensor's settings by name; of a mapped one only those that were given.
    :param poll_url: what the sensor was given; for a mapped one it is not known yet.
    :param mapped: whether it is mapped.
    :param needs_image: whether a job without an image is an error.
    :raises InvalidRequestError: when the poll URL comes from where the triggerer cannot take it.
    """
    timeout = check_interval("timeout", read("timeout") or TIMEOUT)
    lost = settings_lost(read, *_NEVER_RUN)
    ending = Ending(
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
            "segmind_conn_id": read("segmind_conn_id") or SegmindHook.default_conn_name,
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
    Whether a task may start in the triggerer; if not, the log says why. It must not change any other setting.

    :param read: gives the task's settings by the names that its constructor has for them.
    :param dag: the task's DAG, if it has one.
    :param own_params: the task's own params.
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
"""Settings that Airflow 3.3.2 takes otherwise, or not at all, for a task that starts in the triggerer, and why not."""


def _without_default(dag: Any, own_params: Any) -> list[str]:
    """
    Return the params without a valid default.

    Airflow 3.3.2 checks the params outside of any ``try`` before it starts such a trigger (``create_triggers``), and
    before it looks at the run's own values. A param without a valid default ends the whole triggerer, again after each
    restart.
    """
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

    :param task: the mapped task, as the scheduler knows it.
    :raises UnknownShapeError: when it is mapped in any other way, or may run although the other task failed, after
        which the indexes of the two need not agree.
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
        "3.3 waits for ever. The DAG's author changes one of the two."
    )


def _serialized(task: Any) -> Read:
    """Return how to read the settings of a task as the scheduler knows it."""

    def read(name: str) -> Any:
        if name == "mapped_over":
            return not task.is_mapped and next(task.iter_mapped_dependants(), None) is not None
        if name.startswith("on_"):
            return getattr(task, f"has_{name}", False)
        # Methods of the scheduler's own class have these names, too; whether the author gave some was read before.
        return getattr(task, name, None) if name == "outlets" else None

    return read


def _pull_job(ti: Any, task_id: str, key: str) -> Any:
    """Return the XCom that names the job, or all that its task returned if that is the same job."""
    named = ti.xcom_pull(task_ids=task_id, key=key, map_indexes=-1)
    if key == RETURN_VALUE or not isinstance(named, str):
        return named
    try:
        handle = ti.xcom_pull(task_ids=task_id, key=RETURN_VALUE, map_indexes=-1)
    except Exception as error:  # noqa: BLE001 - it is a hint, and the job is paid for
        log.debug("What task %s knows of the job cannot be read: %s", task_id, error)
        return named
    return handle if isinstance(handle, Mapping) and handle.get("poll_url") == named else named


_flights: dict[tuple[object, ...], asyncio.Task[Any]] = {}


async def _pull_list(ti: Any, task_id: str) -> Any:
    """
    Return a task's whole output, with one pull for all who ask at the same moment.

    A thousand mapped tasks that each pulled a list of a thousand would move a million entries through the triggerer's
    single supervisor. Nothing is kept beyond the pull: the task may be cleared and order anew.
    """
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
        flight.exception()  # looked at, so that asyncio does not complain when nobody waits any more
