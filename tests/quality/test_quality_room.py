"""What threads hold at the same time is limited, and nobody waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_segmind.quality.room import Room


@pytest.mark.parametrize("needed", [1, 3, 7, 10, 25])
def test_threads_never_hold_more_than_there_is_but_for_one_alone(needed: int) -> None:
    room, lock, held, most = Room(10), threading.Lock(), [0], [0]

    def hold(_: int) -> None:
        with room.taken(needed):
            with lock:
                held[0] += needed
                most[0] = max(most[0], held[0])
            with lock:
                held[0] -= needed

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(200)))
    assert held == [0]
    assert most[0] <= max(10, needed)


def test_what_a_broken_thread_held_is_free_again() -> None:
    room = Room(10)
    with pytest.raises(ValueError, match="broken"), room.taken(10):
        raise ValueError("broken")
    with room.taken(10):
        pass
