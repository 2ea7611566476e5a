"""Every time that a user gives may be a number of seconds or a timedelta, in every class alike."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS
from airflow_provider_segmind.decorators.body_swap import body_swap_task
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.get_provider_info import get_provider_info
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers.segmind import BACKSTOP
from tests.provider.test_provider_sensor import submit

_REQUIRED = {
    "inputs": {},
    "swaps": [],
    "workflow": "678b67a76426baad7e539337-v4",
}
"""Values of required parameters that may not be a text."""
_NAMES = re.compile(r"(^|_)(timeout|interval|outage|expires|age|seconds|wait|delay)$")


def _modules() -> Iterator[str]:
    info = get_provider_info()
    for group in ("operators", "sensors", "transfers"):
        for entry in info[group]:
            yield from entry.get("python-modules", [])
            yield from filter(None, [entry.get("python-module")])


def _classes() -> list[type[BaseOperator]]:
    found = {
        value
        for module in _modules()
        for value in vars(import_module(module)).values()
        if inspect.isclass(value) and issubclass(value, BaseOperator) and value.__module__ == module
    }
    return sorted(found, key=lambda cls: cls.__name__)


CLASSES = _classes()


def own_parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that this package gave to a class, its parents' among them."""
    own = [base for base in cls.__mro__ if base.__module__.startswith("airflow_provider_segmind")]
    return {
        name: parameter
        for base in reversed(own)
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def _made(cls: type[BaseOperator], **more: Any) -> Any:
    required = {
        name: _REQUIRED.get(name, "https://a.example/x")
        for name, parameter in own_parameters(cls).items()
        if parameter.default is parameter.empty
    }
    if "character_image" in required:
        required.pop("inputs", None)  # a body swap makes them of its pictures
    return cls(**{"task_id": "task", **required, **more})


TIMES = [(cls, name) for cls in CLASSES for name in own_parameters(cls) if _NAMES.search(name)]


def test_the_times_are_found() -> None:
    found = {(cls.__name__, name) for cls, name in TIMES}
    assert {("BodySwapSensor", "poke_interval"), ("BodySwapOperator", "poll_interval")} <= found
    assert {("BodySwapBatchOperator", "timeout"), ("ObjectStorageToSegmindOperator", "expires")} <= found


@pytest.mark.parametrize("cls", [*CLASSES, SegmindHook], ids=lambda cls: cls.__name__)
def test_what_is_documented_in_seconds_is_among_the_times(cls: type[Any]) -> None:
    said = re.findall(r":param (\w+): (?:how many )?seconds", inspect.getdoc(cls) or "")
    assert [name for name in said if not _NAMES.search(name)] == []


@pytest.mark.parametrize(("cls", "name"), TIMES, ids=lambda value: getattr(value, "__name__", value))
def test_a_task_takes_each_time_as_a_timedelta_or_as_seconds(cls: type[BaseOperator], name: str) -> None:
    assert "timedelta" in str(own_parameters(cls)[name].annotation)
    minutes, seconds = (_made(cls, **{name: value}) for value in (timedelta(minutes=2), 120))
    assert getattr(minutes, name) == getattr(seconds, name) == 120.0


@pytest.mark.parametrize(("cls", "name"), TIMES, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("wrong", [0, -1, timedelta(0), "7"], ids=str)
def test_a_time_that_is_none_is_refused_when_the_dag_is_read(cls: type[BaseOperator], name: str, wrong: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name} is .*: give seconds above 0"):
        _made(cls, **{name: wrong})


def test_a_mapped_sensor_takes_a_timedelta_too() -> None:
    with DAG("mapped", schedule=None):
        made = BodySwapSensor.partial(task_id="wait", start_from_trigger=True, timeout=timedelta(minutes=2))
        task = made.expand(poll_url=["https://a.example/1"])
    assert task.unmap({"poll_url": "https://a.example/1"}).timeout == 120.0
    if AIRFLOW_V_3_3_PLUS:
        assert task.start_trigger_args is not None
        assert task.start_trigger_args.timeout == timedelta(seconds=120 + BACKSTOP)


def test_operators_and_sensors_share_their_times_in_default_args() -> None:
    times = {
        "timeout": timedelta(minutes=20),
        "max_outage": timedelta(minutes=5),
        "poll_interval": timedelta(seconds=3),
    }
    pictures = {"character_image": "https://a.example/1", "reference_character_image": "https://a.example/2"}
    with DAG("shared", schedule=None, default_args={**times, "poke_interval": timedelta(seconds=4)}):
        one = BodySwapOperator(task_id="one", **pictures)
        many = BodySwapBatchOperator(task_id="many", swaps=[pictures], results_uri="s3://bucket/results.jsonl")
        sensor = BodySwapSensor(task_id="wait", poll_url="https://a.example/3")
        decorated = body_swap_task(lambda: pictures, task_id="decorated")()
    assert [(task.timeout, task.max_outage) for task in (one, many, sensor)] == [(1200.0, 300.0)] * 3
    assert (one.poll_interval, many.poll_interval, sensor.poke_interval) == (3.0, 3.0, 4.0)
    assert decorated.operator.timeout == 1200.0


def test_the_hook_takes_each_time_of_a_wait_as_a_timedelta(emulator: Emulator) -> None:
    wait = inspect.signature(SegmindHook.wait).parameters
    times = {name: timedelta(seconds=9) for name in wait if _NAMES.search(name)}
    assert set(times) == {"poll_interval", "timeout", "max_outage"}
    assert SegmindHook().wait(submit(emulator), **times).status == "COMPLETED"
    with pytest.raises(InvalidRequestError, match="poll_interval is"):
        SegmindHook().wait(submit(emulator), poll_interval=0)
