"""
Decide whether a waiting task may end in the triggerer, without another start on a worker, and with which event.

A start costs 0.15 s of CPU and seconds of delay, and Airflow 3.3.2 loses about one resume in a hundred. But callbacks,
listeners, asset events and some of a task's settings exist only on a worker. So a task ends in the triggerer where it
loses nothing by that, and resumes otherwise; one function decides, and says what it decided by.
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

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.gallery import END_KEY, GalleryRecord
from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS, conf, task_listeners
from airflow_provider_segmind.failures import ends_a_sensor_for_good, is_of_the_job

log = logging.getLogger(__name__)

_EXAMPLE = "airflow.example_dags."
"""Airflow's example listener, there wherever example DAGs are loaded, only prints."""
_ON_SUCCESS = ("outlets", "on_success_callback", "post_execute", "multiple_outputs", "mapped_over")
_ON_FAILURE = ("on_failure_callback", "on_retry_callback", "retry_policy", "email")
_ON_SKIP = ("on_skipped_callback",)

Read = Callable[[str], Any]
"""Gives a task's setting by its name in the constructor; something false if it has none."""


@dataclass(frozen=True)
class Losses:
    """
    What a task would lose by ending in the triggerer, in words, by the way in which it ends.

    :param success: what is lost when it succeeds.
    :param failure: what is lost when it fails, or is to be tried again.
    :param skip: what is lost when it is skipped.
    """

    success: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a wait may end in the triggerer. It crosses to the triggerer as plain JSON.

    :param success: whether the task may succeed there.
    :param failure: whether it may fail there.
    :param skip: whether it may be skipped there.
    :param retries_left: whether Airflow would try it again; a failure for good then needs the worker, which alone can
        keep Airflow from doing so.
    :param soft_fail: whether it is a skip when the job has no result.
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


def read_ending(stored: Mapping[str, Any] | None) -> Ending:
    """Read what was stored, by this version or another; nothing stored means to resume, as older versions did."""
    known = {field.name for field in fields(Ending)}
    return Ending(**{name: bool(value) for name, value in (stored or {}).items() if name in known})


def check_mode(mode: object) -> str | bool:
    """
    Return the value of ``end_in_trigger`` if it is one.

    :raises InvalidRequestError: when it is not.
    """
    if mode == "auto" or isinstance(mode, bool):
        return mode
    raise InvalidRequestError(f"end_in_trigger is {mode!r}: it must be 'auto', True or False.")


def ending_of(
    task: Any, context: Context, mode: str | bool, *, skips: bool = False, never_fails: bool = False
) -> Ending:
    """
    Decide, on a worker that is about to defer, how the task may end.

    :param task: the task.
    :param mode: its ``end_in_trigger``.
    :param skips: whether it is a skip when the job has no result.
    :param never_fails: whether every failure is a skip.
    """
    ti = context["ti"]
    losses = losses_of(settings_of(task, mapped=getattr(ti, "map_index", -1) >= 0))
    return Ending(
        *allowed(mode, losses),
        retries_left=getattr(ti, "try_number", 1) <= getattr(ti, "max_tries", 0),
        soft_fail=skips,
        never_fail=never_fails,
        push=bool(task.do_xcom_push),
    )


def allowed(mode: str | bool, losses: Losses) -> tuple[bool, bool, bool]:
    """
    Return whether a task may succeed, fail and be skipped in the triggerer.

    :param mode: ``auto``: where nothing is lost, unless ``[segmind] end_in_trigger`` says never. ``True``: also where
        something is lost, which is said in the log. ``False``: never.
    """
    if not AIRFLOW_V_3_3_PLUS:  # older versions do not try again a task that failed in the triggerer
        return False, False, False
    if mode is True:
        lost = sorted({*losses.success, *losses.failure, *losses.skip})
        if lost:
            log.warning("This task ends in the triggerer as end_in_trigger=True says, without: %s.", ", ".join(lost))
        return True, True, True
    if mode is False or not conf.getboolean("segmind", "end_in_trigger", fallback=True):
        return False, False, False
    return not losses.success, not losses.failure, not losses.skip


def losses_of(read: Read, *also: str) -> Losses:
    """
    Return what a task with these settings would lose by ending in the triggerer, in this Airflow.

    :param also: further settings that are lost however the task ends.
    """
    lost, anyway = settings_lost(read, *also), tuple(f"listener {name}" for name in _listeners())
    return Losses(*((*anyway, *names) for names in (lost.success, lost.failure, lost.skip)))


def settings_lost(read: Read, *also: str) -> Losses:
    """Return the same for the task's settings alone, without looking at this Airflow's plugins and configuration."""
    return Losses(
        tuple(name for name in (*_ON_SUCCESS, *also) if read(name)),
        tuple(name for name in (*_ON_FAILURE, *also) if read(name)),
        tuple(name for name in (*_ON_SKIP, *also) if read(name)),
    )


def settings_of(task: Any, *, mapped: bool) -> Read:
    """
    Return how to read the settings of an operator, as it is on a worker or in the DAG processor.

    :param mapped: whether it is one of a mapped task's. The triggerer does not note how many elements a result has,
        which a task that is mapped over the result of one that is not needs to know.
    """

    def read(name: str) -> Any:
        if name in ("pre_execute", "post_execute"):
            overridden = getattr(type(task), name) is not getattr(BaseOperator, name)
            return overridden or getattr(task, f"_{name}_hook", None)
        if name == "mapped_over":
            return not mapped and task.has_dag() and next(task.iter_mapped_dependants(), None) is not None
        return getattr(task, name, None)

    return read


def end(ending: Ending, outcome: Mapping[str, Any] | SegmindError) -> TriggerEvent | None:
    """
    Return the event that ends the task in the triggerer, or ``None`` if it has to resume on a worker.

    :param outcome: the task's result, or the error that ended its wait.
    """
    if not isinstance(outcome, SegmindError):
        return TaskSuccessEvent() if ending.success else None
    for_good = ends_a_sensor_for_good(outcome)
    if ending.never_fail or (ending.soft_fail and is_of_the_job(outcome)):
        return TaskSkippedEvent() if ending.skip else None
    if for_good and ending.retries_left:
        return None
    return TaskFailedEvent() if ending.failure else None


async def conclude(
    ending: Ending,
    ti: Any,
    outcome: Mapping[str, Any] | SegmindError,
    log: Any,
    record: GalleryRecord | None = None,
    links: Mapping[str, str] | None = None,
) -> TriggerEvent | None:
    """
    Return the event that ends the task in the triggerer, its result kept, or ``None`` if it has to resume on a worker.

    :param ti: the task instance that the trigger waits for; ``dag.test()`` has none, and resumes whatever the event.
    :param outcome: the task's result, or the error that ended its wait.
    :param log: the trigger's log.
    :param record: what the gallery shows of the end, if there is a gallery.
    :param links: the task's links, which only a worker would write, by the keys of their XComs.
    """
    event = end(ending, outcome)
    if event is None or ti is None:
        return None
    if ending.push and not isinstance(outcome, SegmindError):
        try:
            await push(ti, dict(outcome))
        except Exception:
            log.exception("The result could not be kept here; a worker does it.")
            return None
    shown: dict[str, Any] = {**({END_KEY: record.to_json()} if record is not None else {}), **(links or {})}
    for key, value in shown.items():
        try:
            await push(ti, value, key)
        except Exception:
            log.warning("The end of this swap is not shown in Airflow's UI; its result is kept.", exc_info=True)
    return event


async def push(ti: Any, value: object, key: str = "return_value") -> None:
    """
    Make a value the task's XCom, as a worker does.

    Airflow's own ``TaskSuccessEvent(xcoms=…)`` writes it as a text that holds JSON (``XComModel.set`` of 3.3.2), which
    the next task would get instead of the dict, and past an XCom backend of one's own.

    :param ti: the task instance that the trigger waits for.
    """
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
