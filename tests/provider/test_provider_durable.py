"""One bill for one order, however often the task is tried."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.errors import (
    JobFailedError,
    JobTimeoutError,
    OutcomeUnknownError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.hooks.compat import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.hooks.store import KEY
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from tests.provider.running import TaskInstance, first_event, revive


class Store(dict[str, Any]):
    """What Airflow keeps for a task, through JSON as Airflow does."""

    broken_after: int | None = None
    stuck = False

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        if self.broken_after is not None:
            self.broken_after -= 1
            if self.broken_after < 0:
                raise RuntimeError("the metadata database is gone")
        self[key] = json.loads(json.dumps(value))
        assert self[key] == value, "Airflow takes JSON's own types only"

    def delete(self, key: str) -> None:
        """Forget a value."""
        if self.stuck:
            raise RuntimeError("the metadata database is gone")
        self.pop(key, None)


class Task:
    """One task instance of a BodySwapOperator, tried and cleared as a scheduler and a person would."""

    def __init__(self, emulator: Emulator, *, durable: bool = True, **options: Any) -> None:
        self.emulator = emulator
        self.store: Store | None = Store() if durable else None
        self.max_tries = options.pop("retries", 2)
        self.tries = 0
        self.cls = options.pop("cls", BodySwapOperator)
        self.options = options
        self.ti = TaskInstance()

    def operator(self) -> Any:
        options = {
            "character_image": self.emulator.sample("scene", 0),
            "reference_character_image": self.emulator.sample("person", 0),
            **self.options,
        }
        if self.cls is BodySwapOperator:
            options = {"poll_interval": 0.05, **options}
        return self.cls(task_id="swap", **options)

    def context(self) -> Any:
        self.tries += 1
        self.ti = TaskInstance(max_tries=self.max_tries, try_number=self.tries)
        return {"ti": self.ti} if self.store is None else {"ti": self.ti, "task_state_store": self.store}

    def start(self) -> Any:
        """Begin an attempt, up to its end or its deferral."""
        return self.operator().execute(self.context())

    def attempt(self) -> Any:
        """Run an attempt to its end."""
        context = self.context()
        task = self.operator()
        try:
            return task.execute(context)
        except TaskDeferred as deferred:
            event = asyncio.run(first_event(revive(deferred.trigger)))
            return self.operator().resume_execution(deferred.method_name, {"event": event}, context)

    def clear(self) -> None:
        """Clear the task, as ``clear_task_instances`` does."""
        self.max_tries = self.tries + 2


def test_submit_and_wait_is_one_order(emulator: Emulator) -> None:
    emulator.set(job_polls=2)
    task = Task(emulator)
    result = task.attempt()
    assert result["status"] == "COMPLETED"
    assert set(result) == {"request_id", "poll_url", "status", "outputs", "image_url"}
    assert task.ti.xcoms == {"poll_url": result["poll_url"], "request_id": result["request_id"]}
    assert len(emulator.charges) == 1


@pytest.mark.parametrize("cls", [BodySwapOperator, SubmitBodySwapOperator])
def test_a_retry_goes_on_with_the_order_and_pushes_its_handle_again(emulator: Emulator, cls: Any) -> None:
    emulator.set(job_seconds=0.3)
    task = Task(emulator, cls=cls)
    with suppress(TaskDeferred):  # and here the worker, the triggerer or the scheduler dies
        task.start()
    first = dict(task.ti.xcoms)
    result = task.attempt()
    assert result["request_id"] == emulator.charges[0].request_id
    assert task.ti.xcoms == first
    assert len(emulator.charges) == 1


def test_a_clear_is_a_new_order(emulator: Emulator) -> None:
    task = Task(emulator)
    first = task.attempt()
    task.clear()
    assert task.attempt()["request_id"] != first["request_id"]
    assert len(emulator.charges) == 2


def test_a_retry_whose_inputs_changed_neither_takes_nor_orders(emulator: Emulator) -> None:
    task = Task(emulator)
    first = task.attempt()
    task.options["select_character"] = "man"
    with pytest.raises(AirflowFailException, match=f"ordered something else: request {first['request_id']}"):
        task.attempt()
    assert len(emulator.charges) == 1


def test_a_failed_job_is_ordered_again_by_the_next_retry_only(emulator: Emulator) -> None:
    emulator.script(Fault("will-fail"))
    task = Task(emulator)
    with pytest.raises(JobFailedError):
        task.attempt()
    assert len(emulator.charges) == 1
    assert task.attempt()["status"] == "COMPLETED"
    assert len(emulator.charges) == 2


def test_a_failure_that_no_attempt_has_seen_is_ordered_again_by_the_retry_that_sees_it(emulator: Emulator) -> None:
    emulator.script(Fault("will-fail"))
    task = Task(emulator)
    with pytest.raises(TaskDeferred):
        task.start()
    assert task.attempt()["status"] == "COMPLETED"
    assert len(emulator.charges) == 2


def test_a_refused_order_leaves_nothing_and_the_retry_orders(emulator: Emulator) -> None:
    emulator.script(Fault("406-credits"))
    task = Task(emulator)
    with pytest.raises(AirflowFailException):
        task.attempt()
    assert task.store == {}
    assert task.attempt()["status"] == "COMPLETED"
    assert len(emulator.charges) == 1


def test_an_expired_record_is_lost_and_never_ordered_again(emulator: Emulator) -> None:
    task = Task(emulator)
    first = task.attempt()
    emulator.script(Fault("expired", on="poll", times=None))
    with pytest.raises(AirflowFailException, match=f"JobExpiredError: .*request {first['request_id']}"):
        task.attempt()
    assert len(emulator.charges) == 1


class TestLostAnswers:
    """The POST went out and its answer never came."""

    def test_exactly_one_request_in_the_history_is_adopted(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-after"))
        assert Task(emulator).attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_an_order_that_never_arrived_fails_and_is_not_guessed(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-before"))
        task = Task(emulator)
        with pytest.raises(AirflowFailException, match="has no request with these inputs"):
            task.attempt()
        with pytest.raises(AirflowFailException, match="An earlier attempt of this task ended while it ordered"):
            task.attempt()
        assert emulator.charges == ()

    def test_two_requests_that_can_be_it_are_named_and_neither_is_taken(self, emulator: Emulator) -> None:
        Task(emulator).attempt()
        emulator.script(Fault("drop-after"))
        with pytest.raises(AirflowFailException, match=r"several requests.*It can be: ") as error:
            Task(emulator).attempt()
        for charge in emulator.charges:
            assert charge.request_id in str(error.value)

    def test_without_a_history_it_fails_with_what_to_do(self, emulator: Emulator) -> None:
        emulator.set(history=False)
        emulator.script(Fault("drop-after"))
        task = Task(emulator)
        with pytest.raises(AirflowFailException, match="history could not help"):
            task.attempt()
        with pytest.raises(AirflowFailException, match="then clear the task, which orders anew"):
            task.attempt()
        assert len(emulator.charges) == 1
        task.clear()
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 2

    def test_while_the_history_is_out_of_reach_the_retries_look_again_and_never_order(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-after"), Fault("500", on="history", times=6))
        task = Task(emulator)
        with pytest.raises(OutcomeUnknownError, match="history did not answer now"):
            task.attempt()
        with pytest.raises(OutcomeUnknownError, match="history did not answer now"):
            task.attempt()
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_a_request_that_was_found_and_cannot_be_asked_for_is_named(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-after"), Fault("expired", on="poll", times=None))
        with pytest.raises(AirflowFailException, match="It can be: ") as error:
            Task(emulator).attempt()
        assert f"It can be: {emulator.charges[0].request_id}." in str(error.value)

    def test_without_a_store_nothing_is_left_to_the_retries(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
        with pytest.raises(AirflowFailException, match="history did not answer now"):
            Task(emulator, durable=False).attempt()
        assert len(emulator.charges) == 1

    def test_an_author_may_accept_to_pay_twice(self, emulator: Emulator) -> None:
        emulator.set(history=False)
        emulator.script(Fault("drop-after"))
        task = Task(emulator, on_unknown_outcome="resubmit")
        with pytest.raises(OutcomeUnknownError):
            task.attempt()
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 2

    def test_a_crash_between_intent_and_answer_is_recovered_by_the_retry(self, emulator: Emulator) -> None:
        task = Task(emulator)
        task.attempt()
        assert task.store is not None
        task.store[KEY] = {**task.store[KEY], "state": "intent", "request_id": "", "poll_url": ""}
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1


def test_a_store_that_breaks_before_the_order_stops_it(emulator: Emulator) -> None:
    task = Task(emulator)
    assert task.store is not None
    task.store.broken_after = 0
    with pytest.raises(RuntimeError, match="the metadata database is gone"):
        task.attempt()
    assert emulator.charges == ()


def test_a_store_that_breaks_after_a_refusal_does_not_hide_it(emulator: Emulator) -> None:
    emulator.script(Fault("406-credits"))
    task = Task(emulator)
    assert task.store is not None
    task.store.stuck = True
    with pytest.raises(AirflowFailException, match="CreditsError"):
        task.attempt()
    with pytest.raises(AirflowFailException, match="An earlier attempt"):
        task.attempt()
    assert emulator.charges == ()


def test_a_store_that_breaks_after_the_order_loses_nothing(emulator: Emulator) -> None:
    task = Task(emulator)
    assert task.store is not None
    task.store.broken_after = 1
    assert task.attempt()["status"] == "COMPLETED"
    task.store.broken_after = None
    assert task.attempt()["status"] == "COMPLETED"  # found in the history
    assert len(emulator.charges) == 1


def test_a_record_that_cannot_be_read_stops_the_order(emulator: Emulator) -> None:
    task = Task(emulator)
    assert task.store is not None
    task.store[KEY] = {"state": "sent by pigeon"}
    with pytest.raises(AirflowFailException, match="left an order behind, but the stored order cannot be read"):
        task.attempt()
    assert emulator.charges == ()


def test_an_unknown_policy_is_named_before_any_order(emulator: Emulator) -> None:
    with pytest.raises(AirflowFailException, match="on_unknown_outcome is 'retry': it must be"):
        Task(emulator, on_unknown_outcome="retry").attempt()
    assert emulator.requests == ()


def test_without_a_store_it_works_and_says_once_what_a_retry_costs(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task(emulator, durable=False)
    assert task.attempt()["status"] == "COMPLETED"
    task.attempt()
    assert len(emulator.charges) == 2
    assert caplog.text.count("cannot know what was ordered before it") == 1
    Task(emulator, durable=False, retries=0).attempt()
    assert caplog.text.count("cannot know what was ordered before it") == 1


class TestWaiting:
    def test_a_timeout_goes_on_with_the_same_job_in_the_next_attempt(self, emulator: Emulator) -> None:
        emulator.set(job_seconds=0.6)
        task = Task(emulator, timeout=0.2)
        with pytest.raises(JobTimeoutError, match="may still finish and is billed"):
            task.attempt()
        task.options["timeout"] = 5.0
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_a_service_that_stays_broken_is_left_to_the_retries(self, emulator: Emulator) -> None:
        task = Task(emulator)
        with pytest.raises(TaskDeferred):
            task.start()
        event = {"version": 1, "status": "error", "error": {"type": "ServiceError", "message": "down"}}
        with pytest.raises(ServiceError):
            task.operator().execute_complete(task.context(), event)
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_a_retry_while_the_api_is_down_waits_in_the_triggerer(self, emulator: Emulator) -> None:
        task = Task(emulator)
        with pytest.raises(TaskDeferred):
            task.start()
        emulator.outage(0.3)
        with pytest.raises(TaskDeferred):
            task.start()

    @pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
    def test_when_airflow_ends_the_wait_a_result_that_is_there_is_taken(self, emulator: Emulator, reason: str) -> None:
        task = Task(emulator)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        result = task.operator().resume_execution("__fail__", {"error": reason}, context)
        assert result["status"] == "COMPLETED"

    def test_when_airflow_ends_the_wait_for_a_job_that_runs_the_retry_goes_on(self, emulator: Emulator) -> None:
        emulator.set(job_seconds=60)
        task = Task(emulator)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        with pytest.raises(JobTimeoutError) as error:
            task.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        assert isinstance(error.value.__cause__, TaskDeferralTimeout)
        with pytest.raises(TaskDeferralError):
            task.operator().resume_execution("__fail__", {"error": "Trigger failure"}, context)
        emulator.outage(0.2)
        with pytest.raises(JobTimeoutError, match="not known"):
            task.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)

    def test_outputs_too_large_for_an_event_are_asked_for(self, emulator: Emulator) -> None:
        task = Task(emulator)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        job = {"poll_url": task.ti.xcoms["poll_url"], "status": "COMPLETED"}
        event = {"version": 1, "status": "success", "request_id": "x", "job": job}
        assert task.operator().execute_complete(context, event)["image_url"].startswith(emulator.url)

    def test_bad_times_are_refused_when_the_dag_is_read(self, emulator: Emulator) -> None:
        with pytest.raises(ValueError, match="poll_interval is -1"):
            Task(emulator, poll_interval=-1).operator()
        with pytest.raises(ValueError, match="timeout is 0"):
            Task(emulator, timeout=0).operator()


def test_killing_names_the_request_that_is_not_cancelled(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    task = Task(emulator)
    operator = task.operator()
    operator.on_kill()
    assert "an order that was just being sent goes on and is billed" in capsys.readouterr().out
    with pytest.raises(TaskDeferred):
        operator.execute(task.context())
    operator.on_kill()
    assert f"request {emulator.charges[0].request_id} goes on and is billed" in capsys.readouterr().out


def test_an_api_out_of_reach_leaves_no_intent_behind(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_segmind.api.flow.TOLERATED_ERRORS", 0)
    task = Task(emulator)
    emulator.outage(0.3)
    with pytest.raises(TransportError, match="nothing was sent"):
        task.attempt()
    assert task.store == {}


def fail_once(emulator: Emulator) -> Task:
    """Return a task whose first order FAILED, and whose next try orders again within the same minute."""
    emulator.script(Fault("will-fail"))
    task = Task(emulator)
    with pytest.raises(JobFailedError):
        task.attempt()
    return task


def test_the_order_that_failed_is_not_taken_for_the_next_one_when_its_answer_is_lost(emulator: Emulator) -> None:
    """Both have the same inputs, so the history shows two."""
    task = fail_once(emulator)
    emulator.script(Fault("drop-after"))
    assert task.attempt()["request_id"] == emulator.charges[1].request_id
    assert len(emulator.charges) == 2


def test_the_order_that_failed_is_not_taken_for_the_next_one_before_the_history_shows_that(emulator: Emulator) -> None:
    """Taken for it, it would be ordered a third time, while the second goes on and is billed."""
    task = fail_once(emulator)
    hook = SegmindHook()
    with hook.get_conn() as session:
        shown = session.get(f"{emulator.url}{history.HISTORY_PATH}?per_page=100", timeout=10).text
    emulator.script(Fault("drop-after"), Fault("raw", on="history", body=shown, times=len(history.LOOKS)))
    with pytest.raises(AirflowFailException, match="has no request with these inputs"):
        task.attempt()
    assert task.attempt()["request_id"] == emulator.charges[1].request_id
    assert len(emulator.charges) == 2


def test_a_refused_new_order_does_not_make_the_failed_one_be_forgotten(emulator: Emulator) -> None:
    task = fail_once(emulator)
    emulator.script(Fault("406-credits"))
    with pytest.raises(AirflowFailException, match="CreditsError"):
        task.attempt()
    emulator.script(Fault("drop-after"))
    assert task.attempt()["request_id"] == emulator.charges[1].request_id
    assert len(emulator.charges) == 2
