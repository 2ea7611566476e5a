"""What an attempt does about the swaps that an earlier one may have ordered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api.batches import (
    CHUNK,
    NEAR,
    WITNESSES,
    BatchHeader,
    begin,
    fingerprint_of,
    look_up,
    read_chunk,
    read_header,
    settles_at,
    write_chunk,
)
from airflow_provider_segmind.api.history import LONGER, SETTLED, SLOW, Listing, Row
from airflow_provider_segmind.api.orders import OrderRecord, Step, digests

HEAD = BatchHeader("f", 2, 250)
NOW = 10_000.0


def inputs(index: int) -> dict[str, str]:
    return {"character_image": f"https://a.example/{index}.png", "select_character": "woman"}


def intent(index: int, at: float = NOW - 100) -> OrderRecord:
    return OrderRecord(at, digests(inputs(index)))


def known(index: int, at: float = NOW - 100) -> OrderRecord:
    return OrderRecord(at, digests(inputs(index)), f"r{index}", f"https://api.segmind.com/r{index}")


def row(index: int, at: float = NOW - 100, *, running: bool = True, took: float | None = None) -> Row:
    return Row(f"r{index}", inputs(index), at, running, took)


def listing(*rows: Row, complete: bool = True) -> Listing:
    return Listing(rows, complete, len(rows))


GROUP = {index: known(index) for index in range(WITNESSES)}
SHOWN = tuple(row(index) for index in range(WITNESSES))


def test_a_batch_begins_anew_without_a_record_or_after_a_clear_and_refuses_another() -> None:
    assert begin(None, HEAD) is Step.ORDER
    assert begin(HEAD, replace(HEAD, max_tries=4, batch="b")) is Step.ORDER
    assert begin(HEAD, replace(HEAD, batch="b")) is Step.ATTACH
    assert begin(HEAD, replace(HEAD, fingerprint="g")) is Step.REFUSE


def test_the_fingerprint_is_of_all_swaps_in_their_order() -> None:
    assert fingerprint_of("w", [inputs(0), inputs(1)]) == fingerprint_of("w", [inputs(0), inputs(1)])
    assert fingerprint_of("w", [inputs(0), inputs(1)]) != fingerprint_of("w", [inputs(1), inputs(0)])


def test_records_survive_storage_and_ignore_what_a_newer_version_added() -> None:
    stored = json.loads(json.dumps({**HEAD.to_json(), "newer": 1}))
    assert read_header(stored) == HEAD
    entries = {0: intent(0), 99: known(99), 100: known(100)}
    first, second = (json.loads(json.dumps(write_chunk(entries, number))) for number in (0, 1))
    assert read_chunk(first) | read_chunk(second) == entries
    assert set(read_chunk(second)) == {100}
    again = replace(known(0), replaced=("r7", "r8"))
    assert json.loads(json.dumps(write_chunk({0: again}, 0))) == write_chunk({0: again}, 0), "not JSON's own types"
    assert read_chunk(json.loads(json.dumps(write_chunk({0: again}, 0)))) == {0: again}
    assert read_header(None) is None
    assert read_chunk(None) == {}


def test_a_full_chunk_stays_below_what_airflow_warns_of() -> None:
    entries = {
        index: OrderRecord(
            NOW, digests({**inputs(index), "reference_character_image": "x"}), "r" * 32, "https://" + "u" * 90
        )
        for index in range(CHUNK)
    }
    assert len(json.dumps(write_chunk(entries, 0))) < 65_535


@pytest.mark.parametrize("stored", [7, "x", {"count": 1}, []])
def test_a_head_that_cannot_be_read_is_an_error(stored: Any) -> None:
    with pytest.raises(ValueError, match=r"stored (of )?the batch|stored batch"):
        read_header(stored)


@pytest.mark.parametrize("stored", [7, {}, {"entries": 7}, {"entries": {"0": 7}}, {"entries": {"0": {"sent": {}}}}])
def test_a_chunk_that_cannot_be_read_is_an_error(stored: Any) -> None:
    with pytest.raises(ValueError, match="stored"):
        read_chunk(stored)


def test_the_one_request_with_its_inputs_at_its_time_is_the_order() -> None:
    found = look_up({7: intent(7)}, listing(row(7)), NOW)
    assert (found.adopted, found.refuted, found.unknown) == ({7: "r7"}, frozenset(), frozenset())


@pytest.mark.parametrize(
    ("entries", "rows"),
    [
        ({7: intent(7)}, [row(7), replace(row(7), request_id="again")]),
        ({7: intent(7), 8: intent(7)}, [row(7)]),
        ({7: intent(7)}, [row(7, NOW - 2000)]),
        ({7: OrderRecord(NOW - 100)}, [row(7)]),
    ],
    ids=["two requests", "two intents", "another time", "an intent without inputs"],
)
def test_what_is_not_clear_is_not_adopted(entries: dict[int, OrderRecord], rows: list[Row]) -> None:
    found = look_up(entries, listing(*rows), NOW)
    assert (found.adopted, found.refuted, found.unknown) == ({}, frozenset(), frozenset(entries))


def test_a_request_that_is_another_swaps_own_is_not_adopted() -> None:
    twin = {7: intent(7), 8: replace(known(7))}
    assert look_up(twin, listing(row(7)), NOW).unknown == {7}


def test_absence_beside_a_whole_control_group_proves_that_it_was_not_accepted() -> None:
    found = look_up({**GROUP, 7: intent(7)}, listing(*SHOWN), NOW)
    assert (found.adopted, found.refuted, found.unknown) == ({}, frozenset({7}), frozenset())


def test_an_order_of_another_task_is_not_of_the_control_group() -> None:
    """Its account may be another, whose history is not read."""
    entries = {**GROUP, 8: replace(known(8), sent={}, reused=True), 7: intent(7)}
    assert look_up(entries, listing(*SHOWN), NOW).refuted == {7}


@pytest.mark.parametrize(
    ("entries", "listed", "now"),
    [
        ({7: intent(7)}, listing(), NOW),
        ({**GROUP, 7: intent(7)}, listing(*SHOWN[1:]), NOW),
        (dict(list(GROUP.items())[1:]) | {7: intent(7)}, listing(*SHOWN), NOW),
        ({**GROUP, 7: intent(7)}, listing(*SHOWN, complete=False), NOW),
        ({**GROUP, 7: intent(7)}, listing(*SHOWN), NOW - 100 + SETTLED - 1),
        ({**GROUP, 7: intent(7, NOW - 100 - NEAR - 1)}, listing(*SHOWN), NOW),
    ],
    ids=["no group", "one is not shown", "too small", "rows left out", "too soon", "another time"],
)
def test_without_a_whole_control_group_absence_proves_nothing(
    entries: dict[int, OrderRecord], listed: Listing, now: float
) -> None:
    assert look_up(entries, listed, now).unknown == {7}


def test_a_history_that_does_not_show_inputs_as_they_were_sent_proves_nothing() -> None:
    rows = [replace(each, inputs={**each.inputs, "character_image": "signed"}) for each in (*SHOWN, row(7))]
    assert look_up({**GROUP, 7: intent(7)}, listing(*rows), NOW).unknown == {7}


def test_a_history_whose_clock_is_not_ours_proves_nothing() -> None:
    rows = [replace(each, created=each.created + 7200) for each in (*SHOWN, row(7))]
    assert look_up({**GROUP, 7: intent(7)}, listing(*rows), NOW).unknown == {7}


@pytest.mark.parametrize("after", [0.0, 151.0, 1000.0, 1e6])
def test_absence_from_a_history_of_what_has_ended_proves_nothing_however_long_ago(after: float) -> None:
    """The order may run longer than any other: a cold start, a queue."""
    shown = listing(*(row(index, running=False, took=30.0) for index in GROUP))
    found = look_up({**GROUP, 7: intent(7)}, shown, NOW + after)
    assert (found.refuted, found.unknown, found.decides_at) == (frozenset(), {7}, float("inf"))


def test_a_history_that_showed_an_order_running_once_is_believed_when_all_have_ended() -> None:
    entries = {**GROUP, 7: intent(7)}
    early = look_up(entries, listing(*SHOWN), NOW - 100 + SETTLED - 1)
    assert (early.refuted, early.shows_running, early.decides_at) == (frozenset(), True, NOW - 100 + SETTLED)
    ended = listing(*(row(index, running=False, took=30.0) for index in GROUP))
    assert look_up(entries, ended, NOW, shows_running=early.shows_running).refuted == {7}


def test_only_an_order_of_the_batch_itself_shows_that_the_history_lists_what_runs() -> None:
    ended = tuple(row(index, running=False, took=30.0) for index in GROUP)
    assert not look_up({**GROUP, 7: intent(7)}, listing(*ended, row(9)), NOW).shows_running


def test_an_order_can_be_accepted_until_its_answer_is_given_up() -> None:
    since = NOW - 100 + 33 + SETTLED
    assert look_up({**GROUP, 7: intent(7)}, listing(*SHOWN), since - 1, within=33).unknown == {7}
    assert look_up({**GROUP, 7: intent(7)}, listing(*SHOWN), since, within=33).refuted == {7}


@pytest.mark.parametrize(
    ("took", "running", "from_"),
    [(45.0, False, SETTLED + LONGER * 45), (None, False, SETTLED + LONGER * SLOW), (None, True, SETTLED)],
)
def test_the_request_of_another_run_is_not_taken_before_ones_own_must_be_listed(
    took: float | None, running: bool, from_: float
) -> None:
    other = Row("other", inputs(7), NOW - 120, running, took)
    soon = look_up({7: intent(7)}, listing(other), NOW - 100 + from_ - 1)
    assert (soon.adopted, soon.candidates, soon.decides_at) == ({}, {7: ("other",)}, NOW - 100 + from_)
    assert look_up({7: intent(7)}, listing(other), NOW - 100 + from_).adopted == {7: "other"}
    own = replace(intent(7), own=True)
    assert look_up({7: own}, listing(other), NOW - 99).adopted == {7: "other"}, "it is not of another run"


def test_where_nothing_can_be_proven_there_is_no_time_to_wait_for() -> None:
    assert look_up({7: intent(7)}, listing(), NOW).decides_at == float("inf")


def test_the_request_of_an_earlier_order_of_the_same_swap_is_not_taken_for_the_new_one() -> None:
    again = replace(intent(7), replaced=("r7",))
    old, new = row(7), replace(row(7), request_id="new")
    assert look_up({7: again}, listing(old, new), NOW).adopted == {7: "new"}
    assert look_up({**GROUP, 7: again}, listing(*SHOWN, old), NOW).refuted == {7}


def test_the_history_is_asked_when_the_newest_intent_has_settled() -> None:
    assert settles_at([intent(1, 5.0), intent(2, 9.0), known(3, 100.0)]) == 9.0 + SETTLED
    assert settles_at([]) == SETTLED


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 300)), min_size=1, max_size=30),
    st.floats(0, 1),
    st.booleans(),
)
def test_an_accepted_order_is_never_refuted_by_a_history_that_shows_all_or_nothing_of_a_minute(
    swaps: list[tuple[bool, bool, float]], lag: float, works: bool
) -> None:
    """Each swap was accepted or not, and its handle is known or not; the history has all of them, or nothing."""
    entries, rows = {}, []
    for index, (accepted, recorded, at) in enumerate(swaps):
        entries[index] = known(index, at) if accepted and recorded else intent(index, at)
        if accepted and works:
            rows.append(row(index, at + lag))
    found = look_up(entries, listing(*rows), 300 + SETTLED)
    accepted_ones = {index for index, (accepted, _, _) in enumerate(swaps) if accepted}
    assert not accepted_ones & found.refuted
    assert all(found.adopted[index] == f"r{index}" for index in found.adopted)


def test_the_requests_that_an_unknown_order_can_be_are_told() -> None:
    twin = Row("twin", inputs(0), NOW - 100)
    assert look_up({0: intent(0)}, listing(row(0), twin), NOW).candidates == {0: ("r0", "twin")}
    assert look_up({0: intent(0)}, listing(row(0)), NOW).candidates == {}


def test_an_order_from_before_a_clear_is_not_taken_for_the_new_one() -> None:
    assert look_up({0: intent(0)}, listing(row(0)), NOW, earlier={"r0"}).adopted == {}


def test_what_failed_before_an_order_that_was_not_accepted_stays() -> None:
    assert intent(0).refuted() is None
    left = replace(intent(0), replaced=("a", "b")).refuted()
    assert left is not None
    assert (left.ordered, left.pending, left.known) == (("a", "b"), False, False)
    assert read_chunk(json.loads(json.dumps(write_chunk({0: left}, 0)))) == {0: left}
    assert look_up({0: left, 1: intent(1)}, listing(), NOW).unknown == {1}


def test_an_order_in_the_place_of_an_unknown_one_follows_all_that_it_can_be() -> None:
    left = replace(intent(0), replaced=("a",), candidates=("b", "c"))
    assert (left.ordered, left.perhaps) == (("a",), ("a", "b", "c"))
    assert known(7).job("w").request_id == "r7"
