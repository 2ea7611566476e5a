"""The claims of the memory of swaps: who may send an order, whatever happens in between."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_segmind.api import ends, memory, remembered
from airflow_provider_segmind.api.memory import Found, Reuse
from airflow_provider_segmind.api.remembered import (
    CLAIMED,
    DONE,
    FAILED,
    ORDERED,
    REJECTED,
    RELEASED,
    DamagedError,
    Stored,
    SwapRecord,
)
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from tests.api.remembering import KEY, PICTURE, A, B, Swaps, claim_of

C = {**A, "run_id": "c"}
FIRST = (remembered.name_of(KEY, 1),)


@pytest.fixture
def objects() -> Swaps:
    return Swaps()


def test_a_claim_is_made_after_an_order_to_which_a_newer_package_has_added_a_field(objects: Swaps) -> None:
    objects.done()
    name = remembered.name_of(KEY, 1)
    objects[name] = json.dumps({**json.loads(objects[name]), "later": 1}).encode()
    found = objects.settle(B, Reuse(refresh=True))
    assert objects.run(memory.claim(claim_of(found, B, objects.now), found.before))


@pytest.mark.parametrize("change", ["gone", "state", "token"])
def test_a_claim_is_not_made_after_an_order_that_has_changed(objects: Swaps, change: str) -> None:
    objects.done()
    found = objects.settle(B, Reuse(refresh=True))
    assert found.before is not None
    if change == "gone":
        del objects[found.before.name]
    else:
        objects[found.before.name] = replace(found.before, **{change: REJECTED}).to_bytes()
    record = claim_of(found, B, objects.now)
    assert not objects.run(memory.claim(record, found.before))
    assert objects.record(record.name).state == RELEASED


def test_a_claim_by_a_clock_that_is_ahead_is_waited_for_no_longer_than_any_other(objects: Swaps) -> None:
    record = claim_of(Found(None, remembered.name_of(KEY, 1)), A, objects.now + 3600)
    assert objects.run(memory.claim(record, None))
    again = replace(record.order, at=objects.now + 3700)
    began = objects.now
    assert objects.settle(B).record == record
    assert objects.now - began == memory.SENDING
    objects[record.name] = replace(record, order=again).to_bytes()
    began = objects.now
    assert objects.settle(B).record is not None
    assert objects.now - began == memory.SENDING


def test_another_tasks_claim_is_waited_for_until_it_is_ordered(objects: Swaps) -> None:
    record = claim_of(Found(None, remembered.name_of(KEY, 1)), A, objects.now)
    assert objects.run(memory.claim(record, None))
    order = replace(record.order, request_id="r1", poll_url="https://s.example/r1")
    objects.meanwhile = [lambda: None, lambda: objects.run(memory.accepted(record.name, A, order))]
    began = objects.now
    assert objects.settle(B).record.state == ORDERED  # type: ignore[union-attr]
    assert objects.now - began == 2 * memory.LOOK_AGAIN


def test_a_claim_that_is_abandoned_is_waited_for_no_longer_than_it_can_be_sent(objects: Swaps) -> None:
    record = claim_of(Found(None, remembered.name_of(KEY, 1)), A, objects.now)
    assert objects.run(memory.claim(record, None))
    began = objects.now
    assert objects.settle(B, wait=False).record == record
    assert objects.now == began
    assert objects.settle(A).record == record
    assert objects.now == began
    assert objects.settle(B).record == record
    assert objects.now - began == memory.SENDING
    assert objects.settle(B, Reuse(passed=FIRST)).name == remembered.name_of(KEY, 2)


def resubmitted(objects: Swaps, state: str) -> SwapRecord:
    """Let a task resubmit the order of another one that nobody knows the outcome of; return the unknown one."""
    unknown = claim_of(objects.settle(A), A, objects.now)
    assert objects.run(memory.claim(unknown, None))
    found = objects.settle(C, Reuse(passed=FIRST))
    record = claim_of(found, C, objects.now)
    assert objects.run(memory.claim(record, found.before))
    if state != CLAIMED:
        order = replace(record.order, request_id="r2", poll_url="https://s.example/r2")
        objects.run(memory.accepted(record.name, C, order))
    if state in (DONE, FAILED):
        objects.run(ends.ended("r2", state, objects.now, outputs=(PICTURE,) if state == DONE else ()))
    return unknown


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("state", [ORDERED, DONE])
def test_after_a_resubmit_everyone_but_the_owner_of_the_unknown_order_takes_the_new_one(
    objects: Swaps, state: str, wait: bool
) -> None:
    unknown = resubmitted(objects, state)
    assert objects.settle(B, wait=wait).record == objects.record(remembered.name_of(KEY, 2))
    assert objects.settle(A, wait=wait).record == unknown, "its owner may be sending it still"
    assert objects.record(unknown.name) == unknown, "it is not written by others"


@pytest.mark.parametrize("state", [CLAIMED, FAILED])
def test_a_resubmitted_order_that_made_no_picture_leaves_the_first_one_unknown(objects: Swaps, state: str) -> None:
    unknown = resubmitted(objects, state)
    assert objects.settle(B, Reuse(max_age=1.0)).record == unknown
    assert objects.settle(B, Reuse(passed=(*FIRST, remembered.name_of(KEY, 2)))).name == remembered.name_of(KEY, 3)


def test_whose_own_order_is_unknown_gets_it_also_behind_that_of_another_task(objects: Swaps) -> None:
    resubmitted(objects, CLAIMED)
    assert objects.settle(C).record == objects.record(remembered.name_of(KEY, 2))


def test_who_waits_for_a_resubmitted_order_sees_what_becomes_of_the_first_one_meanwhile(objects: Swaps) -> None:
    unknown = resubmitted(objects, CLAIMED)
    order = replace(unknown.order, request_id="r1", poll_url="https://s.example/r1")
    objects.meanwhile = [lambda: objects.run(memory.accepted(unknown.name, A, order))]
    assert objects.settle(B).record == replace(unknown, order=order, state=ORDERED)


def test_clocks_that_are_ahead_do_not_make_a_task_wait_for_ever(objects: Swaps) -> None:
    for number, owner in ((1, A), (2, C)):
        record = claim_of(Found(None, remembered.name_of(KEY, number)), owner, objects.now + 5000 * number)
        assert objects.run(memory.claim(record, None))
    began = objects.now
    assert objects.settle(B).name == remembered.name_of(KEY, 1)
    assert objects.now - began == 2 * memory.SENDING


def test_of_two_that_claim_one_may_send(objects: Swaps) -> None:
    found = objects.settle()
    first, second = (claim_of(found, owner, objects.now) for owner in (A, B))
    assert objects.run(memory.claim(first, None))
    assert not objects.run(memory.claim(second, None))


def test_a_claim_whose_answer_was_lost_is_ones_own(objects: Swaps) -> None:
    objects.lose_answers = True
    assert objects.run(memory.claim(claim_of(objects.settle(), A, objects.now), None))


def test_a_refused_order_leaves_the_next_number_to_anybody(objects: Swaps) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    objects.run(memory.refused(record.name, B, record.order.at))
    assert objects.states() == [CLAIMED]
    objects.run(memory.refused(record.name, A, record.order.at))
    assert objects.states() == [RELEASED]
    assert objects.settle().name == remembered.name_of(KEY, 2)


def test_who_was_slow_and_who_took_over_never_both_send(objects: Swaps) -> None:
    """The slow one renews its claim; the other has found it abandoned, and claims the next number."""
    slow = claim_of(objects.settle(A), A, objects.now)
    assert objects.run(memory.claim(slow, None))
    taken = objects.settle(B, Reuse(passed=FIRST))
    again = replace(slow.order, at=objects.now + 1)
    for order in ("slow first", "other first", "other in between"):
        trial = Swaps()
        trial.update(objects)
        other = claim_of(taken, B, objects.now)
        sends: list[str] = []

        def renew(trial: Swaps = trial, sends: list[str] = sends) -> None:
            sends.extend(["slow"] * trial.run(memory.renew(slow.name, A, again)))

        def take(trial: Swaps = trial, sends: list[str] = sends, other: SwapRecord = other) -> None:
            sends.extend(["other"] * trial.run(memory.claim(other, taken.before)))

        if order == "slow first":
            renew()
            take()
        elif order == "other first":
            take()
            renew()
        else:
            trial.meanwhile = [take]
            renew()
        assert len(sends) <= 1, order


def test_a_claim_is_renewed_only_by_its_owner_while_nothing_else_is_known(objects: Swaps) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert not objects.run(memory.renew(record.name, A, record.order))
    assert objects.run(memory.claim(record, None))
    later = replace(record.order, at=objects.now + 60)
    assert objects.run(memory.renew(record.name, A, later))
    assert objects.record(record.name).order.at == later.at
    assert not objects.run(memory.renew(record.name, B, later))


def test_only_the_owner_of_a_claim_doubts_it_and_gives_it_up(objects: Swaps) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    for step in (
        lambda owner: memory.doubted(record.name, owner, "unknown", 2),
        lambda owner: memory.given_up(record.name, owner),
    ):
        objects.run(step(B))
        assert objects.record(record.name) == record
    objects.run(memory.doubted(record.name, A, "unknown", 2))
    assert objects.record(record.name).error == "unknown"
    assert objects.settle(A).record is not None
    objects.run(memory.given_up(record.name, A))
    assert objects.states() == [remembered.LOST]
    assert objects.settle(B).name == remembered.name_of(KEY, 2)


def test_a_doubted_order_that_was_accepted_after_all_is_ordered(objects: Swaps) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    objects.run(memory.doubted(record.name, A, "unknown", 2))
    objects.run(memory.accepted(record.name, A, replace(record.order, request_id="r1", poll_url="https://x/r1")))
    assert (objects.record(record.name).state, objects.record(record.name).error) == (ORDERED, "")


def test_a_doubt_keeps_the_tries_of_the_latest_attempt_that_failed_with_it(objects: Swaps) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    for max_tries, kept in ((1, 1), (4, 4), (2, 4)):  # the last is an attempt that outlived the clear of its task
        objects.run(memory.doubted(record.name, A, "unknown", max_tries))
        assert objects.record(record.name).order.max_tries == kept


def test_an_order_without_its_claim_was_never_sent(objects: Swaps) -> None:
    name = objects.settle().name
    assert objects.run(memory.unsent(name, A, is_here=True))
    assert not objects.run(memory.unsent(name, A, is_here=False)), "another memory cannot say that"
    assert objects.run(memory.claim(claim_of(Found(None, name), B, objects.now), None))
    assert objects.run(memory.unsent(name, A, is_here=True))
    assert not objects.run(memory.unsent(name, B, is_here=True))


def test_a_memory_gets_its_id_once(objects: Swaps) -> None:
    assert objects.run(memory.identity("one")) == "one" == objects.run(memory.identity("two"))
    objects.lose_answers = True
    del objects[memory.IDENTITY]
    first, second = memory.identity("three"), memory.identity("four")
    for steps in (first, second):
        assert objects.do(next(steps)) is None
    assert objects.do(first.send(None)) is False
    objects.lose_answer = False
    assert objects.do(second.send(None)) is False
    for steps in (first, second):
        step = steps.send(False)
        with pytest.raises(StopIteration, match="three"):
            steps.send(objects.do(step))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_id_is_named(objects: Swaps, data: bytes) -> None:
    objects[memory.IDENTITY] = data
    with pytest.raises(DamagedError, match=r"memory\.json is damaged: delete it; nothing is lost"):
        objects.run(memory.identity("one"))


def test_an_order_whose_claim_is_released_was_not_accepted(objects: Swaps) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    assert not objects.run(memory.unsent(record.name, A, is_here=True))
    objects.run(memory.refused(record.name, A, record.order.at))
    assert objects.run(memory.unsent(record.name, A, is_here=True))


def test_an_order_whose_claim_is_gone_can_still_be_found_missing(objects: Swaps) -> None:
    record = objects.ordered()
    del objects[record.name]
    assert objects.run(ends.find("r1")) is None
    objects.run(memory.accepted(record.name, A, record.order))
    assert objects.run(ends.find("r1")) is None
    assert objects.run(ends.find("r9")) is None


def test_only_the_attempt_that_made_a_claim_releases_it(objects: Swaps) -> None:
    """Two attempts of one task can run at once; the slower one is refused, and must not release the other's claim."""
    record = claim_of(objects.settle(A), A, objects.now)
    assert objects.run(memory.claim(record, None))
    slower = claim_of(Found(None, record.name), A, objects.now + 1)
    assert not objects.run(memory.claim(slower, None))
    objects.run(memory.refused(slower.name, A, slower.order.at))
    assert objects.states() == [CLAIMED]


def test_of_two_attempts_of_one_task_only_one_refreshes(objects: Swaps) -> None:
    objects.done()
    how = Reuse(refresh=True, max_tries=2)
    found = objects.settle(B, how)
    record = claim_of(found, B, objects.now)
    record = replace(record, order=replace(record.order, max_tries=2))
    assert objects.run(memory.claim(record, found.before))
    assert objects.settle(B, how).record == record
    assert objects.settle(B, replace(how, max_tries=4)).record is None, "a clear is a new wish"
    assert objects.settle(A, how).record is None


def test_the_end_of_an_order_that_was_deleted_is_not_that_of_the_next_one_of_its_number(objects: Swaps) -> None:
    objects.done()
    del objects[remembered.name_of(KEY, 1)]
    record = objects.ordered(B, "r2")
    assert objects.settle(A).record == record
    objects.run(ends.ended("r2", DONE, objects.now, outputs=(PICTURE,)))
    assert objects.settle(A).record.order.request_id == "r2"  # type: ignore[union-attr]


def test_a_body_swap_that_made_no_picture_is_ordered_again(objects: Swaps) -> None:
    found = objects.settle(A)
    record = claim_of(found, A, objects.now)
    assert objects.run(memory.claim(record, None))
    order = replace(record.order, request_id="r1", poll_url="https://s.example/r1", workflow=BODY_SWAP_WORKFLOW)
    objects.run(memory.accepted(record.name, A, order))
    objects.run(ends.ended("r1", DONE, objects.now, outputs=(Stored("said", "text", "no face"),)))
    assert objects.settle(B).name == remembered.name_of(KEY, 2)
