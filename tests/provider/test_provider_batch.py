"""A batch: checked before anything is charged, each swap ordered once however often it is tried, no result lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import patience
from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, SubmitBodySwapBatchOperator
from airflow_provider_segmind.triggers.batch import BodySwapBatchTrigger
from tests.api.clock import Clock
from tests.provider.batches import PNG, RUNNING, Batch, at_once, charged, swaps
from tests.provider.conftest import connect
from tests.provider.running import first_event, revive

__all__ = ["at_once"]


def test_every_swap_is_ordered_once_and_its_result_is_in_the_manifest(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_polls=2)
    summary = Batch(emulator, tmp_path, swaps=swaps(emulator, 30)).attempt()
    assert summary == {
        "results_uri": str(tmp_path / "results.jsonl"),
        "total": 30,
        "completed": 30,
        "failed": 0,
        "by_status": {"COMPLETED": 30},
        "cost": 8.061,
    }
    assert charged(emulator) == [1] * 30
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [str(n) for n in range(30)]
    assert [row["select_character"] for row in rows] == [f"number {n}" for n in range(30)]
    assert len({row["request_id"] for row in rows}) == 30
    assert all(row["image_url"] and row["outputs"] and row["seconds"] is not None for row in rows)


def test_it_defers_once_with_small_arguments_and_without_a_secret(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=60)
    with pytest.raises(TaskDeferred) as deferred:
        Batch(emulator, tmp_path, swaps=swaps(emulator, 50)).start()
    stored = json.dumps(deferred.value.trigger.serialize())
    assert len(stored) < 1000
    assert emulator.api_key not in stored


def test_results_that_come_while_others_are_ordered_are_stored_at_once(emulator: Emulator, tmp_path: Path) -> None:
    """At 2000 requests a minute twenty orders take 0.6 seconds; the first jobs are done long before."""
    emulator.set(job_seconds=0)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20))
    with pytest.MonkeyPatch.context() as patch:
        connect(patch, emulator, extra={"requests_per_minute": 2000})
        try:
            batch.start()
        except TaskDeferred:
            parts = [line for part in tmp_path.rglob("part-*") for line in part.read_text().splitlines()]
            assert parts, "nothing was stored while the others were ordered"
    assert charged(emulator) == [1] * 20


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_manifest_in_storage_is_read(emulator: Emulator, tmp_path: Path, suffix: str) -> None:
    emulator.set(job_seconds=0)
    picture = tmp_path / "scene.png"
    picture.write_bytes(PNG)
    person = emulator.sample("person")
    manifest = tmp_path / f"swaps{suffix}"
    if suffix == ".csv":
        manifest.write_text(f"character_image,reference_character_image\n{picture},{person}\n")
    else:
        manifest.write_text(json.dumps({"character_image": str(picture), "reference_character_image": person}) + "\n")
    assert Batch(emulator, tmp_path, swaps=str(manifest)).attempt()["completed"] == 1
    assert emulator.charges[0].inputs["character_image"].startswith(f"{emulator.url}/assets/")
    assert emulator.charges[0].inputs["select_character"] == "woman"


def test_a_picture_that_many_swaps_share_is_uploaded_once(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    person = tmp_path / "person.png"
    person.write_bytes(PNG)
    given = [{**swap, "reference_character_image": str(person)} for swap in swaps(emulator, 12)]
    assert Batch(emulator, tmp_path, swaps=given).attempt()["completed"] == 12
    assert len({charge.inputs["reference_character_image"] for charge in emulator.charges}) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({2: {"character_image": ""}}, r"item 2: character_image is empty"),
        (
            {2: {"character_image": "ftp.example.com/1.png"}},
            r"item 2: character_image 'ftp.example.com/1.png' cannot be read",
        ),
        ({2: {"character_image": "http://example.com/1.png"}}, r"item 2: .*is not an https:// URL"),
        (
            {2: {"select_character": "", "select_charcter": "x"}},
            r"item 2: 'select_charcter' seems to mean select_character",
        ),
        ({2: {"id": 1e5}}, r"item 2: id is no text but a float"),
        ({2: {"takes": 0}}, r"item 2: takes is 0: it must be a whole number"),
        ({2: {"select_character": "number 0"}}, r"item 2: it is the same swap as item 0"),
    ],
)
def test_a_bad_swap_is_refused_by_its_number_before_the_first_charge(
    emulator: Emulator, tmp_path: Path, changes: dict[int, Any], said: str
) -> None:
    given = [{**swap, **changes.get(n, {})} for n, swap in enumerate(swaps(emulator, 4))]
    with pytest.raises((AirflowFailException, InvalidRequestError), match=said):  # the latter when the DAG is parsed
        Batch(emulator, tmp_path, swaps=given).attempt()
    assert not emulator.charges


def test_an_unreadable_picture_on_line_4711_is_named_before_the_first_charge(
    emulator: Emulator, tmp_path: Path
) -> None:
    picture, text = tmp_path / "scene.png", tmp_path / "no-picture.png"
    picture.write_bytes(PNG)
    text.write_text("hello")
    lines = [
        {"character_image": str(picture), "reference_character_image": str(picture), "select_character": f"{n}"}
        for n in range(5000)
    ]
    lines[4710]["character_image"] = str(tmp_path / "gone.png")
    lines[4799]["character_image"] = str(text)
    manifest = tmp_path / "swaps.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(AirflowFailException) as refused:
        Batch(emulator, tmp_path, swaps=str(manifest)).attempt()
    assert "line 4711: character_image" in str(refused.value)
    assert "gone.png' cannot be read" in str(refused.value)
    assert "line 4800: character_image" in str(refused.value)
    assert not emulator.charges


def test_a_balance_that_cannot_pay_for_all_is_refused_before_the_first_charge(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(credits=1.0, free_credits=0.0)
    with pytest.raises(AirflowFailException, match=r"CreditsError: 10 swaps at \$0.2687 cost \$2.69, .* has \$1.00"):
        Batch(emulator, tmp_path, swaps=swaps(emulator, 10)).attempt()
    assert not emulator.charges


@pytest.mark.parametrize("writes", range(0, 40, 3))
def test_whenever_the_process_dies_no_swap_is_charged_twice_and_a_retry_completes_all(
    emulator: Emulator, tmp_path: Path, writes: int
) -> None:
    """A store that takes no more writes is what a process leaves that dies then, with orders on their way."""
    emulator.set(job_seconds=0)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 40))
    assert batch.store is not None
    batch.store.broken_after = writes
    try:
        batch.attempt()
    except (RuntimeError, SegmindError):
        batch.store.broken_after = None
        assert batch.attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


def test_lost_answers_are_found_in_the_history_within_the_same_attempt(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=RUNNING)
    emulator.script(Fault("drop-after", after=6, times=3), Fault("drop-before", after=14, times=3))
    assert Batch(emulator, tmp_path, swaps=swaps(emulator, 40)).attempt()["completed"] == 40
    assert charged(emulator) == [1] * 40


def test_without_a_history_a_lost_answer_is_for_a_person_and_the_others_go_on(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("drop-after", after=6, times=2))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20))
    with pytest.raises(SegmindError, match=r"18 of 20 have their picture \(18 COMPLETED, 2 UNKNOWN\)"):
        batch.attempt()
    with pytest.raises(SegmindError, match=r"18 of 20 have their picture"):
        batch.attempt()
    assert charged(emulator) == [1] * 20, "a retry never orders what may have been accepted"
    assert sum(row["status"] == "UNKNOWN" and "may have been accepted" in row["error"] for row in batch.rows()) == 2


def test_resubmit_orders_what_stays_unknown_again_as_its_author_accepts(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("drop-after", after=6, times=2))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20), on_unknown_outcome="resubmit")
    with pytest.raises(SegmindError):
        batch.attempt()
    assert batch.attempt()["completed"] == 20
    assert charged(emulator) == [1] * 18 + [2] * 2


def test_a_retry_orders_only_what_failed(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_polls=2)
    emulator.script(Fault("will-fail", after=5, times=2))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20))
    with pytest.raises(SegmindError, match=r"18 of 20 have their picture \(18 COMPLETED, 2 FAILED\)"):
        batch.attempt()
    assert [row["error"] for row in batch.rows() if row["status"] == "FAILED"] != [None, None]
    assert batch.attempt()["completed"] == 20
    assert charged(emulator) == [1] * 18 + [2] * 2


@pytest.mark.parametrize(("max_failures", "good"), [(2, True), (1, False), (0.1, True), (0.05, False)])
def test_max_failures_is_a_count_or_a_share(
    emulator: Emulator, tmp_path: Path, max_failures: float, good: bool
) -> None:
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail", times=2))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20), max_failures=max_failures)
    if good:
        assert batch.attempt()["failed"] == 2
    else:
        with pytest.raises(SegmindError, match="max_failures is"):
            batch.attempt()


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), True, "2"])
def test_another_max_failures_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="max_failures is"):
        BodySwapBatchOperator(task_id="b", swaps=[], results_uri="/r", max_failures=value)


def test_an_expired_job_is_said_to_be_lost_and_not_ordered_again(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "GONE_AFTER", 0.0)
    monkeypatch.setattr(patience, "GONE_ASKS", 1)
    emulator.set(job_seconds=0)
    emulator.script(Fault("expired", on="poll", times=1))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 5))
    with pytest.raises(AirflowFailException, match=r"4 COMPLETED, 1 EXPIRED.*|a retry cannot help"):
        batch.attempt()
    with pytest.raises(AirflowFailException, match="a retry cannot help"):
        batch.attempt()
    assert charged(emulator) == [1] * 5


def test_credits_that_run_out_half_way_stop_the_ordering_and_lose_nothing(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_polls=2)
    emulator.script(Fault("406-credits", after=5, times=None))
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 20))
    with pytest.raises(SegmindError, match=r"5 of 20 have their picture \(5 COMPLETED, 15 NOT_ORDERED\)"):
        batch.attempt()
    assert any("406" in (row["error"] or "") for row in batch.rows())
    emulator.clear_faults()
    assert batch.attempt()["completed"] == 20
    assert charged(emulator) == [1] * 20


def test_what_is_wrong_for_all_is_not_tried_for_each(emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(Fault("404", times=None))
    with pytest.raises(SegmindError):
        Batch(emulator, tmp_path, swaps=swaps(emulator, 200)).attempt()
    assert sum(request.method == "POST" for request in emulator.requests) < 30


def test_a_clear_is_a_new_batch_and_a_retry_with_other_swaps_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 3))
    batch.attempt()
    batch.options["swaps"] = swaps(emulator, 4)
    with pytest.raises(AirflowFailException, match="ordered another batch"):
        batch.attempt()
    assert len(emulator.charges) == 3
    batch.max_tries += 2
    assert batch.attempt()["completed"] == 4
    assert len(emulator.charges) == 7


def test_a_deadline_leaves_the_rest_to_a_retry_which_orders_nothing(
    emulator: Emulator, clock: Clock, tmp_path: Path
) -> None:
    emulator.set(job_seconds=200)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 4), timeout=0.1)
    with pytest.raises(SegmindError, match="4 UNFINISHED"):
        batch.attempt()
    clock.sleep(200)
    batch.options["timeout"] = 60.0
    assert batch.attempt()["completed"] == 4
    assert charged(emulator) == [1] * 4


def test_another_triggerer_goes_on_with_what_is_stored(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_polls=2)
    with pytest.raises(TaskDeferred) as deferred:
        Batch(emulator, tmp_path, swaps=swaps(emulator, 6)).start()
    first = asyncio.run(first_event(revive(deferred.value.trigger)))
    asked = len(emulator.requests)
    assert asyncio.run(first_event(revive(deferred.value.trigger))) == first
    assert len(emulator.requests) == asked


@pytest.mark.parametrize("in_the_way", [False, True])
def test_a_trigger_that_cannot_see_the_files_ends_in_an_error_and_never_in_an_empty_success(
    emulator: Emulator, tmp_path: Path, in_the_way: bool
) -> None:
    """As in a triggerer on another machine, when results are in a directory of the worker's own."""
    if in_the_way:
        (tmp_path / "results.jsonl.parts").write_text("")
    trigger = BodySwapBatchTrigger(str(tmp_path / "results.jsonl"), "b", "segmind_default", 0.0)
    event = asyncio.run(first_event(trigger))
    assert event["status"] == "error"
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 1))
    with pytest.raises(SegmindError, match=r"every worker and triggerer reads|Waiting for the batch broke"):
        batch.task().execute_complete(batch.context(), event)
    assert not batch.results.exists()


def test_submitting_alone_returns_the_handles_in_order(emulator: Emulator, tmp_path: Path) -> None:
    batch = Batch(emulator, tmp_path, cls=SubmitBodySwapBatchOperator, swaps=swaps(emulator, 12))
    handles = batch.start()
    by_id = {charge.request_id: charge.inputs["select_character"] for charge in emulator.charges}
    assert [by_id[handle["request_id"]] for handle in handles] == [f"number {n}" for n in range(12)]
    assert batch.start() == handles
    assert len(emulator.charges) == 12


def test_submitting_alone_fails_when_not_all_could_be_ordered_and_a_retry_orders_the_rest(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.script(Fault("406-credits", after=5, times=None))
    batch = Batch(emulator, tmp_path, cls=SubmitBodySwapBatchOperator, swaps=swaps(emulator, 12))
    with pytest.raises(SegmindError, match=r"7 of 12 swaps could not be ordered. CreditsError"):
        batch.start()
    emulator.clear_faults()
    assert len(batch.start()) == 12
    assert charged(emulator) == [1] * 12


def test_before_airflow_3_3_it_works_and_a_retry_orders_nothing(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 3))
    batch.store = None
    assert batch.attempt()["completed"] == 3
    with pytest.raises(AirflowFailException, match="This is a retry"):
        batch.attempt()
    assert charged(emulator) == [1] * 3
