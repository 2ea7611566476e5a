"""
Decide whether a waiting task may end in the triggerer, without a resume on a worker.

That saves 0.15 s of CPU and seconds of delay, and Airflow 3.3.2 loses one resume in a hundred. But only a worker runs
callbacks, listeners and asset events, so a task that has them must resume.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.gallery import END_KEY, GalleryRecord
from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS, conf, task_listeners
from airflow_provider_segmind.failures import ends_a_sensor_for_good, is_of_the_job

log = logging.getLogger(__name__)

_EXAMPLE = "airflow.example_dags."
"""Prefix of Airflow's example listener, which only prints; it is loaded together with the example DAGs."""
_WORKER_ONLY_ON_SUCCESS = ("outlets", "on_success_callback", "post_execute", "multiple_outputs", "mapped_over")
_WORKER_ONLY_ON_FAILURE = ("on_failure_callback", "on_retry_callback", "retry_policy", "email")
_WORKER_ONLY_ON_SKIP = ("on_skipped_callback",)

Read = Callable[[str], Any]
"""Returns a task's setting by the name of its constructor parameter; a false value if it is not set."""


@dataclass(frozen=True)
class WorkerOnly:
    """Settings that a task would lose by ending in the triggerer, if it succeeds, fails (or retries), or is skipped."""

    success: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TriggerExit:
    """
    How a wait may end in the triggerer; sent to the triggerer as plain JSON.

    :param success: whether the task may succeed there; ``failure`` and ``skip`` likewise.
    :param retries_left: whether Airflow would retry the task. A permanent failure then needs a worker, because only a
        worker can prevent the retry.
    :param soft_fail: whether the task is skipped if the job has no result.
    :param never_fail: whether every failure is a skip.
    :param push: whether the result becomes an XCom.
    """

    success: bool = False
    failure: bool = False
    skip: bool = False
    retries_left: bool = True
    soft_fail: bool = False
    never_fail: bool = False
    push: bool = True

    def to_json(self) -> dict[str, bool]:
        """Return plain values."""
        return asdict(self)


def read_trigger_exit(stored: Mapping[str, Any] | None) -> TriggerExit:
    """Read a trigger exit of this or another version; nothing stored means to resume, as older versions did."""
    known = {field.name for field in fields(TriggerExit)}
    return TriggerExit(**{name: bool(value) for name, value in (stored or {}).items() if name in known})


def trigger_exit_of(
    task: Any, context: Context, mode: str | bool, *, skips: bool = False, never_fails: bool = False
) -> TriggerExit:
    """
    Decide, on a worker before it defers, how the task may end in the triggerer.

    :param mode: the task's ``end_in_trigger``.
    :param skips: whether the task is skipped if the job has no result.
    :param never_fails: whether every failure is a skip.
    """
    ti = context["ti"]
    needs_worker = worker_only(settings_of(task, mapped=getattr(ti, "map_index", -1) >= 0))
    return TriggerExit(
        *allowed(mode, needs_worker),
        retries_left=getattr(ti, "try_number", 1) <= getattr(ti, "max_tries", 0),
        soft_fail=skips,
        never_fail=never_fails,
        push=bool(task.do_xcom_push),
    )


def allowed(mode: str | bool, needs_worker: WorkerOnly) -> tuple[bool, bool, bool]:
    """
    Return whether a task may succeed, fail and be skipped in the triggerer.

    :param mode: ``auto``: if nothing is lost, and ``[segmind] end_in_trigger`` is on. ``True``: always; the log names
        what is lost. ``False``: never.
    """
    if not AIRFLOW_V_3_3_PLUS:  # older ones ignore the retries of such a task: it resumes
        return False, False, False
    if mode is True:
        lost = sorted({*needs_worker.success, *needs_worker.failure, *needs_worker.skip})
        if lost:
            log.warning("This task ends in the triggerer as end_in_trigger=True says, without: %s.", ", ".join(lost))
        return True, True, True
    if mode is False or not conf.getboolean("segmind", "end_in_trigger", fallback=True):
        return False, False, False
    return not needs_worker.success, not needs_worker.failure, not needs_worker.skip


def worker_only(read: Read, *also: str) -> WorkerOnly:
    """
    Return what a task would lose by ending in the triggerer of this Airflow, listeners included.

    :param also: more settings that are lost however the task ends.
    """
    lost, listeners = worker_only_settings(read, *also), tuple(f"listener {name}" for name in _listeners())
    return WorkerOnly(*((*listeners, *names) for names in (lost.success, lost.failure, lost.skip)))


def worker_only_settings(read: Read, *also: str) -> WorkerOnly:
    """Return what a task's own settings would lose, without this Airflow's plugins and configuration."""
    return WorkerOnly(
        tuple(name for name in (*_WORKER_ONLY_ON_SUCCESS, *also) if read(name)),
        tuple(name for name in (*_WORKER_ONLY_ON_FAILURE, *also) if read(name)),
        tuple(name for name in (*_WORKER_ONLY_ON_SKIP, *also) if read(name)),
    )


def settings_of(task: Any, *, mapped: bool) -> Read:
    """
    Return a function that reads the settings of an operator on a worker or in the DAG processor.

    :param mapped: whether it is an instance of a mapped task. The triggerer does not record the length of a result,
        which a task mapped over the result of an unmapped task needs.
    """

    def read(name: str) -> Any:
        if name in ("pre_execute", "post_execute"):
            overridden = getattr(type(task), name) is not getattr(BaseOperator, name)
            return overridden or getattr(task, f"_{name}_hook", None)
        if name == "mapped_over":
            return not mapped and task.has_dag() and next(task.iter_mapped_dependants(), None) is not None
        return getattr(task, name, None)

    return read


def end(ending: TriggerExit, outcome: Mapping[str, Any] | SegmindError) -> TriggerEvent | None:
    """Return the event that ends the task in the triggerer, or ``None`` if it must resume on a worker."""
    if not isinstance(outcome, SegmindError):
        return TaskSuccessEvent() if ending.success else None
    for_good = ends_a_sensor_for_good(outcome)
    if ending.never_fail or (ending.soft_fail and is_of_the_job(outcome)):
        return TaskSkippedEvent() if ending.skip else None
    if for_good and ending.retries_left:
        return None
    return TaskFailedEvent() if ending.failure else None


async def finish(
    ending: TriggerExit,
    ti: Any,
    outcome: Mapping[str, Any] | SegmindError,
    log: Any,
    record: GalleryRecord | None = None,
    links: Mapping[str, str] | None = None,
) -> TriggerEvent | None:
    """
    Store the result and return the event that ends the task in the triggerer, or ``None`` to resume on a worker.

    :param ti: the trigger's task instance; ``dag.test()`` has none and always resumes.
    :param record: the gallery record of the end, if there is a gallery.
    :param links: the task's links by XCom key; otherwise only a worker would write them.
    """
    event = end(ending, outcome)
    if event is None or ti is None:
        return None
    if ending.push and not isinstance(outcome, SegmindError):
        try:
            await push(ti, dict(outcome))
        except Exception:
            log.exception("The result could not be stored as an XCom from the triggerer; the task resumes on a worker.")
            return None
    shown: dict[str, Any] = {**({END_KEY: record.to_json()} if record is not None else {}), **(links or {})}
    for key, value in shown.items():
        try:
            await push(ti, value, key)
        except Exception:
            log.warning(
                "XCom %s could not be stored, so a link or the gallery misses it. The result is stored.",
                key,
                exc_info=True,
            )
    return event


async def push(ti: Any, value: object, key: str = "return_value") -> None:
    """Set an XCom of the task as a worker does."""
    # Airflow's own ``TaskSuccessEvent(xcoms=…)`` bypasses custom XCom backends and stores the value as a JSON string
    # (``XComModel.set`` of 3.3.2), so that the next task would get a string instead of a dict.
    await asyncio.to_thread(
        XCom.set,
        key=key,
        value=value,
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
    )


@cache
def _listeners() -> tuple[str, ...]:
    return tuple(name for name in task_listeners() if not name.startswith(_EXAMPLE))
