"""Which orders are paid for and not stored, and what is noted of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_segmind.api import ends, memory, rescue
from airflow_provider_segmind.api.memory import KEPT as SEGMIND_KEEPS
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import (
    CLAIMED,
    DONE,
    FAILED,
    LOST,
    ORDERED,
    RELEASED,
    Stored,
    SwapRecord,
    end_name,
    read_swap,
)
from airflow_provider_segmind.api.rescue import OLD, Need, need_of
from tests.api.objects import Objects

KEPT = Stored("picture", "image", "https://images.segmind.com/x.png", "s3://b/x.png", "ab", 3)
UNKEPT = replace(KEPT, uri="")
TEXT = Stored("text", "string", "a woman")


def order(state: str = ORDERED, **changes: Any) -> SwapRecord:
    return SwapRecord("a" * 64, 1, OrderRecord(1000.0, request_id="r1"), state=state, **changes)


@pytest.mark.parametrize(
    ("record", "age", "need"),
    [
        (order(ORDERED), OLD, Need.ASK),
        (order(ORDERED), OLD - 1, None),
        (order(CLAIMED), OLD, Need.LOOK_UP),
        (order(CLAIMED), OLD - 1, None),
        (order(CLAIMED), SEGMIND_KEEPS + 1, None),
        (order(ORDERED), SEGMIND_KEEPS + 1, Need.ASK),
        (order(DONE, outputs=(KEPT, UNKEPT)), 1, Need.FETCH),
        (order(DONE, outputs=(KEPT, TEXT)), 1, None),
        (order(RELEASED), OLD, None),
        (order(FAILED), OLD, None),
        (order(LOST), OLD, None),
    ],
)
def test_an_order_is_looked_at_if_its_end_or_its_picture_is_missing(
    record: SwapRecord, age: float, need: Need | None
) -> None:
    assert need_of(record, 1000 + age) is need


def stored(objects: Objects, record: SwapRecord) -> SwapRecord:
    return read_swap(objects[record.name], record.name)


def test_copies_are_noted_and_a_lost_picture_is_too() -> None:
    record = order(DONE, outputs=(UNKEPT,), ended_at=5.0)
    objects = Objects({record.name: record.to_bytes()})
    objects.run(rescue.fetched(record, [KEPT]))
    assert stored(objects, record).outputs == (KEPT,)
    objects.run(rescue.gone(record, "It is gone.", 9.0))
    lost = stored(objects, record)
    assert (lost.state, lost.error, lost.ended_at) == (LOST, "It is gone.", 5.0)


def test_an_end_that_was_written_over_comes_back_and_is_not_lost() -> None:
    record = order(ORDERED)
    done = order(DONE, outputs=(KEPT,), token=record.token)
    objects = Objects({record.name: record.to_bytes(), end_name(record.key, 1): done.to_bytes()})
    objects.run(rescue.gone(record, "It is gone.", 9.0))
    assert stored(objects, record) == done


def test_the_second_copy_of_an_end_says_the_same() -> None:
    done = order(DONE, outputs=(UNKEPT,))
    objects = Objects({done.name: done.to_bytes(), end_name(done.key, 1): done.to_bytes()})
    objects.run(rescue.fetched(done, [KEPT]))
    assert objects[done.name] == objects[end_name(done.key, 1)]
    objects.run(rescue.gone(stored(objects, done), "It is gone.", 9.0))
    assert objects[done.name] == objects[end_name(done.key, 1)]
    assert stored(objects, done).state == LOST


def test_an_order_that_nobody_saw_end_gets_the_time_at_which_it_was_found_to_be_lost() -> None:
    record = order(ORDERED)
    objects = Objects({record.name: record.to_bytes()})
    objects.run(rescue.gone(record, "", 9.0))
    assert stored(objects, record).ended_at == 9


@pytest.mark.parametrize("other", [order(FAILED), None])
def test_what_somebody_has_changed_meanwhile_stays(other: SwapRecord | None) -> None:
    record = order(ORDERED)
    objects = Objects({record.name: other.to_bytes()} if other else {})
    before = dict(objects)
    objects.run(rescue.gone(record, "", 9.0))
    objects.run(rescue.fetched(record, [KEPT]))
    assert objects == before


def test_a_record_keeps_its_connection_and_the_digests_of_its_pictures() -> None:
    record = order(conn_id="studio", pictures=("ab", "cd"))
    read = read_swap(record.to_bytes(), record.name)
    assert (read.conn_id, read.pictures) == ("studio", ("ab", "cd"))


def test_an_order_whose_handle_is_only_in_its_pointer_is_found() -> None:
    record = SwapRecord("a" * 64, 1, OrderRecord(1000.0), CLAIMED, {"task_id": "t"})
    objects = Objects({record.name: record.to_bytes()})
    handle = replace(record.order, request_id="r1", poll_url="https://api.segmind.com/workflows/request/r1")
    objects.run(memory.accepted(record.name, record.owner, handle), crash=1)
    found = objects.run(ends.find("r1"))
    assert (found.state, found.order.poll_url) == (CLAIMED, handle.poll_url)


@pytest.mark.parametrize(("state", "age", "over"), [(DONE, 9, True), (DONE, 7, False), (ORDERED, 9, False)])
def test_a_picture_that_segmind_has_deleted_is_over_whatever_its_host_answers(
    state: str, age: float, over: bool
) -> None:
    assert rescue.is_over(order(state, ended_at=1000.0), 1000 + age * 86400) is over
