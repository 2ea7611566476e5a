"""A record of the gallery: what is written can be read, and what anybody else wrote does no harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api.gallery import (
    MAX_CHECKS,
    MAX_LISTED,
    MAX_TEXT,
    STATES,
    FailedCheck,
    GalleryRecord,
    Pictures,
    read_record,
    read_records,
    to_json,
)

URIS = st.none() | st.text(max_size=50)
NUMBERS = st.none() | st.floats(min_value=0, max_value=1e9)
RECORDS = st.builds(
    GalleryRecord,
    state=st.sampled_from(STATES),
    before=URIS,
    reference=URIS,
    after=URIS,
    thumbs=st.builds(Pictures, URIS, URIS, URIS),
    request_id=URIS,
    cost=NUMBERS,
    seconds=NUMBERS,
    submitted_at=NUMBERS,
    checks=st.lists(st.builds(FailedCheck, st.text(max_size=20), st.text(max_size=50)), max_size=MAX_CHECKS).map(tuple),
    label=URIS,
    items=URIS,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)
NAMES = st.sampled_from([*GalleryRecord.__dataclass_fields__, "other"])


@given(RECORDS)
def test_what_is_written_is_read_as_it_was(record: GalleryRecord) -> None:
    written = json.dumps(record.to_json())
    assert read_record(json.loads(written)) == record
    assert read_record(written) == record


@given(JSON | st.dictionaries(NAMES, JSON, max_size=6))
def test_whatever_is_read_it_is_a_record_or_nothing(value: Any) -> None:
    record = read_record(value)
    assert record is None or read_record(record.to_json()) == record


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        "",
        "{",
        "[" * 20_000,
        '{"label": "' + "x" * MAX_TEXT + '"}',
        {"state": "done"},
        {"state": []},
        {"after": 1},
        {"after": "x" * 3000},
        {"thumbs": ["x"]},
        {"thumbs": {"after": 1}},
        {"cost": "1"},
        {"cost": True},
        {"cost": -0.01},
        {"cost": float("nan")},
        {"cost": float("inf")},
        {"cost": 10**400},
        {"checks": {}},
        {"checks": ["x"]},
        {"checks": [{"name": 1}]},
        {"checks": [{}] * (MAX_CHECKS + 1)},
    ],
)
def test_what_is_not_as_it_must_be_is_no_record(value: Any) -> None:
    assert read_record(value) is None


def test_a_record_with_nothing_in_it_is_a_swap_that_is_done() -> None:
    assert read_record({}) == GalleryRecord()
    assert read_record({"written_by": "a later version", "checks": [{}]}) == GalleryRecord(
        checks=(FailedCheck("", ""),)
    )


def test_of_very_many_records_the_first_are_kept_and_can_be_read() -> None:
    uri = "s3://bucket/" + "x" * 400
    for count in (1, 2, 5000):
        records = [GalleryRecord(request_id=f"q{n}", after=uri) for n in range(count)]
        kept = to_json(records)
        assert read_records(json.dumps(kept)) == tuple(records[: len(kept)])
        assert len(kept) == min(count, len(kept))
        assert len(kept) == count or len(kept) * len(json.dumps(kept[0])) > 0.95 * MAX_TEXT
        assert len(json.dumps(kept)) <= MAX_TEXT
    assert len(to_json([GalleryRecord(after="x" * 2 * MAX_TEXT)] * 2)) == 1


def test_what_is_no_record_in_a_list_keeps_its_place() -> None:
    assert read_records([{"label": "a"}, 7, {"state": "x"}, {"label": "b"}]) == (
        GalleryRecord(label="a"),
        None,
        None,
        GalleryRecord(label="b"),
    )
    assert read_records("[") == ()


def test_of_a_list_that_is_long_because_nothing_is_in_it_a_part_is_read() -> None:
    """Thousands of empty records fit into an XCom that anybody may write."""
    assert read_records("[" + ",".join(["{}"] * 10_000) + "]") == (GalleryRecord(),) * MAX_LISTED
    assert len(to_json([GalleryRecord()] * 10_000)) == MAX_LISTED


def test_long_words_and_many_checks_are_cut_so_that_the_record_can_be_read() -> None:
    long = GalleryRecord(label="x" * 1000, checks=(FailedCheck("n" * 1000, "w" * 1000),) * 100)
    read = read_record(long.to_json())
    assert read is not None
    assert len(read.checks) == MAX_CHECKS
    assert {len(read.label or ""), len(read.checks[0].name), len(read.checks[0].why)} == {300}
