"""Once a batch has ordered, nothing that passes ends it for good, and whatever ends it names every paid job."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.batch import outcomes as batch_outcomes
from airflow_provider_segmind.batch.files import BatchFiles, compose, summary_of
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from airflow_provider_segmind.orders.store import OrderStore
from tests.provider.batches import RUNNING, Batch, at_once, charged, swaps

__all__ = ["at_once"]


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_outcomes, "PAUSES", (0.01, 0.01))


class Half:
    """A batch of forty whose worker died when it had ordered twenty; its results folder and manifest can be spoilt."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        emulator.set(job_seconds=0)
        self.emulator = emulator
        self.folder = folder / "results"
        self.folder.mkdir()
        self.manifest = folder / "swaps.jsonl"
        self.manifest.write_text("".join(json.dumps(swap) + "\n" for swap in swaps(emulator, 40)))
        self.batch = Batch(emulator, self.folder, swaps=str(self.manifest), retries=6)
        assert self.batch.store is not None
        self.batch.store.broken_after = 8
        with pytest.raises((SegmindError, RuntimeError, TaskDeferred)):
            self.batch.start()
        self.batch.store.broken_after = None
        assert 0 < len(self.ids) < 40  # how many depends on which answers came together

    @property
    def ids(self) -> set[str]:
        """The requests that are on record now."""
        entries = OrderStore({"task_state_store": self.batch.store}).load_batch()[1].values()
        return {entry.request_id for entry in entries if entry.known}

    def spoil_results(self) -> Callable[[], None]:
        """Put a file where the folder of the parts would be, and return what takes it away again."""
        parts = Path(f"{self.batch.results}.parts")
        kept = parts.with_name("kept")
        parts.rename(kept)
        parts.write_text("in the way")

        def mend() -> None:
            parts.unlink()
            kept.rename(parts)

        return mend

    def remove_manifest(self) -> Callable[[], None]:
        text = self.manifest.read_text()
        self.manifest.unlink()
        return lambda: void(self.manifest.write_text(text))

    def cut_manifest(self) -> Callable[[], None]:
        """As somebody sees it who reads while it is written again."""
        text = self.manifest.read_text()
        self.manifest.write_text("".join(text.splitlines(keepends=True)[:11]))
        return lambda: void(self.manifest.write_text(text))

    def break_manifest(self) -> Callable[[], None]:
        text = self.manifest.read_text()
        self.manifest.write_text(text[:-20])
        return lambda: void(self.manifest.write_text(text))


def void(_: object) -> None:
    """Return nothing."""


@pytest.mark.parametrize("spoil", ["spoil_results", "remove_manifest", "cut_manifest", "break_manifest"])
def test_a_retry_that_meets_bad_files_is_tried_again_and_names_what_is_paid_for(
    emulator: Emulator, tmp_path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    half = Half(emulator, tmp_path)
    mend = getattr(half, spoil)()
    with caplog.at_level(logging.WARNING), pytest.raises(SegmindError) as error:
        half.batch.attempt()
    assert f"{len(half.ids)} orders are accepted and paid for: " in str(error.value)
    assert half.ids == {charge.request_id for charge in emulator.charges} or "were being sent" in str(error.value)
    assert {name for name in half.ids if name in caplog.text} == half.ids
    assert {handle["request_id"] for handle in half.batch.ti.xcoms["ordered"]} == half.ids
    mend()
    assert half.batch.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


def test_storage_that_is_away_for_a_moment_is_waited_for_in_the_same_attempt(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = Half(emulator, tmp_path)
    mend = half.spoil_results()

    def pass_time(seconds: float) -> None:
        if seconds == 0.02:
            mend()

    monkeypatch.setattr(batch_outcomes, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(batch_outcomes, "time", SimpleNamespace(sleep=pass_time))
    assert half.batch.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


def test_storage_that_breaks_once_all_is_ordered_names_every_order(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.set(job_seconds=60)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 30))
    context = batch.context()
    run = batch.task().run_of(context)
    place = run._place

    def spoil() -> None:
        shutil.rmtree(f"{batch.results}.parts")
        Path(f"{batch.results}.parts").write_text("in the way")

    async def place_and_break(*given: Any) -> Any:
        ordering = await place(*given)
        spoil()
        return ordering

    run._place = place_and_break
    with pytest.raises(SegmindError, match=r"30 orders are accepted and paid for: .* and 10 more, which the log names"):
        run.order_and_wait()
    assert all(charge.request_id in caplog.text for charge in emulator.charges)
    Path(f"{batch.results}.parts").unlink()
    emulator.finish_jobs()
    assert batch.attempt()["completed"] == 30
    assert charged(emulator) == [1] * 30


@pytest.mark.parametrize("durable", [True, False])
def test_a_wait_that_breaks_in_the_triggerer_names_every_order(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, durable: bool
) -> None:
    emulator.set(job_seconds=60)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 3))
    batch.store = batch.store if durable else None
    context = batch.context()
    with pytest.raises(TaskDeferred):
        batch.task().execute(context)
    event = {"version": 1, "status": "error", "error": {"type": "ServiceError", "message": "the storage is away"}}
    with pytest.raises(SegmindError if durable else AirflowFailException, match="the storage is away"):
        batch.task().execute_complete(context, event)
    ids = {charge.request_id for charge in emulator.charges}
    assert {handle["request_id"] for handle in batch.ti.xcoms["ordered"]} == ids
    assert not durable or {name for name in ids if name in caplog.text} == ids


def test_a_changed_list_ends_for_good_and_names_what_is_paid_for(emulator: Emulator, tmp_path: Path) -> None:
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 3))
    batch.attempt()
    batch.options["swaps"] = swaps(emulator, 4)
    with pytest.raises(
        AirflowFailException, match=r"ordered another batch.*3 orders are accepted and paid for"
    ) as error:
        batch.attempt()
    assert all(charge.request_id in str(error.value) for charge in emulator.charges)


@pytest.mark.parametrize("refusal", ["406-credits", "401", "404"])
def test_a_submit_that_ends_half_way_names_what_is_paid_for(emulator: Emulator, tmp_path: Path, refusal: str) -> None:
    emulator.script(Fault(refusal, after=4, times=100))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 12), cls=SubmitBodySwapBatchOperator)
    with pytest.raises((SegmindError, AirflowFailException)) as error:
        batch.start()
    assert emulator.charges
    assert all(charge.request_id in str(error.value) for charge in emulator.charges)


def test_a_key_that_is_wrong_for_a_while_does_not_end_for_good_what_is_paid_for(
    emulator: Emulator, tmp_path: Path
) -> None:
    half = Half(emulator, tmp_path)
    emulator.script(Fault("401", on="credits", times=2))
    with pytest.raises(SegmindError, match="orders are accepted and paid for"):
        half.batch.attempt()
    assert half.batch.attempt()["completed"] == 40


def test_each_row_lists_all_its_requests_and_the_summary_adds_up_to_the_bill(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail", after=2, times=3))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    with pytest.raises(SegmindError, match="3 FAILED"):
        batch.attempt()
    emulator.script(Fault("will-fail"))
    with pytest.raises(SegmindError, match="1 FAILED"):
        batch.attempt()
    summary = batch.attempt()
    rows = batch.rows()
    assert sorted(name for row in rows for name in row["requests"]) == sorted(
        charge.request_id for charge in emulator.charges
    )
    assert all(row["requests"][-1] == row["request_id"] for row in rows)
    assert summary["cost"] == round(14 * 0.2687, 4)


def test_a_failed_order_stays_named_where_the_next_one_was_provably_not_accepted(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Its intent is given up, and what it had replaced must not go with it."""
    emulator.script(Fault("will-fail", after=2, times=2))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    with pytest.raises(SegmindError, match="2 FAILED"):
        batch.attempt()
    emulator.set(job_seconds=RUNNING)
    emulator.script(Fault("drop-before"))
    summary = batch.attempt()
    assert charged(emulator) == [1] * 8 + [2, 2]
    assert summary["cost"] == round(12 * 0.2687, 4)
    assert max(len(row["requests"]) for row in batch.rows()) == 2


def test_what_the_last_version_wrote_of_a_batch_is_counted(tmp_path: Path) -> None:
    row = {"index": 0, "request_id": "one", "status": "COMPLETED", "error": None}
    files = BatchFiles(str(tmp_path / "results.jsonl"), "b")
    files.write_swaps([row])
    assert summary_of(compose(files.read_swaps(), {}), files.results, 0.25)["cost"] == 0.25
