"""What swaps cost is read from the memory: all of it once, then what is new, and never longer than was asked for."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.costs import Costs
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import DONE, SwapRecord
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory import costs
from airflow_provider_segmind.memory.costs import CostsReader
from airflow_provider_segmind.memory.store import Listed, Store, change_of
from airflow_provider_segmind.operators.body_swap import (
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from tests.provider.remembering import pictures, task_of
from tests.provider.running import context, run
from tests.provider.s3 import s3_bucket

PRICE = 0.25


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Configure a memory and a price, and return the memory."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", f"{tmp_path}/memory")
    monkeypatch.setenv("AIRFLOW__SEGMIND__PRICE_PER_SWAP", str(PRICE))
    monkeypatch.setattr(costs, "FRESH", 0.0)
    return Store(f"{tmp_path}/memory")


def ctx(run_id: str, dag_id: str = "looks", **attempt: Any) -> Any:
    return context(task_of(run_id=run_id, dag_id=dag_id, **attempt))


def swap(emulator: Emulator, run_id: str, number: int = 0, dag_id: str = "looks", **attempt: Any) -> Any:
    emulator.set(job_seconds=0)
    task = BodySwapOperator(task_id="task", poll_interval=0.05, **pictures(emulator, number))
    return run(task, ctx(f"{run_id} {number}", dag_id, **attempt))


def rows(said: Costs) -> list[dict[str, Any]]:
    return [{name: value for name, value in asdict(row).items() if value and name != "day"} for row in said.rows]


def test_orders_and_what_was_reused_are_summed_by_dag(emulator: Emulator, memory: Store) -> None:
    swap(emulator, "a", 0)
    swap(emulator, "a", 1, "hats")
    for run_id in "bcd":
        swap(emulator, run_id, 0)
    emulator.script(Fault("will-fail"))
    with pytest.raises(SegmindError):
        swap(emulator, "a", 2, "hats")
    assert rows(CostsReader(memory).costs(1)) == [
        {"dag_id": "hats", "ordered": 2, "spent": 2 * PRICE, "failed": 1, "wasted": PRICE},
        {"dag_id": "looks", "ordered": 1, "spent": PRICE, "reused": 3, "saved": 3 * PRICE},
    ]


def test_a_task_notes_what_it_reused_once_however_often_it_is_retried(emulator: Emulator, memory: Store) -> None:
    swap(emulator, "a")
    submit = SubmitBodySwapOperator(task_id="task", **pictures(emulator))
    for attempt in (1, 2, 3):
        run(submit, ctx("b", try_number=attempt, max_tries=2))
    assert CostsReader(memory).costs(1).total.reused == 1
    run(submit, ctx("b", try_number=4, max_tries=6))  # cleared by a person
    assert CostsReader(memory).costs(1).total.reused == 2


def test_a_batch_notes_how_many_of_its_swaps_it_reused(emulator: Emulator, memory: Store) -> None:
    for run_id in "abc":
        swaps = [pictures(emulator, number) for number in range(4)]
        SubmitBodySwapBatchOperator(task_id="batch", swaps=swaps).execute(ctx(run_id))
    total = CostsReader(memory).costs(1).total
    assert (total.ordered, total.reused, total.saved) == (4, 8, 8 * PRICE)
    assert len(list(Path(memory.root).glob("reuses/*/*"))) == 2


def test_a_later_look_reads_only_what_is_new(
    emulator: Emulator, memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    class Noting(Store):
        def _read(self, name: str) -> bytes | None:
            read.append(name)
            return super()._read(name)

    reader = CostsReader(Noting(memory.root))
    swap(emulator, "a", 0)
    assert (reader.costs(1).total.ordered, len(read)) == (1, 1)
    swap(emulator, "a", 1)
    assert (reader.costs(1).total.ordered, len(read)) == (2, 2)
    (changed,) = (path for path in (Path(memory.root) / "swaps").rglob("*.json") if path.name in read[0])
    changed.write_text(changed.read_text().replace('"done"', '"lost"'))
    assert (reader.costs(1).total.lost, len(read)) == (1, 3)
    changed.unlink()
    assert (reader.costs(1).total.ordered, len(read)) == (1, 3)
    monkeypatch.setattr(costs, "FRESH", 1e6)
    swap(emulator, "a", 2)
    assert reader.costs(1).total.ordered == 1


def test_what_cannot_be_read_in_time_is_said_and_read_later(emulator: Emulator, memory: Store) -> None:
    for number in range(3):
        swap(emulator, "a", number)
    reader = CostsReader(memory)
    assert reader.costs(1, seconds=0).there == 0
    assert rows(reader.costs(1, seconds=30)) == [{"dag_id": "looks", "ordered": 3, "spent": 3 * PRICE}]
    assert CostsReader(memory).costs(1, seconds=30).read == 3


def test_each_look_gets_further_however_short_it_is(
    emulator: Emulator, memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Store):
        def listed(self, folder: str) -> Any:
            time.sleep(0.002)
            return super().listed(folder)

    monkeypatch.setattr(costs, "READERS", 1)
    for number in range(4):
        swap(emulator, "a", number)
    reader = CostsReader(Slow(memory.root))
    for _ in range(300):
        said = reader.costs(1, seconds=0.05)
        if said.total.ordered == 4:
            return
    raise AssertionError(said)


def test_a_storage_that_hangs_holds_nobody_longer_than_asked_for(emulator: Emulator, memory: Store) -> None:
    released = threading.Event()

    class Hanging(Store):
        def _read(self, name: str) -> bytes | None:
            released.wait(120)
            return super()._read(name)

    swap(emulator, "a", 0)
    reader = CostsReader(Hanging(memory.root))
    for _ in range(2):
        said = reader.costs(1, seconds=1)
        assert (said.read, said.there) == (0, 1)
    assert not released.is_set()
    released.set()
    assert reader.costs(1, seconds=60).total.ordered == 1


def test_a_storage_that_fails_is_an_error(emulator: Emulator, memory: Store) -> None:
    class Failing(Store):
        def _read(self, name: str) -> bytes | None:
            raise OSError("down")

    swap(emulator, "a", 0)
    for _ in range(2):
        with pytest.raises((SegmindError, OSError)):
            CostsReader(Failing(memory.root)).costs(1, seconds=5)


def test_no_more_is_held_in_memory_than_the_bound(
    emulator: Emulator, memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "MAX_KNOWN", 2)
    monkeypatch.setattr(costs, "READERS", 1)
    for number in range(4):
        swap(emulator, "a", number)
    said = CostsReader(memory).costs(1)
    assert (said.read, said.there) == (2, 4)


def test_orders_of_earlier_days_are_not_even_read(emulator: Emulator, memory: Store) -> None:
    swap(emulator, "a", 0)
    swap(emulator, "a", 1)
    path = min((Path(memory.root) / "swaps").rglob("*.json"))
    record = json.loads(path.read_bytes())
    record["order"]["at"] -= 10 * 86400
    path.write_text(json.dumps(record))
    old = time.time() - 10 * 86400
    os.utime(path, (old, old))
    assert (CostsReader(memory).costs(3).there, CostsReader(memory).costs(11).total.ordered) == (1, 2)


def test_a_damaged_object_is_left_out_and_named(
    emulator: Emulator, memory: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for run_id in "ab":
        swap(emulator, run_id, 0)
    for path in (*Path(memory.root).glob("reuses/*/*"), *(Path(memory.root) / "swaps").rglob("*.json")):
        path.write_text("{")
    assert CostsReader(memory).costs(1).rows == ()
    assert len([said for said in caplog.messages if said.startswith("The costs leave out")]) == 2


@pytest.mark.parametrize(
    ("facts", "changed_at"),
    [
        ({"LastModified": datetime(2026, 11, 29, tzinfo=UTC), "ETag": "a", "size": 1}, 1795910400.0),
        ({"updated": "2026-11-29T00:00:00.000Z", "etag": "a", "size": 1}, 1795910400.0),
        ({"last_modified": datetime(2026, 11, 29, tzinfo=UTC), "etag": "a"}, 1795910400.0),
        ({"mtime": 12.5, "ino": 7}, 12.5),
        ({"updated": "soon"}, None),
        ({}, None),
    ],
)
def test_each_storage_says_in_its_own_words_when_an_object_was_changed(facts: Any, changed_at: float | None) -> None:
    stamp, at = change_of(facts)
    assert at == changed_at
    assert stamp == change_of(dict(facts))[0]


def test_costs_are_read_from_s3(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    with s3_bucket(monkeypatch) as bucket:
        where = Store(f"s3://{bucket.name}/memory")
        monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", where.root)
        swap(emulator, "a")
        swap(emulator, "b")
        # An empty folder costs a request as well, and there are 256; some of them are as good as all.
        taken = {one.name.rpartition("/")[0] for one in where.listed("swaps")}
        monkeypatch.setattr(costs, "_PARTS", (*costs._PARTS[:8], *taken.difference(costs._PARTS[:8])))
        reader = CostsReader(where)
        for _ in range(2):
            assert rows(reader.costs(2)) == [
                {"dag_id": "looks", "ordered": 1, "spent": PRICE, "reused": 1, "saved": PRICE}
            ]


class Many(Store):
    """A memory with some orders in each folder, whose listings take a while."""

    def __init__(self, each: int, seconds: float) -> None:
        super().__init__("many")
        self.each, self.seconds, self.reads = each, seconds, 0

    def check(self) -> None:
        """It is one."""

    def listed(self, folder: str) -> Any:
        time.sleep(self.seconds)
        if folder.startswith("swaps/"):
            for number in range(1, self.each + 1):
                yield Listed(f"{folder}/{folder[-2:] + '0' * 62}.{number}.json", "1", time.time(), 100)

    def do(self, step: Any, sleep: Any = None) -> bytes:
        self.reads += 1
        key, number = step.name.rpartition("/")[2].split(".")[:2]
        order = OrderRecord(time.time())
        return SwapRecord(key, int(number), order, DONE, {"dag_id": "many"}, cost=PRICE).to_bytes()


def test_a_page_is_not_whole_before_each_folder_was_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "FRESH", 60.0)
    many = Many(3, 0.02)
    reader = CostsReader(many)
    looks = [reader.costs(7, seconds=0.1) for _ in range(2)]
    for said in looks:
        assert (said.is_whole, said.total.ordered < 768) == (False, True)
    for _ in range(100):
        said = reader.costs(7, seconds=0.1)
        if said.is_whole:
            break
    assert (said.total.ordered, said.total.spent, said.read, many.reads) == (768, 768 * PRICE, 768, 768)


def test_a_look_that_is_too_short_for_one_folder_goes_on_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "FRESH", 60.0)
    monkeypatch.setattr(costs, "_PARTS", ("swaps/00",))

    class Slow(Many):
        lists = 0

        def listed(self, folder: str) -> Any:
            self.lists += folder == "swaps/00"
            return super().listed(folder)

        def do(self, step: Any, sleep: Any = None) -> bytes:
            time.sleep(0.02)
            return super().do(step, sleep)

    slow = Slow(40, 0.0)
    reader = CostsReader(slow)
    for _ in range(100):
        if (said := reader.costs(7, seconds=0.1)).is_whole:
            break
    assert (said.total.ordered, slow.reads, slow.lists) == (40, 40, 1)
