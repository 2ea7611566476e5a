"""A claim blocks its swap only while nobody knows whether it was ordered, and counts only in its own memory."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.compat import THREADS_MAY_ASK_AIRFLOW, AirflowTaskTimeout
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from airflow_provider_segmind.waiting import timeouts
from tests.provider.batches import RUNNING, at_once, charged, swaps
from tests.provider.running import context, run
from tests.provider.test_provider_memory import in_run, memory, records, swap, task_of
from tests.provider.test_provider_memory_batch import InRun, states

__all__ = ["at_once", "memory"]


def timeout(*_: Any) -> None:
    raise AirflowTaskTimeout("Timeout, PID: 1")


@pytest.mark.parametrize("when", ["in the pause", "before the order", "before it is sent again"])
def test_a_timeout_while_no_order_is_out_releases_the_claim(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Airflow's timeout is no ``Exception``; right before it the service has refused the order, or was not asked."""
    emulator.script(Fault("429", on="submit", seconds=0))
    if when != "in the pause" and not THREADS_MAY_ASK_AIRFLOW:
        pytest.skip("nobody is asked before each order")
    task = task_of(max_tries=0)
    with monkeypatch.context() as patch:
        if when == "in the pause":
            patch.setattr(flow.Pause, "log", timeout)
        else:
            asked, left = task.get_task_states, [0 if when == "before the order" else 1]

            def ask(**what: Any) -> Any:
                if not left[0]:
                    timeout()
                left[0] -= 1
                return asked(**what)

            patch.setattr(task, "get_task_states", ask)
        with pytest.raises(AirflowTaskTimeout):
            run(swap(emulator), context(task))
    assert [record["state"] for record in records(memory)] == ["released"]
    emulator.clear_faults()
    assert "reused" not in in_run(swap(emulator), "b")
    assert len(emulator.charges) == 1


def test_a_timeout_while_an_order_is_out_leaves_its_claim(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.script(Fault("hang-after", on="submit", seconds=1))
    before = signal.signal(signal.SIGALRM, timeout)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    try:
        with pytest.raises(AirflowTaskTimeout):
            run(swap(emulator), context(task_of(max_tries=0)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [record["state"] for record in records(memory)] == ["claimed"]
    assert len(emulator.charges) == 1


def test_a_batch_that_its_timeout_ends_between_two_429s_releases_its_claims(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "GRACE", 0.05)
    emulator.script(Fault("429", on="submit", seconds=30, times=None))
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 5), retries=0, cls=SubmitBodySwapBatchOperator)
    before = signal.signal(signal.SIGALRM, timeout)
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGALRM)).start()
    try:
        with pytest.raises(AirflowTaskTimeout):
            batch.attempt()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert states(memory) == {"released"}
    emulator.clear_faults()
    other = InRun(emulator, tmp_path, "b", swaps=swaps(emulator, 5), cls=SubmitBodySwapBatchOperator)
    other.attempt()
    assert charged(emulator) == [1] * 5


@pytest.mark.parametrize(("kept", "sent", "clears"), [(True, 30, 1), (False, 30, 1), (True, 37, 2)])
def test_a_killed_batch_whose_last_claims_were_never_sent_is_cleared_and_pays_for_each_swap_once(
    emulator: Emulator, tmp_path: Path, memory: Path, kept: bool, sent: int, clears: int
) -> None:
    """Its worker dies between some claims and their orders; what the history cannot tell, a person is told first."""
    emulator.set(job_seconds=RUNNING)
    emulator.script(Fault("401", after=sent, times=None))
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 40), retries=0)
    if not kept:
        batch.store = None
    with pytest.raises(Exception, match=f"{sent} COMPLETED, {40 - sent} NOT_ORDERED"):
        batch.attempt()
    emulator.clear_faults()
    released = [path for path in (memory / "swaps").rglob("*.json") if '"released"' in path.read_text()]
    for path in released:
        path.write_text(path.read_text().replace('"released"', '"claimed"'))
    assert len(released) >= 3
    batch.results.unlink()
    batch.tries, batch.max_tries = 1, 1
    if clears == 2:
        with pytest.raises(Exception, match="37 COMPLETED, 3 UNKNOWN"):
            batch.attempt()
        assert "Then clear the task: that orders it anew" in next(row for row in batch.rows() if row["error"])["error"]
        batch.tries, batch.max_tries = 2, 2
    assert batch.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40
