"""Once an order is paid for, or may be, whatever may pass ends no task for good, and each paid request is named."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.batch import settling
from airflow_provider_segmind.compat import (
    AirflowFailException,
    TaskDeferred,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
)
from airflow_provider_segmind.orders.store import KEY
from tests.provider.batches import PNG, Batch, at_once, charged, swaps
from tests.provider.paid import ALL, BATCHES, ids, logged, retryable, to_the_end
from tests.provider.running import first_event, revive
from tests.provider.test_provider_identical import shown
from tests.provider.tries import Task

__all__ = ["at_once", "logged"]


class TestAbsence:
    def test_an_order_that_runs_longer_than_all_others_is_not_ordered_again(
        self, emulator: Emulator, tmp_path: Path
    ) -> None:
        """A history may list only what has ended; then that an order is not in it says nothing."""
        emulator.set(job_seconds=0, history=False)
        emulator.script(Fault("drop-after", after=5))
        task = Batch(emulator, tmp_path, swaps=swaps(emulator, 12))
        assert "1 UNKNOWN" in retryable(task.attempt)
        emulator.set(history=True)
        listed = json.loads(shown(emulator))
        listed["data"] = [row for row in listed["data"] if row["request_id"] != ids(emulator)[5]]
        emulator.script(Fault("raw", on="history", body=json.dumps(listed), times=None))
        assert "1 UNKNOWN" in retryable(task.attempt)
        assert charged(emulator) == [1] * 12
        emulator.clear_faults()
        assert task.attempt()["completed"] == 12
        assert charged(emulator) == [1] * 12

    def test_a_batch_does_not_take_another_runs_order_before_its_own_must_be_listed(
        self, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(history, "SETTLED", -32.0)  # a second after the intent
        emulator.set(job_seconds=0)
        given = swaps(emulator, 1)
        Task(emulator, **{name: value for name, value in given[0].items() if name != "id"}).attempt()
        emulator.script(Fault("drop-after"), Fault("raw", on="history", body=shown(emulator)))
        task = Batch(emulator, tmp_path, swaps=given)
        assert "1 UNKNOWN" in retryable(task.attempt)
        assert len(emulator.charges) == 2
        assert all(request_id in task.rows()[0]["error"] for request_id in ids(emulator))


class TestHalfWay:
    @pytest.mark.parametrize("cls", BATCHES)
    @pytest.mark.parametrize("what", ["401", "406-credits", "404", "history", "pictures"])
    def test_what_goes_wrong_half_way_is_for_a_retry_and_each_order_is_named(
        self,
        emulator: Emulator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        cls: Any,
        what: str,
    ) -> None:
        monkeypatch.setattr(settling, "OUTAGE", 0.0)
        emulator.set(job_seconds=0)
        given = swaps(emulator, 20)
        folder = tmp_path / "in"
        folder.mkdir()
        for number in range(10, 20):
            (folder / f"{number}.png").write_bytes(PNG)
            given[number]["character_image"] = str(folder / f"{number}.png")
        task = Batch(emulator, tmp_path, swaps=given, cls=cls)
        context, operator = task.context(), task.task()
        if what == "pictures":
            operator.run_of = moving(operator.run_of, folder, tmp_path / "away")
        else:
            down = what == "history"
            fault = Fault("502-html", on="history", times=None) if down else Fault(what, after=12, times=40)
            emulator.script(Fault("drop-after", after=3), fault)
        said = retryable(lambda: finish(task, operator, context))
        assert cls is BodySwapBatchOperator or "Clearing the task orders, and pays for, all of them again" in said
        known = json.dumps(task.store)
        assert all(request_id in caplog.text for request_id in ids(emulator) if request_id in known)
        emulator.clear_faults()
        if what == "pictures":
            (tmp_path / "away").rename(folder)
        to_the_end(task)
        assert charged(emulator) == [1] * 20

    @pytest.mark.parametrize("cls", BATCHES)
    @pytest.mark.parametrize("writes", [2, 8], ids=["all of them perhaps", "some of them surely"])
    def test_a_retry_that_cannot_pay_looks_first_and_orders_the_rest_when_it_can(
        self, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, cls: Any, writes: int
    ) -> None:
        emulator.set(job_seconds=0)
        task = Batch(emulator, tmp_path, swaps=swaps(emulator, 40), cls=cls)
        assert task.store is not None
        task.store.broken_after = writes
        with pytest.raises((SegmindError, TaskDeferred, RuntimeError)):
            task.start()
        task.store.broken_after = None
        emulator.set(credits=0.1)
        caplog.clear()
        said = retryable(lambda: to_the_end(task))
        assert "clear or retry" not in said
        assert all(request_id in json.dumps(task.store) for request_id in ids(emulator)), "not looked up"
        emulator.set(credits=100.0)
        to_the_end(task)
        assert charged(emulator) == [1] * 40

    def test_a_changed_list_looks_up_what_was_being_sent_before_it_ends_for_good(
        self, emulator: Emulator, tmp_path: Path
    ) -> None:
        emulator.set(job_seconds=0)
        task = Batch(emulator, tmp_path, swaps=swaps(emulator, 20))
        assert task.store is not None
        task.store.broken_after = 2
        with pytest.raises((SegmindError, TaskDeferred, RuntimeError)):
            task.start()
        task.store.broken_after = None
        task.options["swaps"] = swaps(emulator, 3)
        with pytest.raises(AirflowFailException, match="Clearing the task orders, and pays for") as error:
            task.attempt()
        assert all(request_id in str(error.value) for request_id in ids(emulator))


def finish(task: Batch, operator: Any, context: Any) -> Any:
    """Run an attempt of this very operator to its end."""
    try:
        return operator.execute(context)
    except TaskDeferred as deferred:
        event = asyncio.run(first_event(revive(deferred.trigger)))
        return task.task().resume_execution(deferred.method_name, {"event": event}, context)


def moving(run_of: Callable[[Any], Any], folder: Path, to: Path) -> Callable[[Any], Any]:
    """Have the pictures' folder go away once all is planned, as a mount does for a minute."""

    def moved(context: Any) -> Any:
        run = run_of(context)
        plan = run.plan

        def planned() -> Any:
            made = plan()
            folder.rename(to)
            return made

        run.plan = planned
        return run

    return moved


class TestSettings:
    @pytest.mark.parametrize("cls", ALL)
    @pytest.mark.parametrize(
        "wrong",
        [
            {"host": "http://api.segmind.example"},
            {"extra": {"timeout": "thirty"}},
            {"conn_type": "http"},
            {"password": ""},
        ],
        ids=["http", "timeout", "type", "no key"],
    )
    def test_a_connection_that_is_wrong_for_a_moment_ends_nothing_that_is_paid_for(
        self, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cls: Any, wrong: dict[str, Any]
    ) -> None:
        emulator.set(job_seconds=60)
        many = cls in BATCHES
        task: Any = Batch(emulator, tmp_path, swaps=swaps(emulator, 3), cls=cls) if many else Task(emulator, cls=cls)
        if cls in (BodySwapOperator, BodySwapBatchOperator):
            with pytest.raises(TaskDeferred):
                task.start()
        else:
            task.start()
        parts = emulator.airflow_connection()
        extra = {**parts["extra"], **wrong.get("extra", {})}
        name = "AIRFLOW_CONN_SEGMIND_DEFAULT"
        right = os.environ[name]
        monkeypatch.setenv(name, json.dumps({**parts, **wrong, "extra": extra}))
        if cls in (BodySwapOperator, BodySwapBatchOperator):
            said = retryable(task.attempt)
            assert all(request_id in said for request_id in ids(emulator))
        else:
            task.start()  # what is ordered is known without a connection
        monkeypatch.setenv(name, right)
        emulator.finish_jobs()
        to_the_end(task)
        assert len(emulator.charges) == (3 if many else 1)

    def test_an_intent_is_looked_up_when_the_connection_is_right_again(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emulator.set(job_seconds=0, history=False)
        emulator.script(Fault("drop-after"))
        task = Task(emulator)
        with pytest.raises(AirflowFailException):
            task.attempt()
        emulator.set(history=True)
        parts = emulator.airflow_connection()
        right = os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"]
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps({**parts, "host": "http://api.segmind.example"}))
        retryable(task.attempt)
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", right)
        assert task.attempt()["request_id"] == ids(emulator)[0]

    def test_an_order_whose_poll_url_is_foreign_is_for_a_retry(self, emulator: Emulator) -> None:
        emulator.script(Fault("foreign-poll-url"))
        task = Task(emulator)
        said = [retryable(task.attempt) for _ in range(2)]
        assert all("trusted_hosts" in one and ids(emulator)[0] in one for one in said)
        assert len(emulator.charges) == 1


class TestAgain:
    @pytest.mark.parametrize("wrong", ["storage", "credits"])
    def test_a_retry_after_a_paid_failure_names_it_and_goes_on_later(
        self, emulator: Emulator, tmp_path: Path, wrong: str
    ) -> None:
        emulator.set(job_seconds=0)
        emulator.script(Fault("will-fail"))
        folder = tmp_path / "in"
        folder.mkdir()
        (folder / "scene.png").write_bytes(PNG)
        task = Task(emulator, character_image=str(folder / "scene.png"), retries=6)
        retryable(task.attempt)
        if wrong == "storage":
            folder.rename(tmp_path / "away")
        else:
            emulator.set(credits=0.0)
        assert ids(emulator)[0] in retryable(task.attempt)
        if wrong == "storage":
            (tmp_path / "away").rename(folder)
        emulator.set(credits=100.0)
        assert task.attempt()["request_id"] == ids(emulator)[1]

    def test_what_is_ordered_again_lists_all_that_the_order_before_can_be(
        self, emulator: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        emulator.set(job_seconds=0)
        Task(emulator).attempt()
        emulator.script(Fault("drop-after"))
        task = Task(emulator, on_unknown_outcome="resubmit")
        retryable(task.attempt)
        caplog.clear()
        assert task.attempt()["request_id"] == ids(emulator)[2]
        assert task.store is not None
        assert set(task.store[KEY]["replaced"]) == set(ids(emulator)[:2])
        assert all(request_id in caplog.text for request_id in ids(emulator))

    def test_a_row_that_was_ordered_again_lists_all_that_the_order_before_can_be(
        self, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        emulator.set(job_seconds=0)
        given = swaps(emulator, 1)
        Task(emulator, **{name: value for name, value in given[0].items() if name != "id"}).attempt()
        emulator.script(Fault("drop-after"))
        task = Batch(emulator, tmp_path, swaps=given, on_unknown_outcome="resubmit")
        assert "1 UNKNOWN" in retryable(task.attempt)
        summary = task.attempt()
        assert set(task.rows()[0]["requests"]) == set(ids(emulator))
        assert summary["cost"] == round(3 * 0.2687, 4)
        assert "ordered again, as on_unknown_outcome='resubmit' says" in caplog.text
