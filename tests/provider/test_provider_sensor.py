"""The sensor: deferrable, poke and reschedule give the same results, the same errors and the same skips."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_segmind.api import patience
from airflow_provider_segmind.api.errors import AuthenticationError, ServiceError
from airflow_provider_segmind.compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.failures import failing
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.sensors.pixelflow import PixelFlowSensor
from tests.api.drive import WORKFLOW
from tests.provider import paces
from tests.provider.conftest import connect
from tests.provider.running import context, defer, first_event, revive, run_in_mode

MODES = ["deferrable", "poke", "reschedule"]


def submit(emulator: Emulator, **jobs: Any) -> str:
    """Order a swap that takes as long as told, and return its poll URL."""
    emulator.set(**jobs)
    inputs = {"character_image": emulator.sample("scene", 0), "reference_character_image": emulator.sample("person", 0)}
    return SegmindHook().submit(WORKFLOW, inputs).poll_url


@pytest.fixture
def poll_url(emulator: Emulator) -> str:
    """The poll URL of a swap that is done."""
    return submit(emulator)


@pytest.fixture
def slow_url(emulator: Emulator) -> str:
    """The poll URL of a swap that takes a minute."""
    return submit(emulator, job_seconds=60)


def polls(emulator: Emulator) -> int:
    """Return how often a job was asked for."""
    return sum(seen.method == "GET" for seen in emulator.requests)


@pytest.fixture
def gone_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe a 404 soon; how long that takes is for test_provider_patience.py."""
    monkeypatch.setattr(patience, "GONE_AFTER", 0.1)
    monkeypatch.setattr(patience, "GONE_STEP", 0.05)


def wait(mode: str, poll_url: str, cls: type[PixelFlowSensor] = BodySwapSensor, **options: Any) -> Any:
    def make(**how: Any) -> PixelFlowSensor:
        return cls(**{"task_id": "wait", "poll_url": poll_url, "poke_interval": 0.05, **options, **how})

    return run_in_mode(make, mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_finished_swap_gives_its_picture(mode: str, emulator: Emulator) -> None:
    poll_url = submit(emulator, job_polls=3)
    result = wait(mode, poll_url)
    assert result == {
        "request_id": emulator.charges[0].request_id,
        "poll_url": poll_url,
        "status": "COMPLETED",
        "outputs": [{"keyname": "body_swap_image", "type": "image", "url": result["image_url"]}],
        "image_url": result["image_url"],
    }
    assert result["image_url"].startswith(f"{emulator.url}/outputs/")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["failed-error", "failed-error-message", "failed-error-list", "failed-empty"])
def test_a_failed_job_fails_for_good_with_the_services_reason(
    mode: str, kind: str, emulator: Emulator, poll_url: str
) -> None:
    emulator.script(Fault("status", on="poll", body="PROCESSING"), Fault(kind, on="poll", status=422))
    with pytest.raises(AirflowFailException, match=r"JobFailedError: .*FAILED.*request [0-9a-f]{32}"):
        wait(mode, poll_url)


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_is_gone_fails_for_good(mode: str, emulator: Emulator, poll_url: str, gone_soon: None) -> None:
    emulator.script(Fault("status", on="poll", body="QUEUED"), Fault("expired", on="poll", times=None))
    with pytest.raises(AirflowFailException, match=r"JobExpiredError: .*no longer knows"):
        wait(mode, poll_url)


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_is_refused_is_an_error_that_retries_can_follow(
    mode: str, emulator: Emulator, poll_url: str
) -> None:
    """It was right when the order was placed, so a person can set it right while the result is still there."""
    emulator.script(Fault("status", on="poll", body="QUEUED"), Fault("403", on="poll", times=None))
    with pytest.raises(AuthenticationError, match="may not do this"):
        wait(mode, poll_url)


def test_a_gateway_without_a_route_does_not_make_a_job_be_gone(
    emulator: Emulator, poll_url: str, gone_soon: None
) -> None:
    """Two minutes of a proxy's own 404s ended a whole batch for good."""
    for said in ("404 page not found", "", '{"message": "no Route matched with those values"}'):
        emulator.script(Fault("raw", on="poll", body=said, status=404, times=4))
    assert wait("deferrable", poll_url)["status"] == "COMPLETED"


@pytest.mark.parametrize("mode", MODES)
def test_a_timeout_says_that_the_job_may_finish_and_bill(
    mode: str, emulator: Emulator, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paces, "QUICKER", 1.0)
    deadline = time.time() + 0.2
    with pytest.raises(AirflowSensorTimeout, match=r"JobTimeoutError: .*may still finish and is billed"):
        wait(mode, slow_url, timeout=0.2)
    assert time.time() >= deadline
    assert 2 <= polls(emulator) <= 8


@pytest.mark.parametrize("mode", MODES)
def test_a_result_that_is_there_at_the_deadline_is_taken(mode: str, emulator: Emulator) -> None:
    """The interval is far longer than the timeout, so only the last look can see it."""
    poll_url = submit(emulator, job_polls=1)
    assert wait(mode, poll_url, timeout=0.1, poke_interval=30)["status"] == "COMPLETED"
    assert polls(emulator) == 2


@pytest.mark.parametrize(
    ("mode", "kind", "outcome"),
    [
        *((mode, kind, AirflowSkipException) for mode in MODES for kind in ("failed-error", "expired", "timeout")),
        # In reschedule mode an outage is always waited out.
        *((mode, "not-json", ServiceError) for mode in MODES if mode != "reschedule"),
    ],
)
def test_soft_fail_skips_the_same_failures(
    mode: str, kind: str, outcome: type[Exception], emulator: Emulator, gone_soon: None
) -> None:
    poll_url = submit(emulator, job_seconds=60 if kind == "timeout" else 0)
    if kind != "timeout":
        emulator.script(Fault(kind, on="poll", times=None))
    with pytest.raises(outcome):
        wait(mode, poll_url, timeout=0.1 if kind == "timeout" else 60, soft_fail=True, max_outage=0.1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["failed-error", "expired", "not-json"])
def test_never_fail_skips_every_failure(
    mode: str, kind: str, emulator: Emulator, poll_url: str, gone_soon: None
) -> None:
    emulator.script(Fault(kind, on="poll", times=None))
    with pytest.raises(AirflowSkipException):
        wait(mode, poll_url, never_fail=True, max_outage=0.1, timeout=0.3 if mode == "reschedule" else 60)


@pytest.mark.parametrize(("never_fail", "outcome"), [(True, AirflowSkipException), (False, AirflowSensorTimeout)])
def test_never_fail_also_skips_a_timeout_that_airflow_sees_first(never_fail: bool, outcome: type[Exception]) -> None:
    """Its loop looks at the time after each poke, so it may see the timeout a moment before the next poke would."""
    sensor = BodySwapSensor(
        task_id="wait", poll_url="https://api.segmind.com/x", deferrable=False, never_fail=never_fail
    )
    with pytest.raises(outcome, match="run duration"), failing(sensor):
        raise AirflowSensorTimeout("Sensor has timed out; run duration of 3.1 seconds exceeds 3.")


@pytest.mark.parametrize("mode", MODES)
def test_errors_that_pass_are_waited_out(mode: str, emulator: Emulator, poll_url: str) -> None:
    emulator.script(Fault("502-html", on="poll"), Fault("drop-before", on="poll"))
    assert wait(mode, poll_url)["status"] == "COMPLETED"


@pytest.mark.parametrize("mode", MODES)
def test_a_429_is_a_pace(mode: str, emulator: Emulator, poll_url: str, pauses: list[float]) -> None:
    emulator.script(Fault("429", on="poll", times=2, seconds=1))
    assert wait(mode, poll_url)["status"] == "COMPLETED"
    # A deferrable sensor meets the first one before it defers; the trigger, which waits anyway, the other.
    asked_for = [seconds for seconds in pauses if 1 <= seconds < 2]  # with jitter of a second at most
    assert len(asked_for) == (1 if mode == "deferrable" else 2)


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_status_keeps_waiting(mode: str, emulator: Emulator, poll_url: str) -> None:
    emulator.script(Fault("status", on="poll", body="WARMING_UP", times=3))
    assert wait(mode, poll_url)["status"] == "COMPLETED"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "poll_url is empty"),
        ("None", "poll_url is empty"),
        ("4f7471d8", "is not a URL as Segmind returns it"),
        ("https://evil.example/workflows/request/1", "is not on the connection's host"),
    ],
)
def test_a_bad_poll_url_fails_before_any_request(mode: str, url: str, words: str, emulator: Emulator) -> None:
    with pytest.raises(AirflowFailException, match=words):
        wait(mode, url)
    assert emulator.requests == ()


@pytest.mark.parametrize("mode", MODES)
def test_all_that_a_submit_returned_can_be_given_which_is_what_mapping_needs(mode: str, emulator: Emulator) -> None:
    url = submit(emulator, job_polls=1)
    assert wait(mode, {"request_id": "x", "poll_url": url})["poll_url"] == url  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="poll_url is empty"):
        wait(mode, {"request_id": "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_connection_fails_for_good(mode: str, poll_url: str) -> None:
    with pytest.raises(AirflowFailException, match="no connection 'nowhere'"):
        wait(mode, poll_url, segmind_conn_id="nowhere")


@pytest.mark.parametrize("mode", MODES)
def test_a_named_output_that_is_not_there_lists_what_is(mode: str, poll_url: str) -> None:
    with pytest.raises(AirflowFailException, match=r"no output 'mask'.*body_swap_image"):
        wait(mode, poll_url, output_key="mask")


@pytest.mark.parametrize("mode", MODES)
def test_a_swap_without_a_picture_is_an_error_but_any_workflow_may_be_without(
    mode: str, emulator: Emulator, poll_url: str
) -> None:
    text = '{"status": "COMPLETED", "output": [{"keyname": "caption", "value": {"data": "a cat", "type": "text"}}]}'
    emulator.script(Fault("raw", on="poll", body=text, status=200, times=None))
    assert wait(mode, poll_url, PixelFlowSensor)["image_url"] is None
    with pytest.raises(ServiceError, match="paid for, but none of its outputs is an image"):
        wait(mode, poll_url)


def test_deferring_is_the_default_and_carries_no_secret(emulator: Emulator, slow_url: str) -> None:
    began = time.time()
    deferred = defer(BodySwapSensor(task_id="wait", poll_url=slow_url))
    _, kwargs = deferred.trigger.serialize()
    assert emulator.api_key not in repr(kwargs)
    assert set(kwargs) == {
        "poll_url",
        "segmind_conn_id",
        "deadline",
        "poll_interval",
        "max_outage",
        "output_key",
        "needs_image",
        "ending",
        "clock_offset",
        "request_id",
        "workflow",
        "submitted_at",
    }
    assert kwargs["poll_interval"] == 7.0
    assert began + 3600 <= kwargs["deadline"] <= time.time() + 3600
    assert deferred.timeout is not None
    assert deferred.timeout > timedelta(seconds=3600)


def test_what_the_submit_returned_tells_the_trigger_how_old_the_job_is(slow_url: str) -> None:
    submitted = {"poll_url": slow_url, "request_id": "abc", "workflow": WORKFLOW, "submitted_at": 1795342770.5}
    _, kwargs = defer(BodySwapSensor(task_id="wait", poll_url=submitted)).trigger.serialize()
    assert {name: kwargs[name] for name in submitted} == submitted


def test_a_swap_that_is_done_already_is_not_deferred(poll_url: str) -> None:
    assert BodySwapSensor(task_id="wait", poll_url=poll_url).execute(context())["status"] == "COMPLETED"


def test_a_first_look_that_is_refused_for_now_defers(emulator: Emulator, poll_url: str) -> None:
    emulator.script(Fault("429", on="poll", seconds=60))
    defer(BodySwapSensor(task_id="wait", poll_url=poll_url))


class TestWhenAirflowEndsTheWait:
    """The backstop passed, or the trigger broke: the job is asked for once more."""

    def resume(self, poll_url: str, error: str, **options: Any) -> Any:
        sensor = BodySwapSensor(task_id="wait", poll_url=poll_url, **options)
        return sensor.resume_execution("__fail__", {"error": error}, context())

    def test_a_result_that_is_there_is_taken(self, poll_url: str) -> None:
        assert self.resume(poll_url, "Trigger timeout")["status"] == "COMPLETED"
        assert self.resume(poll_url, "Trigger failure")["status"] == "COMPLETED"

    def test_a_timeout_stays_a_timeout(self, slow_url: str) -> None:
        with pytest.raises(AirflowSensorTimeout, match="may still finish") as error:
            self.resume(slow_url, "Trigger timeout")
        assert isinstance(error.value.__cause__, TaskDeferralTimeout)
        with pytest.raises(AirflowSkipException):
            self.resume(slow_url, "Trigger timeout", soft_fail=True)

    def test_a_broken_trigger_is_left_to_the_retries(self, emulator: Emulator, poll_url: str) -> None:
        emulator.script(Fault("500", on="poll"))
        with pytest.raises(TaskDeferralError):
            self.resume(poll_url, "Trigger failure")


@pytest.mark.parametrize("event", [None, "done", {}, {"status": "odd"}, {"status": "success"}])
def test_an_event_that_means_nothing_is_never_a_success(event: Any, poll_url: str) -> None:
    with pytest.raises(ServiceError):
        BodySwapSensor(task_id="wait", poll_url=poll_url).execute_complete(context(), event)


def test_outputs_too_large_for_an_event_are_asked_for_once_more(emulator: Emulator, poll_url: str) -> None:
    event = {"version": 1, "status": "success", "request_id": "x", "job": {"poll_url": poll_url, "status": "COMPLETED"}}
    sensor = BodySwapSensor(task_id="wait", poll_url=poll_url)
    assert sensor.execute_complete(context(), event)["image_url"].startswith(emulator.url)


def test_silent_fail_waits_out_errors_until_the_deadline(emulator: Emulator, poll_url: str) -> None:
    emulator.script(Fault("500", on="poll", times=None))
    deferred = defer(BodySwapSensor(task_id="wait", poll_url=poll_url, silent_fail=True, max_outage=60))
    assert deferred.trigger.serialize()[1]["max_outage"] is None


@pytest.mark.parametrize("options", [{"poke_interval": -1}, {"poke_interval": 0}, {"timeout": -1}, {"timeout": 0}])
def test_a_negative_time_is_refused_when_the_dag_is_read(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{'timeout' if 'timeout' in options else 'poke_interval'} is .*above 0"):
        BodySwapSensor(task_id="wait", poll_url="x", **options)


def test_a_key_that_is_refused_while_deferred_is_an_error_that_retries_can_follow(
    emulator: Emulator, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = BodySwapSensor(task_id="wait", poll_url=slow_url, poke_interval=0.05)
    deferred = defer(sensor)
    connect(monkeypatch, emulator, password="SG_wrong_key")
    event = asyncio.run(first_event(revive(deferred.trigger)))
    with pytest.raises(AuthenticationError, match="Check the key in the connection"):
        sensor.execute_complete(context(), event)
