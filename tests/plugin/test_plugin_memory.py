"""What somebody wrote costs the API server a bounded amount of memory, whoever asks, and for a minute at most."""

from __future__ import annotations

import gc
import json
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_segmind.api.gallery import MAX_TEXT
from airflow_provider_segmind.gallery import items
from tests.plugin.world import PNG, World, swaps

MB = 2**20
LARGE = 16 * MB
HOSTILE = b"ab\n" * (LARGE // 3)


@contextmanager
def less_than(most: int) -> Iterator[None]:
    """Fail if Python's objects take more than so many bytes meanwhile."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MB:.0f} MB"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    for key, (lines, timer) in list(items._kept.items()):
        timer.cancel()
        items._forget(key, weakref.ref(lines))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take 16 MB for a large manifest instead of 64, so that a test need not make four of those."""
    monkeypatch.setattr(items, "MAX_MANIFEST", LARGE)
    monkeypatch.setattr(items, "_BUDGET", LARGE + MB)


@pytest.mark.slow
@pytest.mark.usefixtures("large")
def test_a_manifest_of_very_many_lines_takes_its_own_size_of_memory(vera: Any, world: World) -> None:
    path = world.swap({"items": world.file("m.jsonl.stored.jsonl", HOSTILE)})
    with less_than(2 * LARGE):
        page = vera.get(f"/segmind/items/{path}", params={"offset": 1_000_000, "limit": 100}).json()
    assert (page["total"], len(page["swaps"])) == (len(HOSTILE) // 3, 100)
    assert page["swaps"][-1]["index"] == 1_000_099


@pytest.mark.slow
@pytest.mark.usefixtures("large")
def test_many_large_manifests_take_no_more_than_two(vera: Any, world: World) -> None:
    paths = [world.swap({"items": world.file(f"{n}.stored.jsonl", HOSTILE)}, task_id=f"batch_{n}") for n in range(4)]
    with less_than(3 * LARGE), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda path: vera.get(f"/segmind/items/{path}").status_code, paths))
    assert answers == [200] * 4
    assert sum(lines.size for lines, _ in items._kept.values()) < 2 * LARGE


def test_no_request_holds_a_manifest_that_is_neither_being_read_nor_kept(
    vera: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was dropped from the cache meanwhile would be a third in memory."""
    held = []

    class Watched(items.Lines):
        def __getitem__(self, index: int) -> bytes:
            held.append(items._reading.locked() or items._lock.locked())
            return super().__getitem__(index)

    monkeypatch.setattr(items, "Lines", Watched)
    path = world.swap({"items": world.file("m.stored.jsonl", b'{"row": 0}\n' * 3)})
    for _ in ("read", "kept"):
        assert vera.get(f"/segmind/items/{path}").json()["total"] == 3
    assert held == [True] * 6


def test_a_manifest_that_was_dropped_is_not_held_by_the_timer_that_would_have_ended_it(
    vera: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled timer's thread ends a moment later; under load, that was a third manifest in memory."""
    monkeypatch.setattr(items, "_KEPT", 1)
    paths = [world.swap({"items": world.file(f"{n}.stored.jsonl", b"{}")}, task_id=f"batch_{n}") for n in range(2)]
    vera.get(f"/segmind/items/{paths[0]}")
    ((lines, timer),) = items._kept.values()
    dropped = weakref.ref(lines)
    del lines
    vera.get(f"/segmind/items/{paths[1]}")
    assert timer.finished.is_set()
    assert dropped() is None


def test_a_manifest_is_kept_while_a_page_asks_for_it_and_then_no_longer(vera: Any, world: World) -> None:
    files = [{"uri": world.file("a.png", PNG)}]
    manifest = world.folder / "m.stored.jsonl"
    world.file(manifest.name, json.dumps({"request_id": "q", "files": files}).encode())
    path = world.swap({"items": f"file://{manifest}"})
    assert vera.get(f"/segmind/items/{path}").json()["total"] == 1
    manifest.unlink()
    assert vera.get(f"/segmind/items/{path}/0/after").content == PNG
    ((_, timer),) = items._kept.values()
    assert timer.daemon
    timer.function(*timer.args)  # as it does by itself after a minute
    assert items._kept == {}
    assert vera.get(f"/segmind/items/{path}/0/after").status_code == 404


@pytest.mark.parametrize("count", [1, 2, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_each_line_of_a_manifest_is_found_wherever_it_begins(count: int, end: str) -> None:
    said = [f"{n}" * (n % 7) for n in range(count - 1)] + ["last"]
    lines = items.Lines(bytearray("\n".join(said) + end, "ascii"))
    assert len(lines) == count
    for index in {0, count // 2, count - 1, *range(0, count, 997)}:
        assert lines[index] == said[index].encode()


def test_a_line_without_an_end_is_read_no_further_than_a_line_may_be() -> None:
    lines = items.Lines(b"x" * 10 * MB)
    assert len(lines) == 1
    assert len(lines[0]) < MB
    assert len(items.Lines(b"")) == 0


@pytest.mark.slow
@pytest.mark.parametrize("one", [[], {}, {"request_id": "q"}, {"request_id": "q", "checks": [{}] * 20}, 0, "ab"])
def test_very_many_very_large_xcoms_take_little_memory_and_the_page_says_that_there_are_more(
    vera: Any, world: World, one: Any
) -> None:
    """A value of 32 KB as JSON is up to a megabyte of Python's objects, and need not be a record at all."""
    value = [one] * ((MAX_TEXT - 2) // (len(json.dumps(one)) + 2))
    start = datetime(2026, 11, 1, tzinfo=UTC)
    where = ({"task_id": "many", "map_index": n, "at": start + timedelta(seconds=n)} for n in range(500))
    world.swaps((value, each) for each in where)
    with less_than(100 * MB):
        said = swaps(vera)
    assert said["more"] is True


def test_a_swap_of_which_thousands_of_checks_are_said_has_as_many_as_one_record_may_have(
    vera: Any, world: World
) -> None:
    def said_of(n: int) -> tuple[Any, dict[str, Any]]:
        checks = [{"name": f"{n} {number}", "why": "It is so."} for number in range(20)]
        return {"request_id": "q", "checks": checks}, {"task_id": "many", "map_index": n}

    world.swaps(said_of(n) for n in range(1000))
    (swap,) = swaps(vera)["swaps"]
    assert len(swap["checks"]) == 20


def test_the_newest_records_are_those_that_are_shown_where_there_are_too_many(vera: Any, world: World) -> None:
    padding = "x" * 300
    start = datetime(2026, 11, 1, tzinfo=UTC)
    value = [{"label": padding, "items": "s3://bucket/looks/" + "y" * 2000}] * 13

    def said_of(n: int) -> tuple[Any, dict[str, Any]]:
        return [{**each, "request_id": f"q{n}-{part}"} for part, each in enumerate(value)], {
            "task_id": "many",
            "map_index": n,
            "at": start + timedelta(seconds=n),
        }

    world.swaps(said_of(n) for n in range(400))
    said = swaps(vera, limit=1)
    assert said["more"] is True
    assert 0 < said["total"] < 400 * len(value)
    assert said["swaps"][0]["request_id"] == "q399-0"


def test_who_asks_the_gallery_for_much_leaves_threads_to_the_rest_of_the_api(api: Callable[..., Any]) -> None:
    """Requests that wait for their turn wait without a thread, of which Airflow's API has forty for all."""
    import anyio

    from airflow_provider_segmind.gallery import answers

    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def route() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.pop()

    async def ask_often() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(answers.in_lane(route))

    anyio.run(ask_often)
    assert len(most) == 40
    assert max(most) == answers._LANES
