"""What is the same swap to a batch: while files change, and in two of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from airflow_provider_segmind.api.memory import Create, Read
from airflow_provider_segmind.emulator import Emulator, samples
from airflow_provider_segmind.memory import store as memories
from airflow_provider_segmind.memory.store import Store
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
