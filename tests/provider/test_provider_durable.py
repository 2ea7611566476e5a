"""One bill for one order, however often the task is tried."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobFailedError,
    SegmindError,
    TransportError,
)
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.orders.store import KEY
from tests.provider.tries import Task


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


def test_an_expired_record_is_lost_and_never_ordered_again(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_segmind.api.patience.GONE_AFTER", 0.1)
    task = Task(emulator)
    first = task.attempt()
    emulator.script(Fault("expired", on="poll", times=None))
    with pytest.raises(AirflowFailException, match=f"JobExpiredError: .*request {first['request_id']}"):
        task.attempt()
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
    with pytest.raises(InvalidRequestError, match="on_unknown_outcome is 'retry': set it to"):
        Task(emulator, on_unknown_outcome="retry").attempt()
    assert emulator.requests == ()


def test_without_a_store_a_retry_orders_nothing_and_a_clear_orders(emulator: Emulator) -> None:
    """As on Airflow 3.1 and 3.2: the attempt before it may have died right after it ordered."""
    task = Task(emulator, durable=False)
    assert task.attempt()["status"] == "COMPLETED"
    for _ in range(2):
        with pytest.raises(AirflowFailException, match=r"This is a retry, .* clear the task once its run has ended"):
            task.attempt()
    assert len(emulator.charges) == 1
    task.clear()
    assert task.attempt()["status"] == "COMPLETED"
    with pytest.raises(AirflowFailException, match="This is a retry"):
        task.attempt()
    assert len(emulator.charges) == 2


def test_without_a_store_clearing_a_task_without_retries_orders_each_time(emulator: Emulator) -> None:
    task = Task(emulator, durable=False, retries=0)
    for orders in (1, 2, 3):
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == orders
        task.clear()


@pytest.mark.parametrize("retries", [0, 1])
def test_without_a_store_a_retry_orders_nothing_though_its_retries_were_lowered_meanwhile(
    emulator: Emulator, retries: int
) -> None:
    """Each retry of a run took today's number for that of the day it began, and was billed."""
    task = Task(emulator, durable=False, retries=2)
    assert task.attempt()["status"] == "COMPLETED"
    task.retries = retries
    with pytest.raises(AirflowFailException, match="This is a retry"):
        task.attempt()
    assert len(emulator.charges) == 1


def test_without_a_store_the_first_attempt_orders_though_its_retries_were_raised_meanwhile(emulator: Emulator) -> None:
    task = Task(emulator, durable=False, retries=0)
    task.retries = 2
    assert task.attempt()["status"] == "COMPLETED"


def test_without_a_store_a_retry_orders_where_its_author_accepts_that_it_may_pay_again(emulator: Emulator) -> None:
    task = Task(emulator, durable=False, on_unknown_outcome="resubmit")
    assert [task.attempt()["status"] for _ in range(2)] == ["COMPLETED"] * 2


def test_an_api_out_of_reach_leaves_no_intent_behind(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_segmind.api.flow.MORE_TRIES", 0)
    task = Task(emulator)
    emulator.outage(30)
    with pytest.raises(TransportError, match="nothing was sent"):
        task.attempt()
    assert task.store == {}


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("state", ["failed", "success", "restarting", "up_for_retry", None])
def test_a_task_that_was_ended_while_its_worker_started_orders_nothing(
    emulator: Emulator, state: str | None, durable: bool
) -> None:
    """Airflow kills its process at the next heartbeat only, which is seconds away."""
    task = Task(emulator, durable=durable)
    task.state = state
    with pytest.raises(SegmindError, match=f"state for this task is {state or 'none'}, not running"):
        task.attempt()
    assert emulator.charges == ()
    assert not task.store


def test_a_task_that_is_ended_while_it_waits_out_a_429_orders_nothing(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.script(Fault("429"))
    task = Task(emulator)
    sleep = Client.__init__.__kwdefaults__["sleep"]

    def ended_meanwhile(seconds: float) -> None:
        task.ti.state = "failed"
        sleep(seconds)

    monkeypatch.setitem(Client.__init__.__kwdefaults__, "sleep", ended_meanwhile)
    with pytest.raises(SegmindError, match="not running"):
        task.attempt()
    assert emulator.charges == ()
    assert not task.store


@pytest.mark.parametrize("map_index", [-1, 3])
def test_only_its_own_state_counts(emulator: Emulator, map_index: int) -> None:
    task = Task(emulator)
    context = task.context()
    task.ti.map_index = map_index
    with suppress(TaskDeferred):
        task.operator().execute(context)
    assert len(emulator.charges) == 1


def test_where_airflow_does_not_say_whether_the_task_runs_it_goes_on(emulator: Emulator) -> None:
    task = Task(emulator)
    task.state = RuntimeError("the API server is away")
    assert task.attempt()["status"] == "COMPLETED"


def test_a_failure_that_may_be_of_another_job_orders_nothing_at_a_retry(emulator: Emulator) -> None:
    """One such answer to the first look of a retry was believed at once, and paid for a second swap."""
    task = Task(emulator)
    emulator.set(job_seconds=3600)
    with pytest.raises(TaskDeferred):
        task.start()
    emulator.script(Fault("raw", on="poll", body='{"status": "FAILED", "error": "x", "request_id": "another"}'))
    with pytest.raises(TaskDeferred):
        task.start()
    emulator.finish_jobs()
    assert task.attempt()["status"] == "COMPLETED"
    assert len(emulator.charges) == 1
