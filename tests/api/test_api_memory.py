"""The memory of swaps: which order of a swap stands, and what is noted of its end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_segmind.api import ends, memory, remembered
from airflow_provider_segmind.api.memory import Found, Reuse
from airflow_provider_segmind.api.remembered import (
    DONE,
    FAILED,
    LOST,
    ORDERED,
    REJECTED,
    RELEASED,
    DamagedError,
    Stored,
)
from tests.api.remembering import KEY, PICTURE, A, B, Swaps, claim_of


@pytest.fixture
def objects() -> Swaps:
    return Swaps()


def test_a_key_is_the_content_and_not_the_names() -> None:
    def key(**changes: Any) -> str:
        given: dict[str, Any] = {
            "service": "https://s",
            "workflow": "w-v1",
            "inputs": {"character_image": "s3://a/1.png", "select_character": "woman"},
            "pictures": {"character_image": "1" * 64},
            **changes,
        }
        return remembered.swap_key(**given)

    other = {"character_image": "s3://b/copy.png", "select_character": "woman"}
    assert key() == key(inputs=other) == key(take=1)
    different = [
        key(service="http://localhost"),
        key(workflow="w-v2"),
        key(inputs={**other, "select_character": "man"}),
        key(pictures={"character_image": "3" * 64}),
        key(take=2),
    ]
    assert len({key(), *different}) == 6


def test_a_record_is_read_as_it_was_written(objects: Swaps) -> None:
    objects.done()
    (name,) = (name for name in objects if name.startswith("swaps/"))
    record = objects.record(name)
    assert record.outputs == (PICTURE,)
    assert remembered.read_swap(record.to_bytes(), name) == record
    assert (record.whose, record.order.known, record.cost) == ("dag_id d, run_id a, task_id t", True, 0.25)


def test_a_field_of_a_newer_package_is_no_damage(objects: Swaps) -> None:
    record = objects.ordered()
    said = {**json.loads(record.to_bytes()), "later": 1}
    assert remembered.read_swap(json.dumps(said).encode(), record.name) == record


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"state": "x"},
        {"key": "0" * 64},
        {"owner": []},
        {"outputs": 3},
        {"order": None},
        {"number": "1"},
        {"newer": "2"},
        {"ended_at": "x"},
        {"cost": None},
        {"order": {"at": "x"}},
        {"order": {"at": 1.0, "poll_url": None}},
        {"outputs": [{"keyname": "image", "type": "image", "url": "u", "size": "5"}]},
    ],
)
def test_what_cannot_be_understood_is_damaged_and_named(objects: Swaps, change: dict[str, Any]) -> None:
    record = objects.ordered()
    objects[record.name] = json.dumps({**json.loads(record.to_bytes()), **change}).encode()
    with pytest.raises(DamagedError, match=record.key):
        objects.settle()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_json_is_damaged_and_not_overwritten(objects: Swaps, data: bytes) -> None:
    name = objects.ordered().name
    objects[name] = data
    for steps in (
        memory.settle(KEY, A, Reuse(), lambda: 0.0),
        memory.refused(name, A, 0.0),
        ends.find("r1"),
        ends.ended("r1", DONE, 0.0),
    ):
        with pytest.raises(DamagedError, match="damaged"):
            objects.run(steps)
    assert objects[name] == data


@pytest.mark.parametrize(
    ("data", "why"), [(b"", r"is damaged \(JSONDecodeError\)"), (b'{"version": 2}', "has version 2, .* Install the")]
)
def test_an_end_that_cannot_be_read_is_called_by_its_own_name(objects: Swaps, data: bytes, why: str) -> None:
    objects.done()
    done = objects.record(remembered.name_of(KEY, 1))
    objects[done.name] = replace(done, state=ORDERED, outputs=()).to_bytes()
    objects[remembered.end_name(KEY, 1)] = data
    with pytest.raises(DamagedError, match=rf"ends/../{KEY}\.1\.json {why}") as raised:
        objects.settle()
    assert done.name not in str(raised.value), "that one is healthy, and is not to be deleted"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"name": "../../etc"}', b'{"name": 1}'])
def test_a_pointer_that_leads_nowhere_is_named(objects: Swaps, data: bytes) -> None:
    objects.ordered()
    objects[remembered.request_name("r1")] = data
    with pytest.raises(DamagedError, match="delete it; nothing is lost"):
        objects.run(ends.find("r1"))


def test_a_swap_that_nobody_ordered_gets_the_number_one(objects: Swaps) -> None:
    assert objects.settle() == Found(None, remembered.name_of(KEY, 1))


def test_a_running_order_stands(objects: Swaps) -> None:
    record = objects.ordered()
    assert objects.settle().record == record
    assert (record.state, record.job().reused, record.job().status) == (ORDERED, True, "QUEUED")


def test_a_picture_that_is_there_stands_and_leads_to_its_copy(objects: Swaps) -> None:
    objects.done()
    job = objects.settle().record.job()  # type: ignore[union-attr]
    assert (job.status, job.outputs[0].url, job.request_id) == ("COMPLETED", PICTURE.uri, "r1")


@pytest.mark.parametrize("size", [None, 99])
def test_a_picture_that_is_gone_or_changed_is_ordered_again(objects: Swaps, size: int | None) -> None:
    objects.done()
    objects.sizes = {} if size is None else {PICTURE.uri: size}
    assert objects.settle().name == remembered.name_of(KEY, 2)


def test_a_picture_without_a_copy_stands_as_long_as_segmind_keeps_it(objects: Swaps) -> None:
    objects.done(outputs=(replace(PICTURE, uri=""), Stored("words", "text", "a man")))
    objects.now += memory.KEPT - 1
    assert objects.settle().record is not None
    objects.now += 2
    assert objects.settle().record is None


def test_a_job_without_any_output_is_not_reused(objects: Swaps) -> None:
    objects.done(outputs=())
    assert objects.settle().record is None


def test_an_author_may_want_a_newer_picture(objects: Swaps) -> None:
    objects.done()
    objects.now += 100
    assert objects.settle(how=Reuse(max_age=200)).record is not None
    assert objects.settle(how=Reuse(max_age=50)).record is None


@pytest.mark.parametrize("state", [FAILED, LOST])
def test_a_job_that_failed_or_is_lost_is_ordered_again(objects: Swaps, state: str) -> None:
    objects.ordered()
    objects.run(ends.ended("r1", state, 5.0, error="why"))
    found = objects.settle()
    assert (found.record, found.name, found.before and found.before.error) == (None, remembered.name_of(KEY, 2), "why")


def test_a_rejected_picture_is_ordered_again(objects: Swaps) -> None:
    objects.done()
    objects.run(ends.ended("r1", REJECTED, 5.0, error="six fingers"))
    assert objects.settle().record is None
    assert objects.states() == [REJECTED]


def test_what_is_seen_to_end_stays_so(objects: Swaps) -> None:
    objects.done()
    for state in (FAILED, LOST, DONE):
        objects.run(ends.ended("r1", state, 9.0, error="late"))
    objects.run(ends.ended("unknown", DONE, 9.0))
    assert objects.states() == [DONE]
    assert objects.settle().record.error == ""  # type: ignore[union-attr]


def test_what_was_lost_and_is_seen_after_all_is_done(objects: Swaps) -> None:
    objects.ordered()
    objects.run(ends.ended("r1", LOST, 5.0))
    objects.run(ends.ended("r1", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.states() == [DONE]


def test_a_new_picture_takes_the_place_of_the_old_one(objects: Swaps) -> None:
    objects.done()
    objects.ordered(B, "r2")
    assert objects.settle().record.order.request_id == "r1"  # type: ignore[union-attr]
    objects.run(ends.ended("r2", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.settle().record.order.request_id == "r2"  # type: ignore[union-attr]
    assert objects.states() == [REJECTED, DONE]


def test_what_was_ordered_later_on_purpose_stays_although_an_older_job_ends_later(objects: Swaps) -> None:
    objects.ordered()
    objects.ordered(B, "r2")
    objects.run(ends.ended("r2", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.run(ends.ended("r1", DONE, 7.0, outputs=(PICTURE,)))
    assert objects.states() == [REJECTED, DONE]
    assert objects.settle().record.order.request_id == "r2"  # type: ignore[union-attr]


def test_an_older_job_that_ends_later_makes_a_picture_if_the_later_one_is_gone(objects: Swaps) -> None:
    objects.ordered()
    objects.ordered(B, "r2")
    objects.run(ends.ended("r2", DONE, 6.0, outputs=(replace(PICTURE, uri="/m/deleted.png"),)))
    objects.run(ends.ended("r1", DONE, 7.0, outputs=(PICTURE,)))
    assert objects.settle().record.order.request_id == "r1"  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(50))
def test_of_two_jobs_that_end_together_the_picture_that_was_ordered_later_stays(objects: Swaps, seed: int) -> None:
    objects.ordered()
    objects.ordered(B, "r2")
    objects.interleave([ends.ended(one, DONE, objects.now, outputs=(PICTURE,)) for one in ("r1", "r2")], seed)
    assert objects.states() == [REJECTED, DONE]
    assert objects.settle().record.order.request_id == "r2"  # type: ignore[union-attr]


def test_a_second_picture_leaves_what_failed_or_is_gone_as_it_is(objects: Swaps) -> None:
    objects.ordered()
    objects.run(ends.ended("r1", FAILED, 5.0))
    objects.ordered(B, "r2")
    objects.run(ends.ended("r2", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.states() == [FAILED, DONE]
    objects.ordered(A, "r3")
    del objects[remembered.name_of(KEY, 2)]
    objects.run(ends.ended("r3", DONE, 7.0, outputs=(PICTURE,)))
    assert objects.states() == [FAILED, DONE]


@pytest.mark.parametrize("between", [RELEASED, FAILED])
def test_a_new_picture_takes_the_place_of_every_old_one(objects: Swaps, between: str) -> None:
    """The first try to make it was refused, or its job FAILED."""
    objects.done()
    if between == RELEASED:
        found = objects.settle(B, Reuse(refresh=True))
        record = claim_of(found, B, objects.now)
        assert objects.run(memory.claim(record, found.before))
        objects.run(memory.refused(record.name, B, record.order.at))
    else:
        objects.ordered(B, "r2")
        objects.run(ends.ended("r2", FAILED, 6.0))
    objects.ordered(B, "r3")
    objects.run(ends.ended("r3", DONE, 7.0, outputs=(PICTURE,)))
    assert objects.states() == [REJECTED, between, DONE]
    assert objects.settle().record.order.request_id == "r3"  # type: ignore[union-attr]


@pytest.mark.parametrize("times", [3, 40])
def test_after_many_refreshes_the_newest_picture_is_found_as_soon(objects: Swaps, times: int) -> None:
    for number in range(1, times + 1):
        objects.ordered(A if number % 2 else B, f"r{number}")
        objects.run(ends.ended(f"r{number}", DONE, objects.now, outputs=(PICTURE,)))
    asked: list[Any] = []
    do = objects.do
    objects.do = lambda step: asked.append(step) or do(step)  # type: ignore[method-assign, func-returns-value]
    assert objects.settle().record.order.request_id == f"r{times}"  # type: ignore[union-attr]
    assert len(asked) == 3
    objects.run(ends.ended(f"r{times}", REJECTED, objects.now))
    found = objects.settle()
    assert (found.record, found.name) == (None, remembered.name_of(KEY, times + 1))
    assert objects.run(memory.claim(claim_of(found, B, objects.now), found.before))


def test_who_refreshes_meets_its_own_order_although_another_made_a_newer_picture(objects: Swaps) -> None:
    objects.done()
    mine, other = objects.ordered(B, "r2"), objects.ordered({**A, "run_id": "c"}, "r3")
    objects.run(ends.ended("r3", DONE, objects.now, outputs=(PICTURE,)))
    assert objects.settle(B, Reuse(refresh=True)).record == mine
    assert objects.settle(B).name == other.name == objects.settle(A).name


def test_a_running_first_order_is_not_written_over_by_a_newer_picture(objects: Swaps) -> None:
    first = objects.ordered()
    objects.ordered(B, "r2")
    objects.run(ends.ended("r2", DONE, objects.now, outputs=(PICTURE,)))
    assert objects.record(first.name) == first


def test_a_pointer_to_another_request_finds_nothing(objects: Swaps) -> None:
    objects.ordered()
    objects[remembered.request_name("r9")] = objects[remembered.request_name("r1")]
    assert objects.run(ends.find("r9")) is None


@pytest.mark.parametrize("state", [ORDERED, LOST])
def test_an_end_outlives_what_a_task_wrote_over_it_that_had_stood_still(objects: Swaps, state: str) -> None:
    objects.done()
    done = objects.record(remembered.name_of(KEY, 1))
    objects[done.name] = replace(done, state=state, outputs=()).to_bytes()
    assert objects.run(ends.find("r1")) == done
    objects[done.name] = replace(done, state=state, outputs=()).to_bytes()
    assert objects.settle().record == done
    assert objects.record(done.name) == done


def test_a_rejection_outlives_it_as_well(objects: Swaps) -> None:
    objects.done()
    ordered = replace(objects.record(remembered.name_of(KEY, 1)), state=ORDERED)
    objects.run(ends.ended("r1", REJECTED, objects.now))
    objects[ordered.name] = ordered.to_bytes()
    assert objects.settle().record is None
    assert objects.states() == [REJECTED]


def test_how_an_order_ended_is_noted_by_its_own_name_if_nothing_leads_from_its_request(objects: Swaps) -> None:
    record = objects.ordered()
    del objects[remembered.request_name("r1")]
    objects.run(ends.ended("r1", FAILED, objects.now))
    assert objects.states() == [ORDERED]
    objects.run(ends.ended("r2", FAILED, objects.now, name=record.name))
    objects.run(ends.ended("r1", FAILED, objects.now, name=remembered.name_of(KEY, 7)))
    assert objects.states() == [ORDERED], "another's order"
    objects.run(ends.ended("r1", FAILED, objects.now, name=record.name))
    assert objects.states() == [FAILED]
