"""A batch takes from the memory what is paid for, and orders the rest, once for all runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from airflow_provider_segmind.api import memory as api_memory
from airflow_provider_segmind.api.errors import SegmindError, TransportError
from airflow_provider_segmind.api.memory import Replace
from airflow_provider_segmind.batch import settling
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory import store as memories
from airflow_provider_segmind.memory.store import Store
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.provider.batches import RUNNING, InRun, at_once, charged, swaps
from tests.provider.remembering import memory, states
from tests.provider.running import run

__all__ = ["at_once", "memory"]


def test_a_second_run_orders_nothing_and_shows_the_stored_pictures(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    given = swaps(emulator, 200)
    first = InRun(emulator, tmp_path, "monday", swaps=given).attempt()
    assert first["completed"] == 200
    second = InRun(emulator, tmp_path, "tuesday", swaps=given)
    summary = second.attempt()
    assert (summary["completed"], summary["cost"]) == (200, 0)
    assert len(emulator.charges) == 200
    assert all(row["reused"] and Path(row["image_url"]).exists() for row in second.rows())


def test_only_what_is_new_is_ordered(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    given = swaps(emulator, 10)
    InRun(emulator, tmp_path, "a", swaps=given[:7]).attempt()
    batch = InRun(emulator, tmp_path, "b", swaps=given)
    assert batch.attempt()["cost"] == pytest.approx(3 * 0.2687, abs=1e-3)
    assert charged(emulator) == [1] * 10
    assert [row["id"] for row in batch.rows()] == [str(one["id"]) for one in given]


def test_a_batch_that_has_nothing_to_pay_needs_no_credits(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    given = swaps(emulator, 5)
    InRun(emulator, tmp_path, "a", swaps=given).attempt()
    emulator.set(credits=0)
    assert InRun(emulator, tmp_path, "b", swaps=given).attempt()["completed"] == 5


def test_a_killed_batch_that_is_cleared_pays_for_each_swap_once(emulator: Emulator, tmp_path: Path) -> None:
    """Its last attempt is killed after 30 of 40 orders; the clear that remains takes them over."""
    emulator.set(job_seconds=0)
    given = swaps(emulator, 40)
    killed = InRun(emulator, tmp_path, "run", swaps=given, retries=0)
    emulator.script(Fault("401", after=30, times=None))
    with pytest.raises(Exception, match="30 COMPLETED, 10 NOT_ORDERED"):
        killed.attempt()
    emulator.clear_faults()
    killed.tries, killed.max_tries = 1, 1  # as a clear does
    assert killed.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


@pytest.mark.parametrize("store", [True, False])
def test_runs_that_start_together_order_each_swap_once(emulator: Emulator, tmp_path: Path, store: bool) -> None:
    emulator.set(job_seconds=0)
    given = swaps(emulator, 25)
    batches = [InRun(emulator, tmp_path, run_id, swaps=given) for run_id in "ab"]
    summaries: dict[str, Any] = {}

    def attempt(batch: InRun) -> None:
        if not store:
            batch.store = None
        summaries[batch.run_id] = batch.attempt()

    threads = [Thread(target=attempt, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [summaries[run_id]["completed"] for run_id in "ab"] == [25, 25]
    assert charged(emulator) == [1] * 25


def test_two_swaps_with_the_same_pictures_under_other_names_are_paid_for_once(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=0)
    (one,) = swaps(emulator, 1)
    copy = {**one, "character_image": f"{one['character_image']}?copy", "id": "copy"}
    assert InRun(emulator, tmp_path, "a", swaps=[one, copy]).attempt()["completed"] == 2
    assert len(emulator.charges) == 1


def test_takes_are_paid_for_one_by_one_and_remembered(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    (one,) = swaps(emulator, 1)
    for run_id, takes, charges in (("a", 2, 2), ("b", 3, 3), ("c", 1, 3)):
        InRun(emulator, tmp_path, run_id, swaps=[{**one, "takes": takes}]).attempt()
        assert len(emulator.charges) == charges


def test_a_swap_that_failed_is_ordered_again_by_the_next_run(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail", after=2))
    given = swaps(emulator, 4)
    with pytest.raises(SegmindError, match="1 FAILED"):
        InRun(emulator, tmp_path, "a", swaps=given).attempt()
    assert InRun(emulator, tmp_path, "b", swaps=given).attempt()["completed"] == 4
    assert charged(emulator) == [1, 1, 1, 2]


def test_without_airflows_store_a_retry_takes_over_what_was_ordered(emulator: Emulator, tmp_path: Path) -> None:
    """As on Airflow 3.1 and 3.2."""
    emulator.set(job_seconds=0)
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 8))
    batch.store = None
    emulator.script(Fault("will-fail", after=3))
    with pytest.raises(SegmindError, match="A retry orders"):
        batch.attempt()
    assert batch.attempt()["completed"] == 8
    assert sorted(charged(emulator)) == [1] * 7 + [2]


def test_an_error_says_that_a_clear_does_not_pay_again(emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(Fault("401", after=3, times=None))
    batch = InRun(emulator, tmp_path, "a", cls=SubmitBodySwapBatchOperator, swaps=swaps(emulator, 6))
    with pytest.raises(SegmindError, match="has them: clearing the task does not pay for them again"):
        batch.attempt()


@pytest.mark.parametrize(
    ("asked", "said", "charges"),
    [
        ({"reuse": "refresh"}, r"Clearing the task orders, and pays for, all of them again\. To keep them, take", 9),
        (
            {"reuse_max_age": 0.001},
            r"but orders anew pictures that are then older than reuse_max_age \(0\.001 s\)\.",
            9,
        ),
        ({"reuse_max_age": 3600}, r"does not pay for them again, but orders anew pictures .* \(3600 s\)\.", 6),
    ],
)
def test_an_error_says_what_a_clear_pays_for_again(
    emulator: Emulator, tmp_path: Path, asked: dict[str, Any], said: str, charges: int
) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("401", after=3, times=None))
    batch = InRun(emulator, tmp_path, "a", cls=SubmitBodySwapBatchOperator, swaps=swaps(emulator, 6), **asked)
    with pytest.raises(SegmindError, match=said):
        batch.attempt()
    assert len(emulator.charges) == 3
    for order in batch.ti.xcoms["ordered"]:
        run(BodySwapSensor(task_id="wait", poll_url=order["poll_url"], poke_interval=0.05))
    emulator.clear_faults()
    batch.max_tries += 3
    batch.attempt()
    assert len(emulator.charges) == charges


def test_a_clear_looks_up_what_a_killed_worker_was_sending(emulator: Emulator, tmp_path: Path, memory: Path) -> None:
    """It has claimed three orders, and nothing is known of their answers."""
    emulator.set(job_seconds=0)
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 8), retries=0)
    batch.store = None
    batch.attempt()
    for path in sorted((memory / "swaps").rglob("*.json"))[:3]:
        record = json.loads(path.read_bytes())
        record |= {"state": "claimed", "outputs": [], "order": {**record["order"], "request_id": "", "poll_url": ""}}
        path.write_text(json.dumps(record))
    shutil.rmtree(memory / "tasks")
    shutil.rmtree(memory / "requests")
    batch.results.unlink()
    batch.tries, batch.max_tries = 1, 1
    assert batch.attempt()["completed"] == 8
    assert charged(emulator) == [1] * 8


def test_a_clear_orders_what_a_killed_worker_had_only_claimed(emulator: Emulator, tmp_path: Path, memory: Path) -> None:
    """The history shows all others of that minute, those from before the clear too."""
    emulator.set(job_seconds=RUNNING)
    emulator.script(Fault("403", after=7))
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 30), retries=0)
    batch.store = None
    with pytest.raises(Exception, match="NOT_ORDERED"):
        batch.attempt()
    charges = len(emulator.charges)
    (refused,) = (path for path in (memory / "swaps").rglob("*.json") if '"released"' in path.read_text())
    refused.write_text(refused.read_text().replace('"released"', '"claimed"'))
    shutil.rmtree(memory / "tasks")
    batch.results.unlink()
    batch.tries, batch.max_tries = 1, 1
    assert batch.attempt()["completed"] == 30
    assert charged(emulator) == [1] * 30
    assert charges < 29, "nothing was left whose job could be seen running"


def test_a_clear_orders_what_a_person_was_told_to_be_unknown(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "OUTAGE", 0.0)
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("drop-before", after=2))
    batch = InRun(emulator, tmp_path, "a", swaps=swaps(emulator, 6), retries=0)
    with pytest.raises(Exception, match="5 COMPLETED, 1 UNKNOWN"):
        batch.attempt()
    batch.tries, batch.max_tries = 1, 1
    assert batch.attempt()["completed"] == 6
    assert charged(emulator) == [1] * 6


def test_handles_of_a_second_run_lead_to_the_same_jobs(emulator: Emulator, tmp_path: Path) -> None:
    given = swaps(emulator, 3)
    first, second = (
        InRun(emulator, tmp_path, run_id, cls=SubmitBodySwapBatchOperator, swaps=given).attempt() for run_id in "ab"
    )
    assert [handle["poll_url"] for handle in first] == [handle["poll_url"] for handle in second]
    assert [handle.get("reused") for handle in (*first, *second)] == [None] * 3 + [True] * 3
    assert len(emulator.charges) == 3


def test_a_damaged_object_stops_only_its_own_swap(emulator: Emulator, tmp_path: Path, memory: Path) -> None:
    emulator.set(job_seconds=0)
    given = swaps(emulator, 4)
    InRun(emulator, tmp_path, "a", swaps=given[:1]).attempt()
    (path,) = (memory / "swaps").rglob("*.json")
    path.write_text("?")
    batch = InRun(emulator, tmp_path, "b", swaps=given)
    with pytest.raises(Exception, match="3 COMPLETED"):
        batch.attempt()
    assert "is damaged" in batch.rows()[0]["error"]
    assert len(emulator.charges) == 4


def test_a_picture_that_cannot_be_read_is_asked_for_once(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    gone = f"{emulator.url}/assets/none.png"
    given = [*swaps(emulator, 2), *({**one, "character_image": gone} for one in swaps(emulator, 9))]
    given = [{**one, "id": str(number)} for number, one in enumerate(given)]
    with pytest.raises(Exception, match=r"2 COMPLETED|none\.png"):
        InRun(emulator, tmp_path, "a", swaps=given).attempt()
    asked = [request for request in emulator.requests if request.path.endswith("/none.png")]
    assert len(asked) <= 2  # by the look before the first charge, and for its digest


@pytest.mark.parametrize("reuse", ["never", "refresh"])
def test_an_author_may_order_anew(emulator: Emulator, tmp_path: Path, reuse: str) -> None:
    emulator.set(job_seconds=0)
    given = swaps(emulator, 3)
    for run_id in "ab":
        InRun(emulator, tmp_path, run_id, swaps=given, reuse=reuse).attempt()
    assert len(emulator.charges) == 6


def test_unknown_outcomes_are_left_to_the_history_and_noted(emulator: Emulator, tmp_path: Path, memory: Path) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("drop-after", after=2, times=2))
    given = swaps(emulator, 8)
    InRun(emulator, tmp_path, "a", swaps=given).attempt()
    assert states(memory) == {"done"}
    assert InRun(emulator, tmp_path, "b", swaps=given).attempt()["cost"] == 0
    assert len(emulator.charges) == 8


class Jittery(Store):
    """A storage whose answers take as long as a seed has it, so that two runs meet in another order each time."""

    def __init__(self, root: str, seed: int) -> None:
        super().__init__(root)
        self._dice = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def _do(self, step: Any) -> Any:
        time.sleep(self._dice.choice((0, 0, 0.001, 0.01, 0.03)))
        answer = super()._do(step)
        time.sleep(self._dice.choice((0, 0, 0.001, 0.01)))
        return answer


@pytest.mark.parametrize("seed", range(int(os.environ.get("INTERLEAVINGS") or 3)))
def test_however_two_runs_meet_each_swap_is_paid_for_once(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """INTERLEAVINGS=50 SWAPS=200 tries more."""
    count = int(os.environ.get("SWAPS") or 16)
    monkeypatch.setitem(memories._stores, str(memory), Jittery(str(memory), seed))
    emulator.set(job_seconds=0, credits=1000)
    given = swaps(emulator, count)
    batches = [InRun(emulator, tmp_path, run_id, swaps=given) for run_id in "ab"]
    with ThreadPoolExecutor(2) as pool:
        summaries = list(pool.map(lambda batch: batch.attempt(), batches))
    assert [summary["completed"] for summary in summaries] == [count, count]
    assert charged(emulator) == [1] * count


class Forgetful(Store):
    """A storage that fails whenever an accepted order is to be noted."""

    fails = True

    def _do(self, step: Any) -> Any:
        if self.fails and isinstance(step, Replace) and b'"state": "ordered"' in step.data:
            raise TransportError("The storage is gone.")
        return super()._do(step)


def test_an_accepted_order_that_could_not_be_noted_is_made_up_by_a_retry_and_by_another_run(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memories, "PAUSES", ())
    monkeypatch.setattr(api_memory, "SENDING", 0.0)
    storage = Forgetful(str(memory))
    monkeypatch.setitem(memories._stores, str(memory), storage)
    emulator.set(job_seconds=0)
    given = swaps(emulator, 6)
    first = InRun(emulator, tmp_path, "a", swaps=given, cls=SubmitBodySwapBatchOperator)
    first.attempt()
    assert states(memory) == {"claimed"}
    assert InRun(emulator, tmp_path, "b", swaps=given[:2]).attempt()["completed"] == 2
    storage.fails = False
    first.attempt()
    assert InRun(emulator, tmp_path, "c", swaps=given).attempt()["completed"] == 6
    assert states(memory) == {"done"}
    assert charged(emulator) == [1] * 6
