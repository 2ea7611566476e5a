"""A timeout or a kill while a batch orders leaves each paid request named, for a retry."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.batch import waits as batch_waits
from airflow_provider_segmind.batch.files import BatchFiles
from airflow_provider_segmind.compat import (
    THREADS_MAY_ASK_AIRFLOW,
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import (
    SubmitBodySwapBatchOperator,
)
from tests.provider.batches import Batch, at_once, charged, swaps
from tests.provider.paid import BATCHES, ids, logged, to_the_end
from tests.provider.tries import Store, Task

__all__ = ["at_once", "logged"]


class TestTimeout:
    """``execution_timeout`` and kills, at a time that the test chooses: right before some order goes out."""

    pytestmark = pytest.mark.skipif(not THREADS_MAY_ASK_AIRFLOW, reason="nobody is asked before each order")

    @staticmethod
    def before_order(task: Batch, context: Any, charges: int, act: Callable[[], None]) -> None:
        asked, done = context["ti"].get_task_states, []

        def ask(**what: Any) -> Any:
            if len(task.emulator.charges) >= charges and not done:
                done.append(True)
                act()
            return asked(**what)

        context["ti"].get_task_states = ask

    @pytest.mark.parametrize("cls", BATCHES)
    @pytest.mark.parametrize("durable", [True, False])
    def test_a_batch_that_is_ended_by_its_timeout_names_what_is_paid_for(
        self, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, cls: Any, durable: bool
    ) -> None:
        emulator.set(job_seconds=60)
        task = Batch(emulator, tmp_path, swaps=swaps(emulator, 40), cls=cls)
        task.store = Store() if durable else None
        context = task.context()

        def timeout(*_: Any) -> None:
            raise AirflowTaskTimeout("Timeout, PID: 1")

        before = signal.signal(signal.SIGALRM, timeout)
        self.before_order(task, context, 10, lambda: os.kill(os.getpid(), signal.SIGALRM))
        try:
            with pytest.raises(AirflowTaskTimeout if durable else AirflowFailException, match="Timeout, PID") as error:
                task.task().execute(context)
        finally:
            assert signal.signal(signal.SIGALRM, before) is timeout
        assert 10 <= len(emulator.charges) < 40
        assert f"{len(emulator.charges)} orders are accepted and paid for: " in str(error.value)
        assert all(request_id in caplog.text for request_id in ids(emulator))
        assert {handle["request_id"] for handle in task.ti.xcoms["ordered"]} == set(ids(emulator))
        if durable:
            emulator.finish_jobs()
            emulator.set(job_seconds=0)
            to_the_end(task)
            assert charged(emulator) == [1] * 40

    @pytest.mark.parametrize("durable", [True, False])
    def test_a_wait_on_the_worker_that_is_ended_by_its_timeout_names_its_request(
        self, emulator: Emulator, durable: bool
    ) -> None:
        emulator.set(job_seconds=60)
        task = Task(emulator, deferrable=False, durable=durable)
        run = task.operator().run_of(task.context())

        def timeout(*_: Any) -> None:
            raise AirflowTaskTimeout("Timeout, PID: 1")

        run._fetch = timeout
        with pytest.raises(
            AirflowTaskTimeout if durable else AirflowFailException, match="goes on and is bil"
        ) as error:
            run.order_and_wait()
        assert ids(emulator)[0] in str(error.value)

    @pytest.mark.parametrize("cls", BATCHES)
    def test_what_a_killed_batch_ordered_is_in_its_log_and_its_xcom(
        self,
        emulator: Emulator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        cls: Any,
    ) -> None:
        """Nothing of a killed process runs any more, so what counts is what it has left by then."""
        monkeypatch.setattr(batch_waits, "LEAVE_SECONDS", 0.01)
        emulator.set(job_seconds=60)
        task = Batch(emulator, tmp_path, swaps=swaps(emulator, 60), cls=cls)
        task.store = None
        context = task.context()
        left: list[tuple[list[str], str, str]] = []
        self.before_order(
            task,
            context,
            40,
            lambda: left.append((ids(emulator), caplog.text, json.dumps(context["ti"].xcoms.get("ordered", [])))),
        )
        if cls is SubmitBodySwapBatchOperator:
            task.task().execute(context)
        else:
            with pytest.raises(TaskDeferred):
                task.task().execute(context)
        ((ordered, log, xcom),) = left
        under_way = 8
        assert sum(request_id in log for request_id in ordered) >= 40 - under_way
        assert sum(request_id in xcom for request_id in ordered) > 0
        assert {handle["request_id"] for handle in context["ti"].xcoms["ordered"]} == set(ids(emulator))

    def test_a_last_write_that_fails_in_the_triggerer_says_where_the_handles_are(
        self, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emulator.set(job_polls=3)
        task = Batch(emulator, tmp_path, swaps=swaps(emulator, 3))
        task.store = None

        def read_only(*_: Any) -> None:
            raise PermissionError(13, "read-only for a minute")

        monkeypatch.setattr(BatchFiles, "write_results", read_only)
        with pytest.raises(AirflowFailException, match="the handles of all are this task's XCom 'ordered'"):
            task.attempt()
        assert {handle["request_id"] for handle in task.ti.xcoms["ordered"]} == set(ids(emulator))
