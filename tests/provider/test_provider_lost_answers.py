"""An order whose answer was lost is found again, or left to a person; it is never guessed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.errors import (
    CreditsError,
    JobFailedError,
    OutcomeUnknownError,
)
from airflow_provider_segmind.api.orders import OrderRecord, write_record
from airflow_provider_segmind.api.workflows import fingerprint
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.orders.ended import place_error
from airflow_provider_segmind.orders.place import Order, place
from airflow_provider_segmind.orders.store import KEY
from tests.provider.running import TaskInstance, context
from tests.provider.tries import Store, Task


class TestLostAnswers:
    """The POST went out and its answer never came."""

    def test_exactly_one_request_in_the_history_is_adopted(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-after"))
        assert Task(emulator).attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_an_order_that_is_found_failed_is_not_followed_by_another_in_the_same_attempt(
        self, emulator: Emulator
    ) -> None:
        emulator.script(Fault("drop-after"), Fault("failed-error", on="poll"))
        task = Task(emulator)
        with pytest.raises(JobFailedError):
            task.attempt()
        assert len(emulator.charges) == 1
        assert task.attempt()["status"] == "COMPLETED"  # a retry may order
        assert len(emulator.charges) == 2

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

    def test_a_history_that_is_away_for_a_while_is_waited_for_in_the_same_attempt(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also without retries: an outage that takes an answer often takes the history with it."""
        monkeypatch.setattr(history, "PATIENCE", 30.0)
        emulator.script(Fault("drop-after"), Fault("500", on="history", times=12), Fault("429", on="history", times=3))
        assert Task(emulator, retries=0).attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_while_the_history_is_out_of_reach_the_retries_look_again_and_never_order(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(history, "PATIENCE", 0.0)
        emulator.script(Fault("drop-after"), Fault("500", on="history", times=6))
        task = Task(emulator)
        with pytest.raises(OutcomeUnknownError, match="history did not answer now"):
            task.attempt()
        with pytest.raises(OutcomeUnknownError, match="history did not answer now"):
            task.attempt()
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_a_request_that_was_found_and_cannot_be_asked_for_is_named(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_segmind.api.patience.GONE_AFTER", 0.1)
        monkeypatch.setattr("airflow_provider_segmind.api.patience.GONE_STEP", 0.05)
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

    def test_who_accepts_to_pay_twice_does_not_if_the_history_has_the_order(self, emulator: Emulator) -> None:
        emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
        task = Task(emulator, on_unknown_outcome="resubmit")
        with pytest.raises(OutcomeUnknownError):
            task.attempt()
        emulator.clear_faults()
        assert task.attempt()["request_id"] == emulator.charges[0].request_id
        assert len(emulator.charges) == 1

    def test_a_crash_between_intent_and_answer_is_recovered_by_the_retry(self, emulator: Emulator) -> None:
        task = Task(emulator)
        task.attempt()
        assert task.store is not None
        task.store[KEY] = {**task.store[KEY], "state": "intent", "request_id": "", "poll_url": ""}
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1


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
    emulator.script(Fault("drop-after"), Fault("raw", on="history", body=shown))
    with pytest.raises(AirflowFailException, match="has no request with these inputs"):
        task.attempt()
    assert task.attempt()["request_id"] == emulator.charges[1].request_id
    assert len(emulator.charges) == 2


def test_a_refused_new_order_does_not_make_the_failed_one_be_forgotten(emulator: Emulator) -> None:
    task = fail_once(emulator)
    emulator.script(Fault("406-credits"))
    with pytest.raises(CreditsError, match=f"ordered and paid for: {emulator.charges[0].request_id}"):
        task.attempt()
    emulator.script(Fault("drop-after"))
    assert task.attempt()["request_id"] == emulator.charges[1].request_id
    assert len(emulator.charges) == 2


def test_a_refused_second_order_leaves_the_first_to_a_retry_and_names_it() -> None:
    given, at = {"a": "https://a.example/1"}, time.time() - 60
    store = Store()
    intent = OrderRecord(at, fingerprint=fingerprint("w-v1", given), max_tries=1, workflow="w-v1")
    store.set("segmind_order", write_record(intent))
    ctx = {**context(TaskInstance(max_tries=1, try_number=2)), "task_state_store": store}

    class Refusing:
        def find_orders(self, record: OrderRecord) -> list[Any]:
            return []

        def submit(self, workflow: str, inputs: Any, *, before: Any, **_: Any) -> None:
            before()
            raise CreditsError("no credits", status=406)

    hook: Any = Refusing()
    with pytest.raises(CreditsError) as raised:
        place(ctx, hook, Order("w-v1", given, lambda earlier: given, "resubmit"))  # type: ignore[arg-type]
    ends = place_error(ctx, raised.value)  # type: ignore[arg-type]
    assert not isinstance(ends, AirflowFailException)
    assert moment(at) in str(ends)
