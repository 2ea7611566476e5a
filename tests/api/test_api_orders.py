"""What an attempt does about the order that an earlier one may have placed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import (
    OrderRecord,
    Step,
    decide,
    digests,
    has_own_input,
    read_record,
    write_record,
)
from airflow_provider_segmind.api.workflows import fingerprint, tag_scene
from tests.api.drive import INPUTS, POLL_URL, WORKFLOW

PRINT = fingerprint(WORKFLOW, INPUTS)
INTENT = OrderRecord(1000.0, digests(INPUTS), fingerprint=PRINT, max_tries=2, workflow=WORKFLOW)
SUBMITTED = INTENT.submitted(Job("abc", POLL_URL, "QUEUED"))
FAILED = replace(SUBMITTED, failed=True)


def step(record: OrderRecord | None, max_tries: int = 2, wanted: str = PRINT) -> Step:
    return decide(record, max_tries=max_tries, fingerprint=wanted)


def test_without_a_record_it_orders() -> None:
    assert step(None) is Step.ORDER


def test_a_retry_goes_on_with_what_is_on_record() -> None:
    assert step(SUBMITTED) is Step.ATTACH


def test_a_retry_never_guesses_about_an_intent() -> None:
    assert step(INTENT) is Step.RECOVER
    assert step(INTENT, wanted="other") is Step.RECOVER


@pytest.mark.parametrize("record", [INTENT, SUBMITTED, FAILED])
def test_a_clear_is_a_new_order(record: OrderRecord) -> None:
    assert step(record, max_tries=3) is Step.ORDER


def test_a_job_that_failed_is_ordered_again_by_the_next_retry() -> None:
    assert step(FAILED) is Step.ORDER


def test_a_retry_that_wants_something_else_is_refused() -> None:
    assert step(SUBMITTED, wanted="other") is Step.REFUSE


@pytest.mark.parametrize("record", [INTENT, SUBMITTED, FAILED])
def test_a_record_survives_the_way_through_a_store_and_holds_no_picture(record: OrderRecord) -> None:
    stored = json.loads(json.dumps(write_record(record)))
    assert read_record(stored) == record
    assert INPUTS["character_image"] not in json.dumps(stored)


def test_a_record_gives_the_job_back() -> None:
    job = SUBMITTED.job()
    assert (job.request_id, job.poll_url, job.workflow, job.submitted_at) == ("abc", POLL_URL, WORKFLOW, 1000.0)


def test_what_a_newer_version_added_is_ignored() -> None:
    assert read_record({**write_record(SUBMITTED), "version": 9, "more": 1}) == SUBMITTED


@pytest.mark.parametrize(
    "stored",
    [
        *("abc", 7, [], {}, {"state": "odd"}, {"state": "intent"}),
        {**write_record(INTENT), "state": None},
        {**write_record(INTENT), "replaced": 7},
    ],
)
def test_a_record_that_cannot_be_read_is_never_taken_for_none(stored: Any) -> None:
    with pytest.raises(ValueError, match="the stored order"):
        read_record(stored)


def test_nothing_stored_is_no_record() -> None:
    assert read_record(None) is None


def test_records_that_version_0_1_0_wrote_can_be_read() -> None:
    path = Path(__file__).parents[1] / "provider" / "stored" / "orders.jsonl"
    records = [read_record(json.loads(line)) for line in path.read_text().splitlines()]
    seen = [(record.pending, record.known, record.failed) for record in records if record]
    assert seen == [(True, False, False), (False, True, False), (False, True, True)]
    assert all(record and record.max_tries == 2 and record.workflow == WORKFLOW for record in records)


@pytest.mark.parametrize(
    ("given", "sent", "own"),
    [
        ({"a": "https://x/1.png"}, {"a": "https://x/1.png"}, False),
        ({"a": " https://x/1.png "}, {"a": "https://x/1.png"}, False),
        ({"a": "s3://x/1.png"}, {"a": "https://x/1.png"}, True),
        ({"a": "https://x/1.png"}, {"a": "https://x/1.png#order=1"}, True),
        ({"a": "woman", "n": 1}, {"a": "man", "n": 2}, False),
        ({}, {"seed": "https://x/1.png"}, False),
    ],
)
def test_an_input_is_an_orders_own_where_its_url_is_not_the_one_that_was_given(
    given: dict[str, Any], sent: dict[str, Any], own: bool
) -> None:
    assert has_own_input(given, sent) is own


def test_a_record_keeps_what_the_history_showed() -> None:
    record = OrderRecord(2.0, own=True, candidates=("one", "two"), fingerprint="f", max_tries=1, workflow="w")
    assert read_record(json.loads(json.dumps(write_record(record)))) == record


def test_an_order_in_the_place_of_an_unknown_one_follows_all_that_it_can_be() -> None:
    record = OrderRecord(1000.0, replaced=("a",), candidates=("b", "c"))
    assert (record.ordered, record.perhaps) == (("a",), ("a", "b", "c"))
    assert record.submitted(Job("b", POLL_URL, "QUEUED")).perhaps == ("a", "b", "c")


def test_an_order_that_may_be_billed_and_has_no_id_is_counted_until_one_is_known() -> None:
    intent = OrderRecord(1000.0, unnamed=1)
    assert (intent.nameless, replace(intent, candidates=("a",)).nameless) == (2, 1)
    assert intent.submitted(Job("b", POLL_URL, "QUEUED")).nameless == 1
    assert intent.refuted() == OrderRecord(0.0, unnamed=1)


def test_a_tag_goes_behind_a_fragment_that_is_there() -> None:
    url = "https://x/1.png"
    assert tag_scene({"character_image": url, "n": 1}, "t") == {"character_image": f"{url}#order=t", "n": 1}
    assert tag_scene({"character_image": f"{url}#x"}, "t") == {"character_image": f"{url}#x&order=t"}
