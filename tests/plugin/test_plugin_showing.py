"""What tasks say to the gallery, the links that lead there, and the body of an approval."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest
from airflow.models.taskinstancekey import TaskInstanceKey

from airflow_provider_segmind.api.gallery import GalleryRecord, read_record, to_json
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.gallery.answers import answer
from airflow_provider_segmind.gallery.recording import (
    ordered,
    ordered_batch,
    ordered_swaps,
    show,
    stored,
    stored_batch,
)
from airflow_provider_segmind.links import BeforeAfterLink, picture_url
from airflow_provider_segmind.preview import swap_preview

RUN = "scheduled__2026-11-24T00:00:00+00:00"


class BrokenInstance:
    """A task instance whose XComs cannot be written."""

    def xcom_push(self, *, key: str, value: Any) -> None:
        raise ConnectionError("the API server is gone")


def test_a_task_goes_on_when_its_swap_cannot_be_shown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", "s3://bucket")
    show({"ti": BrokenInstance()}, GalleryRecord())  # type: ignore[typeddict-item]
    show({}, GalleryRecord())
    assert caplog.text.count("This swap is not shown in the gallery") == 2


@pytest.mark.parametrize(("map_index", "task"), [(-1, "tasks/group.store"), (3, "tasks/group.store/mapped/3")])
def test_links_are_relative_and_encoded(map_index: int, task: str) -> None:
    key = TaskInstanceKey("looks", "group.store", RUN, 2, map_index)
    link = BeforeAfterLink().get_link(None, ti_key=key)
    run = "scheduled__2026-11-24T00%3A00%3A00%2B00%3A00"
    assert link == f"dags/looks/runs/{run}/{task}/plugin/body-swaps-task"
    assert picture_url(key) == f"segmind/image/looks/{run}/group.store/{map_index}/after"


def job() -> Job:
    return Job("q1", "https://api.segmind.com/poll/q1", "QUEUED", submitted_at=5.0)


def test_an_order_shows_the_photographs_that_are_in_storage_and_no_url() -> None:
    inputs = {"character_image": "s3://bucket/a.png", "reference_character_image": "HTTPS://example.com/b.png?key=1"}
    record = ordered(job(), inputs)
    assert (record.state, record.before, record.reference) == ("waiting", "s3://bucket/a.png", None)
    assert (record.request_id, record.submitted_at, record.label) == ("q1", 5.0, "a.png")
    assert (record.orders, record.cost) == (1, 0.2687)
    again, reused = ordered(job(), inputs, orders=2), ordered(job(), inputs, orders=0)
    assert (again.cost, reused.cost) == (0.5374, 0.0)


def test_a_stored_result_shows_its_first_picture_and_why_there_is_none() -> None:
    file = {"uri": "s3://bucket/q1.png", "thumbnail": "s3://bucket/q1.thumb.webp"}
    record = stored({"request_id": "q1", "uri": file["uri"], "files": [file]}, 41.0)
    assert (record.state, record.after, record.thumbs.after) == ("completed", file["uri"], file["thumbnail"])
    assert record.seconds == 41.0
    lost = stored({"request_id": "q1", "uri": None, "files": [], "error": "It is gone."})
    assert (lost.state, lost.after, lost.checks[0].why) == ("failed", None, "It is gone.")


def test_a_batch_is_the_same_one_when_it_is_ordered_and_when_it_is_stored() -> None:
    entries = [OrderRecord(1.0, request_id=f"q{n}", poll_url="https://x/q") for n in range(29)]
    waiting = ordered_batch([*entries, OrderRecord(1.0)], 30, BODY_SWAP_WORKFLOW, "s3://bucket/r.jsonl")
    assert (waiting.orders, waiting.cost, waiting.maybe) == (29, 7.7923, 0.2687)
    summary = {"completed": 28, "failed": 1, "without_picture": 1, "stored_uri": "s3://bucket/r.jsonl.stored.jsonl"}
    done = stored_batch("s3://bucket/r.jsonl", summary)
    assert waiting.request_id == done.request_id == "batch s3://bucket/r.jsonl"
    assert (waiting.state, waiting.label, done.state, done.items) == (
        "waiting",
        "Batch of 30",
        "completed",
        summary["stored_uri"],
    )
    assert done.checks[0].why == "2 swaps are without a picture."
    far = "s3://bucket/" + "x" * 400
    assert read_record(ordered_batch([], 1, BODY_SWAP_WORKFLOW, far).to_json()) is not None


def test_of_thousands_of_orders_of_one_task_each_counts_and_the_first_are_shown_one_by_one() -> None:
    entries = [OrderRecord(1.0, request_id="q" * 32, poll_url="https://x/q") for _ in range(10_000)]
    records = ordered_swaps(entries, [f"{'photograph' * 4}-{n}.jpg" for n in range(10_000)], BODY_SWAP_WORKFLOW)
    assert len(to_json(records)) == len(records) == 101
    assert (sum(one.orders for one in records), records[-1].label) == (10_000, "9900 more")
    assert sum(one.cost or 0 for one in records) == pytest.approx(2687)


def test_an_approval_of_a_mapped_task_shows_its_own_pictures() -> None:
    from types import SimpleNamespace

    values = {"dag": SimpleNamespace(dag_id="looks"), "run_id": RUN, "ti": SimpleNamespace(map_index=3, try_number=2)}
    text = jinja2.Environment(autoescape=True).from_string(swap_preview("group.store")).render(values)
    where = "looks/scheduled__2026-11-24T00%3A00%3A00%2B00%3A00/group.store/3"
    for slot in ("before", "reference", "after"):
        assert f"![{slot}](segmind/image/{where}/{slot}?size=small&v=2)" in text
    assert "](/" not in text
    assert text.startswith("| Before | Reference | After |\n|---|---|---|\n| ![before]")


def test_a_page_of_the_gallery_with_half_a_surrogate_pair_is_an_answer() -> None:
    assert json.loads(bytes(answer({"label": "\ud800"}).body)) == {"label": "\ud800"}


def test_a_number_that_is_no_json_is_in_no_answer() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        answer({"cost": float("nan")})
