"""What is the same swap to a batch: while files change, and in two of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.memory import Create, Read
from airflow_provider_segmind.batch import settling
from airflow_provider_segmind.emulator import Emulator, Fault, samples
from airflow_provider_segmind.memory import store as memories
from airflow_provider_segmind.memory.store import Store
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from tests.provider.batches import InRun, at_once, swaps
from tests.provider.remembering import memory

__all__ = ["at_once", "memory"]


class Overtaking(Store):
    """
    A storage between whose two looks at the swaps a file changes.

    At the second look it answers for one swap, and for the other only once that one is about to be sent.
    """

    def __init__(self, root: str, change: Callable[[], object]) -> None:
        super().__init__(root)
        self._change = change
        self._looks: Counter[str] = Counter()
        self._second: list[str] = []
        self._is_sent = Event()
        self._one = Lock()

    def _do(self, step: Any) -> Any:
        if isinstance(step, Create) and step.name.startswith("swaps/"):
            self._is_sent.set()
        with self._one:
            if isinstance(step, Read) and step.name.startswith("swaps/"):
                self._looks[step.name] += 1
                if self._looks[step.name] == 2 and len(self._second) < 2:
                    if not self._second:
                        self._change()
                    self._second.append(step.name)
            waits = isinstance(step, Read) and step.name in self._second[1:]
        assert not waits or self._is_sent.wait(20)
        return super()._do(step)


def test_a_swap_whose_file_changes_while_another_row_uploads_it_is_another_swap(
    emulator: Emulator, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_seconds=0)
    scene, old, new = tmp_path / "scene.png", samples.draw("scene", 3), samples.draw("scene", 4)
    scene.write_bytes(old)
    given = [{**one, "character_image": str(scene)} for one in swaps(emulator, 2)]
    storage = Overtaking(str(memory), lambda: scene.write_bytes(new))
    monkeypatch.setitem(memories._stores, str(memory), storage)
    assert InRun(emulator, tmp_path, "a", swaps=given).attempt()["completed"] == 2
    assert storage._is_sent.is_set()
    assert scene.read_bytes() == new
    assert InRun(emulator, tmp_path, "same", swaps=given).attempt()["cost"] == 0
    assert len(emulator.charges) == 2
    scene.write_bytes(old)
    again = InRun(emulator, tmp_path, "old", swaps=given)
    again.attempt()
    assert not any(row.get("reused") for row in again.rows()), "it has the picture of another scene"
    assert len(emulator.charges) == 4


def copies(emulator: Emulator, count: int) -> list[dict[str, Any]]:
    """Return rows that are the same swap under other names."""
    (one,) = swaps(emulator, 1)
    return [{**one, "character_image": f"{one['character_image']}?{number}", "id": number} for number in range(count)]


def test_two_rows_that_are_one_swap_are_paid_for_once_also_when_they_are_ordered_anew(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=0)
    for run_id, charges in (("a", 1), ("b", 2)):
        batch = InRun(emulator, tmp_path, run_id, swaps=copies(emulator, 4), reuse="refresh")
        assert batch.attempt()["completed"] == 4
        assert len({row["request_id"] for row in batch.rows()}) == 1
        assert len(emulator.charges) == charges


def test_a_retry_takes_for_a_second_row_what_the_attempt_before_ordered_anew_for_the_first(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__SUBMIT_CONCURRENCY", "1")
    emulator.set(job_seconds=0)
    first, second = copies(emulator, 2)
    other = {**swaps(emulator, 2)[1], "id": "other"}
    InRun(emulator, tmp_path, "before", swaps=[first]).attempt()
    batch = InRun(
        emulator, tmp_path, "a", swaps=[first, other, second], reuse="refresh", cls=SubmitBodySwapBatchOperator
    )
    emulator.script(Fault("401", after=1, times=None))
    with pytest.raises(SegmindError, match="1 orders are accepted"):
        batch.attempt()
    emulator.clear_faults()
    handles = batch.attempt()
    assert handles[0]["request_id"] == handles[2]["request_id"]
    assert len(emulator.charges) == 3


def test_both_rows_of_a_swap_whose_job_failed_get_the_one_new_job_that_a_retry_orders(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail"))
    batch = InRun(emulator, tmp_path, "a", swaps=copies(emulator, 2), reuse="refresh")
    with pytest.raises(SegmindError, match="2 FAILED"):
        batch.attempt()
    assert batch.attempt()["completed"] == 2
    assert len(emulator.charges) == 2


def test_a_second_row_of_a_swap_of_unknown_outcome_is_not_ordered(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "OUTAGE", 0.0)
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("drop-after"))
    batch = InRun(emulator, tmp_path, "a", swaps=copies(emulator, 2), reuse="refresh")
    with pytest.raises(Exception, match="1 NOT_ORDERED, 1 UNKNOWN"):
        batch.attempt()
    assert len(emulator.charges) == 1
