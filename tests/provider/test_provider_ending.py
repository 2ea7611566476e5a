"""Which tasks may end in the triggerer, and how; in a real Airflow, see tests/system/test_real_endings.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, BaseOperator
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent

from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobFailedError,
    JobTimeoutError,
    SegmindError,
    TransportError,
)
from airflow_provider_segmind.api.parameters import check_mode
from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.waiting import ending as module
from airflow_provider_segmind.waiting.ending import (
    TriggerExit,
    WorkerOnly,
    allowed,
    end,
    read_trigger_exit,
    settings_of,
    trigger_exit_of,
    worker_only,
)

needs_3_3 = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="tasks end in the triggerer from Airflow 3.3 on")

HERE = TriggerExit(success=True, failure=True, skip=True, retries_left=False)


def nothing(context: Any) -> None:
    """Be a callback."""


def lost_by(**settings: Any) -> WorkerOnly:
    with DAG("d", schedule=None):
        task = BodySwapSensor(task_id="wait", poll_url="https://api.segmind.com/x", **settings)
    return worker_only(settings_of(task, mapped=False))


@needs_3_3
def test_a_plain_task_loses_nothing() -> None:
    assert lost_by() == WorkerOnly()


@needs_3_3
@pytest.mark.parametrize(
    ("settings", "only_there"),
    [
        ({"on_success_callback": nothing}, WorkerOnly(success=("on_success_callback",))),
        ({"outlets": [Asset("a")]}, WorkerOnly(success=("outlets",))),
        ({"post_execute": nothing}, WorkerOnly(success=("post_execute",))),
        ({"on_failure_callback": nothing}, WorkerOnly(failure=("on_failure_callback",))),
        ({"on_retry_callback": nothing}, WorkerOnly(failure=("on_retry_callback",))),
        ({"on_skipped_callback": nothing}, WorkerOnly(skip=("on_skipped_callback",))),
        ({"on_execute_callback": nothing}, WorkerOnly()),
    ],
)
def test_what_only_a_worker_does_is_named(settings: dict[str, Any], only_there: WorkerOnly) -> None:
    assert lost_by(**settings) == only_there


def test_a_subclass_with_a_hook_of_its_own_needs_the_worker() -> None:
    class Checked(BodySwapSensor):
        def post_execute(self, context: Any, result: Any = None) -> None:
            """Look at the result."""

    task = Checked(task_id="wait", poll_url="https://api.segmind.com/x")
    assert "post_execute" in worker_only(settings_of(task, mapped=False)).success


def test_a_task_that_another_is_mapped_over_needs_the_worker_unless_it_is_mapped_itself() -> None:
    class Takes(BaseOperator):
        def __init__(self, *, entry: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.entry = entry

    with DAG("d", schedule=None):
        task = BodySwapSensor(task_id="wait", poll_url="https://api.segmind.com/x")
        Takes.partial(task_id="each").expand(entry=task.output)
    assert "mapped_over" in worker_only(settings_of(task, mapped=False)).success
    assert worker_only(settings_of(task, mapped=True)).success == ()


@needs_3_3
def test_a_listener_is_never_passed_by() -> None:
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager

    listener = SimpleNamespace(on_task_instance_success=hookimpl(lambda previous_state, task_instance: None))
    manager = get_listener_manager()
    manager.pm.register(listener, name="lineage")
    module._listeners.cache_clear()
    try:
        every = ("listener lineage",)
        assert lost_by() == WorkerOnly(every, every, every)
    finally:
        manager.pm.unregister(listener)
        module._listeners.cache_clear()


def test_the_example_listener_of_airflow_keeps_nobody_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "task_listeners", lambda: ["airflow.example_dags.plugins.event_listener"])
    module._listeners.cache_clear()
    assert module._listeners() == ()
    module._listeners.cache_clear()


@needs_3_3
def test_auto_is_what_the_task_loses_nothing_by_and_the_administrator_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    only_there = WorkerOnly(success=("outlets",))
    assert allowed("auto", only_there) == (False, True, True)
    assert allowed(False, WorkerOnly()) == (False, False, False)
    monkeypatch.setenv("AIRFLOW__SEGMIND__END_IN_TRIGGER", "False")
    assert allowed("auto", WorkerOnly()) == (False, False, False)
    assert allowed(True, WorkerOnly()) == (True, True, True)


@needs_3_3
def test_true_says_what_it_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    assert allowed(True, WorkerOnly(success=("outlets",), failure=("email",))) == (True, True, True)
    assert "without: email, outlets" in caplog.text


@pytest.mark.parametrize("mode", ["always", None, 1])
def test_another_mode_is_refused(mode: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"end_in_trigger is .*'auto', True or False"):
        check_mode(mode)
    with pytest.raises(InvalidRequestError, match="end_in_trigger"):
        BodySwapSensor(task_id="wait", poll_url="https://api.segmind.com/x", end_in_trigger=mode)


@pytest.mark.parametrize(
    ("tries", "left"), [({"try_number": 1, "max_tries": 0}, False), ({"try_number": 1, "max_tries": 1}, True)]
)
def test_whether_retries_are_left_is_read_from_the_task_instance(tries: dict[str, int], left: bool) -> None:
    task = BodySwapSensor(task_id="wait", poll_url="https://api.segmind.com/x")
    context: Any = {"ti": SimpleNamespace(map_index=-1, **tries)}
    assert trigger_exit_of(task, context, "auto").retries_left is left


@pytest.mark.parametrize("error", [JobFailedError("x"), JobTimeoutError("x"), AuthenticationError("x")])
def test_a_failure_for_good_stays_with_the_worker_while_airflow_would_retry_it(error: SegmindError) -> None:
    left = TriggerExit(success=True, failure=True, skip=True, retries_left=True)
    assert end(left, error) is None
    assert isinstance(end(HERE, error), TaskFailedEvent)


def test_a_failure_that_may_pass_follows_the_retries() -> None:
    left = TriggerExit(failure=True, retries_left=True)
    assert isinstance(end(left, TransportError("x")), TaskFailedEvent)
    assert end(TriggerExit(failure=False), TransportError("x")) is None


def test_soft_fail_skips_what_is_for_good_and_never_fail_skips_all() -> None:
    soft = TriggerExit(failure=True, skip=True, soft_fail=True, retries_left=False)
    assert isinstance(end(soft, JobFailedError("x")), TaskSkippedEvent)
    assert isinstance(end(soft, TransportError("x")), TaskFailedEvent)
    assert isinstance(end(TriggerExit(skip=True, never_fail=True), TransportError("x")), TaskSkippedEvent)
    assert end(TriggerExit(skip=False, never_fail=True), TransportError("x")) is None


def test_a_result_is_a_success() -> None:
    assert isinstance(end(HERE, {"image_url": "x"}), TaskSuccessEvent)
    assert end(TriggerExit(), {"image_url": "x"}) is None


def test_an_ending_crosses_as_plain_values_and_nothing_stored_means_to_resume() -> None:
    assert read_trigger_exit(HERE.to_json()) == HERE
    assert read_trigger_exit({**HERE.to_json(), "of_a_newer_version": 1}) == HERE
    assert read_trigger_exit(None) == TriggerExit()
    assert not TriggerExit().success
