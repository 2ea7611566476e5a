"""A batch whose surroundings are not as they should be: storage, parameters, the history."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.batch import files as batch_files
from airflow_provider_segmind.batch import ordering, settling
from airflow_provider_segmind.batch.files import BatchFiles, summary_of
from airflow_provider_segmind.batch.results import Collector
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.waiting.ending import TriggerExit
from tests.api.clock import Clock
from tests.provider.batches import Batch, at_once, charged, swaps, until
from tests.provider.running import first_event

__all__ = ["at_once"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workflow": "0123456789abcdef01234567-v1"}, "is not AI Body Swap: a batch takes only that"),
        ({"workflow": "body swap"}, "is not a workflow id"),
        ({"swaps": "/nowhere/swaps.csv"}, "swaps '/nowhere/swaps.csv' cannot be read"),
        ({"swaps": 7}, "swaps is 7: give a list of dicts"),
        ({"swaps": []}, "there is nothing to swap in it"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_before_the_first_request(
    emulator: Emulator, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(AirflowFailException, match=said):
        Batch(emulator, tmp_path, **{"swaps": swaps(emulator, 2), **options}).attempt()
    assert not emulator.charges


def test_a_manifest_that_is_too_large_is_not_read(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_files, "MAX_MANIFEST", 10)
    (tmp_path / "swaps.jsonl").write_text("x" * 100)
    with pytest.raises(AirflowFailException, match="split it"):
        Batch(emulator, tmp_path, swaps=str(tmp_path / "swaps.jsonl")).attempt()


def test_results_that_cannot_be_written_stop_it_before_the_first_charge(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 2), results_uri=str(tmp_path / "file" / "results.jsonl"))
    with pytest.raises(AirflowFailException, match=r"results_uri '.*' cannot be written .*, so nothing was ordered"):
        batch.attempt()
    assert not emulator.charges


async def test_storage_that_fails_for_a_while_loses_no_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = BatchFiles(str(tmp_path / "file" / "results.jsonl"), "b")
    monkeypatch.setattr("airflow_provider_segmind.batch.results.FLUSH_ROWS", 1)
    (tmp_path / "file").write_text("in the way")
    collector = Collector(files, 1, {}, logging.getLogger("batch"))
    collector.add({"index": 0, "status": "COMPLETED"})  # so many that they are stored at once, which fails
    storing = asyncio.ensure_future(collector.run())
    await until(lambda: "could not be stored now" in caplog.text)
    (tmp_path / "file").unlink()
    await until(files.read_parts)
    storing.cancel()
    assert files.read_parts()[0]["status"] == "COMPLETED"


async def test_so_many_results_are_stored_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_segmind.batch.results.FLUSH_ROWS", 2)
    files = BatchFiles(str(tmp_path / "results.jsonl"), "b")
    monkeypatch.setattr("airflow_provider_segmind.batch.results.FLUSH_SECONDS", 60.0)
    collector = Collector(files, 3, {}, logging.getLogger("batch"))
    storing = asyncio.ensure_future(collector.run())
    for index in range(2):
        collector.add({"index": index, "status": "COMPLETED"})
    await until(files.read_parts)
    collector.add({"index": 2, "status": "COMPLETED"})
    await asyncio.sleep(0.05)  # in which nothing should happen
    storing.cancel()
    assert set(files.read_parts()) == {0, 1}
    await collector.flush()
    assert set(files.read_parts()) == {0, 1, 2}


def test_a_request_of_the_history_that_cannot_be_asked_for_is_neither_taken_nor_ordered_again(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_segmind.api.patience.GONE_AFTER", 0.1)
    monkeypatch.setattr("airflow_provider_segmind.api.patience.GONE_STEP", 0.05)
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("drop-after", after=6))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20))
    with pytest.raises(SegmindError, match="1 UNKNOWN"):
        batch.attempt()
    (lost,) = (charge.request_id for charge in emulator.charges if charge.request_id not in json.dumps(batch.store))
    emulator.set(history=True)
    emulator.script(Fault("expired", on="poll", request_id=lost, times=None))
    with pytest.raises(SegmindError, match="1 UNKNOWN"):
        batch.attempt()
    assert set(charged(emulator)) == {1}


def test_an_attempt_waits_until_the_history_can_tell_what_was_not_accepted(
    emulator: Emulator,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are ordered first; the history is asked when there is nothing else to do."""
    monkeypatch.setattr(history, "SETTLED", 600.0)  # more than the others take, on a busy machine too
    # Its time passes at once, and the emulator and whoever waits for the jobs go by the same.
    monkeypatch.setitem(Poller.__init__.__kwdefaults__, "clock", clock)
    for module in (ordering, settling):
        monkeypatch.setattr(module, "time", SimpleNamespace(**{**vars(time), "time": clock}))

    async def asleep(seconds: float) -> None:
        emulator.set(job_seconds=0)  # of what is ordered later
        await clock.asleep(seconds)

    monkeypatch.setattr(settling, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": asleep}))
    emulator.set(job_seconds=300)  # so they run when it is looked at first
    emulator.script(Fault("drop-before", after=4, times=3))
    with caplog.at_level(logging.INFO):
        assert Batch(emulator, tmp_path, swaps=swaps(emulator, 20)).attempt()["completed"] == 20
    assert "3 orders have no answer; looking them up in the request history" in caplog.text
    assert sum(clock.slept) > 500
    assert charged(emulator) == [1] * 20


def test_orders_that_all_end_without_an_answer_stop_it_soon(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("500-after", times=None))
    with pytest.raises(SegmindError, match="UNKNOWN"):
        Batch(emulator, tmp_path, swaps=swaps(emulator, 100)).attempt()
    assert len(emulator.charges) < 20


def test_a_summary_that_cannot_be_kept_in_the_triggerer_is_left_to_a_worker(emulator: Emulator, tmp_path: Path) -> None:
    """Here there is no supervisor that would take the XCom."""
    emulator.set(job_polls=2)
    with pytest.raises(TaskDeferred) as deferred:
        Batch(emulator, tmp_path, swaps=swaps(emulator, 2)).start()
    trigger = deferred.value.trigger
    trigger.ending = TriggerExit(success=True)
    trigger.task_instance = SimpleNamespace(dag_id="d", task_id="batch", run_id="r", map_index=-1)
    event = asyncio.run(first_event(trigger))
    assert event["summary"]["completed"] == 2


def test_a_row_that_says_failed_is_not_paid_for_again_before_segmind_says_so(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Others may write beside the results."""
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail", after=3))  # one really fails, so there is a retry
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    with pytest.raises(SegmindError, match="9 COMPLETED, 1 FAILED"):
        batch.attempt()
    (folder,) = next(iter(tmp_path.rglob("*.parts"))).iterdir()

    def rows(pattern: str) -> list[dict[str, Any]]:
        return [json.loads(line) for file in folder.glob(pattern) for line in file.read_text().splitlines()]

    failed = {row["index"] for row in rows("part-*") if row["status"] == "FAILED"}
    forged = [
        {"index": row["index"], "request_id": row["request_id"], "status": "FAILED", "error": "x"}
        for row in rows("swaps.jsonl")
    ]
    (folder / "part-99999999999999999999.jsonl").write_text("".join(json.dumps(row) + "\n" for row in forged))
    assert batch.attempt()["completed"] == 10
    assert sorted(charged(emulator)) == [1] * 9 + [2]
    assert {row["index"] for row in rows("part-*") if row["error"] == "x"} <= failed  # the trigger may read no other


def test_a_status_that_nobody_writes_is_in_no_summary(tmp_path: Path) -> None:
    files = BatchFiles(f"{tmp_path}/r.jsonl", "b")
    files.write_part([{"index": 0, "request_id": "r", "status": "\0" + "x" * 2000, "error": None}])
    assert summary_of(files.read_parts().values(), files.results, 0.25)["by_status"] == {}
