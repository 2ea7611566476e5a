"""A review of a batch: what it shows, and the manifests that storing, publishing and ordering again take."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.gallery import VERDICTS_KEY
from airflow_provider_segmind.batch.files import CHECKS
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator
from airflow_provider_segmind.operators.review import FINISH, ReviewSwapsOperator
from airflow_provider_segmind.review import ITEMS, items_of, write_items
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.batches import at_once  # noqa: F401
from tests.provider.running import TaskInstance, context, run
from tests.provider.tries import Store

pytestmark = pytest.mark.usefixtures("at_once")
ANSWER = {"chosen_options": [FINISH], "params_input": {}, "responded_at": datetime.now(UTC), "responded_by_user": None}


def lines(uri: str) -> list[Any]:
    return [json.loads(line) for line in Path(uri.removeprefix("file://")).read_text().splitlines()]


@pytest.fixture
def stored(emulator: Emulator, tmp_path: Path) -> dict[str, Any]:
    """A batch of four swaps, of which one FAILED and one failed its checks, stored."""
    emulator.script(Fault("will-fail"))
    swaps = [
        {
            "character_image": emulator.sample("scene", n),
            "reference_character_image": emulator.sample("person", 0),
            "id": f"look {n}",
        }
        for n in range(4)
    ]
    results = str(tmp_path / "results.jsonl")
    batch = BodySwapBatchOperator(
        task_id="swaps", swaps=swaps, results_uri=results, max_failures=1, poll_interval=0.05, on_unknown_outcome="fail"
    )
    store = SegmindToObjectStorageOperator(
        task_id="store", results=run(batch), destination=str(tmp_path / "pictures"), max_failures=1
    )
    summary: dict[str, Any] = store.execute(context())
    bad = {"name": "subject_ssim", "verdict": "fail", "why": "the same person"}
    reports = [{"verdict": "pass", "checks": []}] * 2 + [{"verdict": "fail", "checks": [bad]}]
    (tmp_path / f"results.jsonl{CHECKS}").write_text("".join(json.dumps({"report": one}) + "\n" for one in reports))
    return summary


def finished(stored: Any, review_uri: str, verdicts: dict[str, Any]) -> dict[str, Any]:
    """End a review as Airflow does when a person has finished it."""
    write_items(review_uri, items_of(stored))
    ti = TaskInstance()
    ti.xcoms[VERDICTS_KEY] = verdicts
    task = ReviewSwapsOperator(task_id="review", results=stored, review_uri=review_uri)
    summary: dict[str, Any] = task.execute_complete(context(ti), dict(ANSWER))
    for name in ("review_uri", "kept_uri", "again_uri"):  # what ``review.output["again_uri"]`` reads
        assert ti.xcoms[name] == summary[name]
    return summary


def test_a_review_suggests_what_the_checks_say(stored: dict[str, Any], tmp_path: Path) -> None:
    rows = items_of(stored)
    lost = next(row["index"] for row in rows if not row["uri"])
    assert {row["index"]: row["default"] for row in rows} == {
        **dict.fromkeys(range(4), "keep"),
        2: "reject",
        lost: "reject",
    }
    assert rows[2]["checks"] == [{"name": "subject_ssim", "why": "the same person"}]
    assert items_of(stored["stored_uri"]) == rows
    with pytest.raises(InvalidRequestError, match="there is nothing to review"):
        items_of([])


def test_people_decide_and_what_nobody_decides_stays_as_suggested(stored: dict[str, Any], tmp_path: Path) -> None:
    rows = items_of(stored)
    good = [row["index"] for row in rows if row["default"] == "keep"]
    verdicts = {str(good[0]): ["again", "ann", 1.0], "2": ["keep", "bob", 2.0], "99": ["keep", "x", 1.0], "77": "no"}
    uri = str(tmp_path / "review.jsonl")
    summary = finished(stored, uri, verdicts)
    counts = {name: summary[name] for name in ("total", "kept", "again", "rejected", "reviewed_by")}
    assert counts == {"total": 4, "kept": 2, "again": 1, "rejected": 1, "reviewed_by": ["ann", "bob"]}
    said = {row["index"]: (row["verdict"], row["by"]) for row in lines(summary["review_uri"])}
    assert said[good[0]] == ("again", "ann")
    assert said[2] == ("keep", "bob")
    assert said[good[1]] == ("keep", None)


def review(results: Any, review_uri: str) -> ReviewSwapsOperator:
    return ReviewSwapsOperator(task_id="review", results=results, review_uri=review_uri)


def asked(results: Any, review_uri: str, store: Store) -> Any:
    """Begin an attempt, and return the verdicts it begins with; without a scheduler it ends where it asks people."""
    ti = TaskInstance()
    with suppress(Exception):
        review(results, review_uri).execute({**context(ti), "task_state_store": store})
    return ti.xcoms[VERDICTS_KEY]


@pytest.mark.parametrize("how", ["no storage", "no answer in time"])
def test_an_attempt_that_fails_at_its_end_leaves_its_verdicts_to_the_next_one(
    stored: dict[str, Any], tmp_path: Path, how: str
) -> None:
    store, uri, said = Store(), str(tmp_path / "review.jsonl"), {"0": ["again", "ann", 1.0]}
    assert asked(stored, uri, store) == {}
    ti = TaskInstance()
    ti.xcoms[VERDICTS_KEY] = said
    event: dict[str, Any] = dict(ANSWER)
    if how == "no storage":
        Path(f"{uri}{ITEMS}").unlink()
    else:
        event = {"error": "timeout", "error_type": "timeout"}
    with pytest.raises(Exception, match=r"review_uri|timeout"):
        review(stored, uri).execute_complete({**context(ti), "task_state_store": store}, event)

    assert asked(stored, uri, store) == said
    assert asked(stored["stored_uri"], uri, store) == said  # the same pictures
    assert asked([{"request_id": "another", "uri": "s3://b/another.png", "files": []}], uri, store) == {}


def test_what_is_kept_can_be_stored_and_published_and_what_is_wanted_again_ordered(
    emulator: Emulator, stored: dict[str, Any], tmp_path: Path
) -> None:
    again = next(row for row in items_of(stored) if row["default"] == "keep")
    summary = finished(stored, str(tmp_path / "review.jsonl"), {str(again["index"]): ["again", "ann", 1.0]})
    kept = lines(summary["kept_uri"])
    assert all(Path(row["uri"].removeprefix("file://")).is_file() for row in kept)  # what is published
    store = SegmindToObjectStorageOperator(
        task_id="keep", results=summary["kept_uri"], destination=str(tmp_path / "kept")
    )
    assert store.execute(context())["completed"] == len(kept)
    before = len(emulator.charges)
    order = BodySwapBatchOperator(
        task_id="again", swaps=summary["again_uri"], results_uri=str(tmp_path / "again.jsonl"), poll_interval=0.05
    )
    assert run(order)["completed"] == 1
    (charge,) = emulator.charges[before:]
    assert charge.inputs["character_image"] == again["character_image"]


def test_a_list_of_stored_swaps_is_reviewed_with_what_their_sidecars_say(emulator: Emulator, tmp_path: Path) -> None:
    inputs = {
        "character_image": emulator.sample("scene", 0),
        "reference_character_image": emulator.sample("person", 0),
    }
    rows = []
    for _ in range(2):
        result = run(BodySwapOperator(task_id="swap", poll_interval=0.05, **inputs))
        store = SegmindToObjectStorageOperator(
            task_id="store", results=result, destination=str(tmp_path), details={"inputs": inputs}
        )
        rows.append(store.execute(context()))
    verdicts = {str(index): ["again", "ann", 1.0] for index in range(2)}
    summary = finished(rows, str(tmp_path / "review.jsonl"), verdicts)
    (order,) = lines(summary["again_uri"])  # the same swap twice is one line
    assert order == {**inputs, "takes": 2}
    assert len(lines(f"{tmp_path}/review.jsonl{ITEMS}")) == 2


def test_a_take_that_is_wanted_again_is_not_the_other_take_that_is_kept(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", f"{tmp_path}/memory")
    emulator.set(job_seconds=0)
    scene, person = emulator.sample("scene"), emulator.sample("person")
    one = {"character_image": scene, "reference_character_image": person, "id": "look", "takes": 3}

    def batch(swaps: Any, name: str) -> dict[str, Any]:
        results = str(tmp_path / f"{name}.jsonl")
        task = BodySwapBatchOperator(task_id=name, swaps=swaps, results_uri=results, poll_interval=0.05)
        summary: dict[str, Any] = run(task, named(name))
        return summary

    def named(name: str) -> Any:
        ti = TaskInstance()
        ti.task_id = name
        return context(ti)

    made = batch([one], "swaps")
    store = SegmindToObjectStorageOperator(task_id="store", results=made, destination=str(tmp_path / "pictures"))
    verdicts = {"0": ["keep", "ann", 1.0], "1": ["again", "ann", 1.0], "2": ["again", "ann", 1.0]}
    summary = finished(store.execute(context()), str(tmp_path / "review.jsonl"), verdicts)
    batch(summary["again_uri"], "again")
    new = lines(str(tmp_path / "again.jsonl"))
    assert [(row["id"], row.get("reused")) for row in new] == [("look-2", None), ("look-3", None)]
    assert len(emulator.charges) == 5
    assert batch([one], "tomorrow")["cost"] == 0
