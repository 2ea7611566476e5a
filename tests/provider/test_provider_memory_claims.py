"""A claim blocks its swap only while nobody knows whether it was ordered, and counts only in its own memory."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import flow, patience
from airflow_provider_segmind.api import memory as api_memory
from airflow_provider_segmind.api.errors import OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.compat import THREADS_MAY_ASK_AIRFLOW, AirflowFailException, AirflowTaskTimeout
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory.rescue import rescue_all
from airflow_provider_segmind.memory.store import the_memory
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from airflow_provider_segmind.waiting import timeouts
from tests.api.clock import Clock
from tests.provider.batches import RUNNING, InRun, at_once, charged, swaps
from tests.provider.remembering import in_run, memory, pictures, records, states, submit, swap, task_of
from tests.provider.running import context, run
from tests.provider.tries import Store

__all__ = ["at_once", "memory"]


def timeout(*_: Any) -> None:
    raise AirflowTaskTimeout("Timeout, PID: 1")


@contextmanager
def timeout_when(is_time: Callable[[], bool]) -> Iterator[None]:
    """Have Airflow's timeout end the task once something has happened."""

    def watch() -> None:
        while not is_time():
            time.sleep(0.02)
        time.sleep(0.3)  # until an answer is read
        os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, timeout)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


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
    emulator.script(Fault("hang-after", on="submit", seconds=30))
    with timeout_when(lambda: bool(emulator.charges)), pytest.raises(AirflowTaskTimeout):
        run(swap(emulator), context(task_of(max_tries=0)))
    assert [record["state"] for record in records(memory)] == ["claimed"]
    assert len(emulator.charges) == 1


def test_a_batch_that_its_timeout_ends_between_two_429s_releases_its_claims(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "GRACE", 0.05)
    emulator.script(Fault("429", on="submit", seconds=300, times=None))
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 5), retries=0, cls=SubmitBodySwapBatchOperator)

    def is_refused() -> bool:
        return sum("workflows" in one.path and one.status == 429 for one in emulator.requests) >= 5

    with timeout_when(is_refused), pytest.raises(AirflowTaskTimeout):
        batch.attempt()
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
    assert released
    batch.results.unlink()
    batch.tries, batch.max_tries = 1, 1
    if clears == 2:
        with pytest.raises(Exception, match=f"{40 - len(released)} COMPLETED, {len(released)} UNKNOWN"):
            batch.attempt()
        assert "Then clear the task: that orders it anew" in next(row for row in batch.rows() if row["error"])["error"]
        batch.tries, batch.max_tries = 2, 2
    assert batch.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe 404s, and that a claim is abandoned, after a moment."""
    monkeypatch.setattr(patience, "GONE_AFTER", 0.3)
    monkeypatch.setattr(patience, "GONE_STEP", 0.1)
    monkeypatch.setattr(api_memory, "SENDING", 0.0)


def unknown(emulator: Emulator, run_id: str = "a") -> None:
    """Order a swap whose answer is lost while the history does not answer either."""
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        in_run(swap(emulator), run_id)
    emulator.clear_faults()


@pytest.mark.usefixtures("hasty")
def test_an_order_that_only_the_history_still_knows_is_lost_and_ordered_again(
    emulator: Emulator, clock: Clock, memory: Path
) -> None:
    """Nobody noted that it was accepted; the next day the history names it, and Segmind has forgotten its job."""
    emulator.set(record_seconds=3600)
    unknown(emulator)
    clock.ahead += 2 * 3600
    assert "reused" not in in_run(swap(emulator), "b")
    lost, done = records(memory)
    assert (lost["state"], lost["order"]["request_id"]) == ("lost", emulator.charges[0].request_id)
    assert done["state"] == "done"
    assert in_run(swap(emulator), "c")["reused"]
    assert len(emulator.charges) == 2


def forgets_once(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one of its servers not know a job, once."""
    poll, answers = emulator._state.poll, iter([None])

    def one_server(request_id: str) -> Any:
        return next(answers, poll(request_id))

    monkeypatch.setattr(emulator._state, "poll", one_server)


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("seconds", [700, 3100, 3 * 3600 - 60])
@pytest.mark.parametrize("who", ["the next run", "a rescue"])
def test_one_404_of_a_job_that_may_run_is_not_believed(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, who: str
) -> None:
    """Segmind forgets a job an hour after its end, and this machine's clock may be ahead."""
    submit(emulator, "a")
    emulator._state.jobs[emulator.charges[0].request_id].seconds = 5000.0
    pass_time(monkeypatch, seconds)
    forgets_once(emulator, monkeypatch)
    if who == "a rescue":
        assert rescue_all(the_memory(), "segmind_default").lost == []
    assert submit(emulator, "b")["reused"]
    assert len(emulator.charges) == 1


@pytest.mark.usefixtures("hasty")
def test_what_the_error_says_of_a_clear_is_what_a_clear_does(emulator: Emulator) -> None:
    """The task that claimed an order looks first, and orders anew if it has failed with these words before."""
    unknown(emulator)
    emulator.set(history=False)
    words = r"clear that task, which orders anew if it has failed with these words before"
    with pytest.raises((OutcomeUnknownError, AirflowFailException), match=rf"Another task.*run_id a.*{words}"):
        in_run(swap(emulator), "b")
    owner = task_of(run_id="a", max_tries=1, try_number=2)
    with pytest.raises(AirflowFailException, match=r"An earlier attempt.*clear the task, which orders"):
        run(swap(emulator), context(owner))
    assert len(emulator.charges) == 1
    assert "reused" not in run(swap(emulator), context(task_of(run_id="a", max_tries=2, try_number=3)))
    assert in_run(swap(emulator), "b")["reused"]
    assert len(emulator.charges) == 2


@pytest.mark.usefixtures("hasty")
def test_while_the_history_does_not_answer_no_error_promises_that_a_clear_orders(emulator: Emulator) -> None:
    unknown(emulator)
    emulator.script(Fault("500", on="history", times=None))
    for max_tries, run_id in ((0, "b"), (1, "a"), (2, "a")):
        with pytest.raises(OutcomeUnknownError, match="A retry looks again, and so does a clear of th"):
            run(swap(emulator), context(task_of(run_id=run_id, max_tries=max_tries, try_number=max_tries + 1)))
    emulator.clear_faults()
    assert in_run(swap(emulator), "b")["reused"]
    assert len(emulator.charges) == 1


def test_a_claim_of_a_batch_says_which_workflow_it_orders(emulator: Emulator, tmp_path: Path, memory: Path) -> None:
    """The error of another task names it."""
    emulator.script(Fault("401", after=2, times=None))
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 3), cls=SubmitBodySwapBatchOperator)
    with pytest.raises(SegmindError):
        batch.attempt()
    assert states(memory) == {"ordered", "released"}
    assert {record["order"]["workflow"] for record in records(memory)} == {BODY_SWAP_WORKFLOW}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("moved", ["another memory", "a record from before memories had ids"])
def test_a_claim_that_is_not_there_proves_nothing_in_another_memory(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """Between a lost answer and its retry, the administrator has changed `[segmind] memory`."""
    kept = Store()

    def attempt(number: int) -> Any:
        return run(swap(emulator), {**context(task_of(max_tries=2, try_number=number)), "task_state_store": kept})

    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises(SegmindError):
        attempt(1)
    if moved == "another memory":
        monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", f"{memory}-other")
    else:
        for key, value in list(kept.items()):
            kept[key] = {name: said for name, said in value.items() if name != "memory"}
        for path in (memory / "swaps").rglob("*.json"):
            path.unlink()
    with pytest.raises(SegmindError, match="An earlier attempt of this task"):
        attempt(2)
    emulator.clear_faults()
    attempt(3)
    assert len(emulator.charges) == 1


def test_after_a_resubmit_every_run_takes_the_new_picture(
    emulator: Emulator, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_memory, "SENDING", 0.0)
    emulator.set(history=False)
    emulator.script(Fault("drop-after"))
    with pytest.raises((SegmindError, AirflowFailException)):
        in_run(swap(emulator), "a")
    made = in_run(swap(emulator, on_unknown_outcome="resubmit"), "b")
    assert in_run(swap(emulator), "c")["request_id"] == made["request_id"]
    batch = InRun(emulator, tmp_path, "d", swaps=[pictures(emulator)])
    batch.attempt()
    assert len(emulator.charges) == 2
    assert sorted(record["state"] for record in records(memory)) == ["claimed", "done"]
