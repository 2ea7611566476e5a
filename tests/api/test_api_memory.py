"""The memory of swaps: whose order stands, who may send, and what is noted, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_segmind.api import memory, remembered
from airflow_provider_segmind.api.flow import Pause
from airflow_provider_segmind.api.memory import Create, Found, Read, Replace, Reuse, Size
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import (
    CLAIMED,
    DONE,
    FAILED,
    LOST,
    ORDERED,
    REJECTED,
    RELEASED,
    DamagedError,
    Stored,
    SwapRecord,
)

KEY = remembered.swap_key("https://s", "w-v1", {"select_character": "woman"}, {"character_image": "1" * 64})
A: Mapping[str, Any] = {"dag_id": "d", "run_id": "a", "task_id": "t", "map_index": -1}
B: Mapping[str, Any] = {**A, "run_id": "b"}
PICTURE = Stored("image", "image", "https://x.example/1.png", "/m/1.png", "2" * 64, 100)


class Objects(dict[str, bytes]):
    """A storage, and the seconds that were waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.sizes: dict[str, int] = {PICTURE.uri: PICTURE.size}
        self.meanwhile: list[Callable[[], Any]] = []
        self.lose_answer = False

    def run(self, steps: memory.Steps[Any]) -> Any:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = self.do(step)
            if not isinstance(step, Read | Size) and self.meanwhile:
                self.meanwhile.pop(0)()

    def do(self, step: Any) -> Any:
        match step:
            case Read(name):
                return self.get(name)
            case Size(uri):
                return self.sizes.get(uri)
            case Create(name, data):
                if name in self:
                    return False
                self[name] = data
                return not self.lose_answer
            case Replace(name, data):
                self[name] = data
            case Pause(seconds):
                self.now += seconds
        return None

    def settle(self, owner: Mapping[str, Any] = B, how: Reuse | None = None, *, wait: bool = True) -> Found:
        found: Found = self.run(memory.settle(KEY, owner, how or Reuse(), lambda: self.now, wait=wait))
        return found

    def ordered(self, owner: Mapping[str, Any] = A, request_id: str = "r1") -> SwapRecord:
        """Claim and order as a task does."""
        found = self.settle(owner, Reuse(refresh=True))
        record = claim_of(found, owner, self.now)
        assert self.run(memory.claim(record, found.before))
        order = replace(record.order, request_id=request_id, poll_url=f"https://s.example/{request_id}")
        self.run(memory.accepted(record.name, owner, order))
        return self.record(record.name)

    def done(self, request_id: str = "r1", **changes: Any) -> None:
        self.ordered(request_id=request_id)
        self.run(memory.ended(request_id, DONE, self.now, **{"outputs": (PICTURE,), **changes}))

    def record(self, name: str) -> SwapRecord:
        return remembered.read_swap(self[name], name)

    def states(self) -> list[str]:
        return [json.loads(data)["state"] for name, data in sorted(self.items()) if name.startswith("swaps/")]


def claim_of(found: Found, owner: Mapping[str, Any], now: float) -> SwapRecord:
    key, number = found.name.rpartition("/")[2].split(".")[:2]
    return SwapRecord(key, int(number), OrderRecord(now, claim=found.name), owner=owner, cost=0.25)


@pytest.fixture
def objects() -> Objects:
    return Objects()


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


def test_a_record_is_read_as_it_was_written(objects: Objects) -> None:
    objects.done()
    (name,) = (name for name in objects if name.startswith("swaps/"))
    record = objects.record(name)
    assert record.outputs == (PICTURE,)
    assert remembered.read_swap(record.to_bytes(), name) == record
    assert (record.whose, record.order.known, record.cost) == ("dag_id d, run_id a, task_id t", True, 0.25)


def test_a_field_of_a_newer_package_is_no_damage(objects: Objects) -> None:
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
    ],
)
def test_what_cannot_be_understood_is_damaged_and_named(objects: Objects, change: dict[str, Any]) -> None:
    record = objects.ordered()
    objects[record.name] = json.dumps({**json.loads(record.to_bytes()), **change}).encode()
    with pytest.raises(DamagedError, match=record.key):
        objects.settle()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_json_is_damaged_and_not_overwritten(objects: Objects, data: bytes) -> None:
    name = objects.ordered().name
    objects[name] = data
    for steps in (
        memory.settle(KEY, A, Reuse(), lambda: 0.0),
        memory.refused(name, A, 0.0),
        memory.find("r1"),
        memory.ended("r1", DONE, 0.0),
    ):
        with pytest.raises(DamagedError, match="damaged"):
            objects.run(steps)
    assert objects[name] == data


@pytest.mark.parametrize("data", [b"", b"{}", b'{"name": "../../etc"}', b'{"name": 1}'])
def test_a_pointer_that_leads_nowhere_is_named(objects: Objects, data: bytes) -> None:
    objects.ordered()
    objects[remembered.request_name("r1")] = data
    with pytest.raises(DamagedError, match="delete it; nothing is lost"):
        objects.run(memory.find("r1"))


def test_a_swap_that_nobody_ordered_gets_the_number_one(objects: Objects) -> None:
    assert objects.settle() == Found(None, remembered.name_of(KEY, 1))


def test_a_running_order_stands(objects: Objects) -> None:
    record = objects.ordered()
    assert objects.settle().record == record
    assert (record.state, record.job().reused, record.job().status) == (ORDERED, True, "QUEUED")


def test_a_picture_that_is_there_stands_and_leads_to_its_copy(objects: Objects) -> None:
    objects.done()
    job = objects.settle().record.job()  # type: ignore[union-attr]
    assert (job.status, job.outputs[0].url, job.request_id) == ("COMPLETED", PICTURE.uri, "r1")


@pytest.mark.parametrize("size", [None, 99])
def test_a_picture_that_is_gone_or_changed_is_ordered_again(objects: Objects, size: int | None) -> None:
    objects.done()
    objects.sizes = {} if size is None else {PICTURE.uri: size}
    assert objects.settle().name == remembered.name_of(KEY, 2)


def test_a_picture_without_a_copy_stands_as_long_as_segmind_keeps_it(objects: Objects) -> None:
    objects.done(outputs=(replace(PICTURE, uri=""), Stored("words", "text", "a man")))
    objects.now += memory.KEPT - 1
    assert objects.settle().record is not None
    objects.now += 2
    assert objects.settle().record is None


def test_a_job_without_any_output_is_not_reused(objects: Objects) -> None:
    objects.done(outputs=())
    assert objects.settle().record is None


def test_an_author_may_want_a_newer_picture(objects: Objects) -> None:
    objects.done()
    objects.now += 100
    assert objects.settle(how=Reuse(max_age=200)).record is not None
    assert objects.settle(how=Reuse(max_age=50)).record is None


@pytest.mark.parametrize("state", [FAILED, LOST])
def test_a_job_that_failed_or_is_lost_is_ordered_again(objects: Objects, state: str) -> None:
    objects.ordered()
    objects.run(memory.ended("r1", state, 5.0, error="why"))
    found = objects.settle()
    assert (found.record, found.name, found.before and found.before.error) == (None, remembered.name_of(KEY, 2), "why")


def test_a_rejected_picture_is_ordered_again(objects: Objects) -> None:
    objects.done()
    objects.run(memory.ended("r1", REJECTED, 5.0, error="six fingers"))
    assert objects.settle().record is None
    assert objects.states() == [REJECTED]


def test_what_is_seen_to_end_stays_so(objects: Objects) -> None:
    objects.done()
    for state in (FAILED, LOST, DONE):
        objects.run(memory.ended("r1", state, 9.0, error="late"))
    objects.run(memory.ended("unknown", DONE, 9.0))
    assert objects.states() == [DONE]
    assert objects.settle().record.error == ""  # type: ignore[union-attr]


def test_what_was_lost_and_is_seen_after_all_is_done(objects: Objects) -> None:
    objects.ordered()
    objects.run(memory.ended("r1", LOST, 5.0))
    objects.run(memory.ended("r1", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.states() == [DONE]


def test_a_new_picture_takes_the_place_of_the_old_one(objects: Objects) -> None:
    objects.done()
    objects.ordered(B, "r2")
    assert objects.settle().record.order.request_id == "r1"  # type: ignore[union-attr]
    objects.run(memory.ended("r2", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.settle().record.order.request_id == "r2"  # type: ignore[union-attr]
    assert objects.states() == [REJECTED, DONE]


def test_a_second_picture_leaves_what_failed_or_is_gone_as_it_is(objects: Objects) -> None:
    objects.ordered()
    objects.run(memory.ended("r1", FAILED, 5.0))
    objects.ordered(B, "r2")
    objects.run(memory.ended("r2", DONE, 6.0, outputs=(PICTURE,)))
    assert objects.states() == [FAILED, DONE]
    objects.ordered(A, "r3")
    del objects[remembered.name_of(KEY, 2)]
    objects.run(memory.ended("r3", DONE, 7.0, outputs=(PICTURE,)))
    assert objects.states() == [FAILED, DONE]


@pytest.mark.parametrize("between", [RELEASED, FAILED])
def test_a_new_picture_takes_the_place_of_every_old_one(objects: Objects, between: str) -> None:
    """The first try to make it was refused, or its job FAILED."""
    objects.done()
    if between == RELEASED:
        found = objects.settle(B, Reuse(refresh=True))
        record = claim_of(found, B, objects.now)
        assert objects.run(memory.claim(record, found.before))
        objects.run(memory.refused(record.name, B, record.order.at))
    else:
        objects.ordered(B, "r2")
        objects.run(memory.ended("r2", FAILED, 6.0))
    objects.ordered(B, "r3")
    objects.run(memory.ended("r3", DONE, 7.0, outputs=(PICTURE,)))
    assert objects.states() == [REJECTED, between, DONE]
    assert objects.settle().record.order.request_id == "r3"  # type: ignore[union-attr]


def test_a_claim_is_made_after_an_order_to_which_a_newer_package_has_added_a_field(objects: Objects) -> None:
    objects.done()
    name = remembered.name_of(KEY, 1)
    objects[name] = json.dumps({**json.loads(objects[name]), "later": 1}).encode()
    found = objects.settle(B, Reuse(refresh=True))
    assert objects.run(memory.claim(claim_of(found, B, objects.now), found.before))


@pytest.mark.parametrize("change", ["gone", "state", "token"])
def test_a_claim_is_not_made_after_an_order_that_has_changed(objects: Objects, change: str) -> None:
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


def test_a_claim_by_a_clock_that_is_ahead_is_waited_for_no_longer_than_any_other(objects: Objects) -> None:
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


def test_another_tasks_claim_is_waited_for_until_it_is_ordered(objects: Objects) -> None:
    record = claim_of(Found(None, remembered.name_of(KEY, 1)), A, objects.now)
    assert objects.run(memory.claim(record, None))
    order = replace(record.order, request_id="r1", poll_url="https://s.example/r1")
    objects.meanwhile = [lambda: None, lambda: objects.run(memory.accepted(record.name, A, order))]
    began = objects.now
    assert objects.settle(B).record.state == ORDERED  # type: ignore[union-attr]
    assert objects.now - began == 2 * memory.LOOK_AGAIN


def test_a_claim_that_is_abandoned_is_waited_for_no_longer_than_it_can_be_sent(objects: Objects) -> None:
    record = claim_of(Found(None, remembered.name_of(KEY, 1)), A, objects.now)
    assert objects.run(memory.claim(record, None))
    began = objects.now
    assert objects.settle(B, wait=False).record == record
    assert objects.now == began
    assert objects.settle(A).record == record
    assert objects.now == began
    assert objects.settle(B).record == record
    assert objects.now - began == memory.SENDING
    assert objects.settle(B, Reuse(resubmit=True)).name == remembered.name_of(KEY, 2)


def test_of_two_that_claim_one_may_send(objects: Objects) -> None:
    found = objects.settle()
    first, second = (claim_of(found, owner, objects.now) for owner in (A, B))
    assert objects.run(memory.claim(first, None))
    assert not objects.run(memory.claim(second, None))


def test_a_claim_whose_answer_was_lost_is_ones_own(objects: Objects) -> None:
    objects.lose_answer = True
    assert objects.run(memory.claim(claim_of(objects.settle(), A, objects.now), None))


def test_a_refused_order_leaves_the_next_number_to_anybody(objects: Objects) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    objects.run(memory.refused(record.name, B, record.order.at))
    assert objects.states() == [CLAIMED]
    objects.run(memory.refused(record.name, A, record.order.at))
    assert objects.states() == [RELEASED]
    assert objects.settle().name == remembered.name_of(KEY, 2)


def test_who_was_slow_and_who_took_over_never_both_send(objects: Objects) -> None:
    """The slow one renews its claim; the other has found it abandoned, and claims the next number."""
    slow = claim_of(objects.settle(A), A, objects.now)
    assert objects.run(memory.claim(slow, None))
    taken = objects.settle(B, Reuse(resubmit=True))
    again = replace(slow.order, at=objects.now + 1)
    for order in ("slow first", "other first", "other in between"):
        trial = Objects()
        trial.update(objects)
        other = claim_of(taken, B, objects.now)
        sends: list[str] = []

        def renew(trial: Objects = trial, sends: list[str] = sends) -> None:
            sends.extend(["slow"] * trial.run(memory.renew(slow.name, A, again)))

        def take(trial: Objects = trial, sends: list[str] = sends, other: SwapRecord = other) -> None:
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


def test_a_claim_is_renewed_only_by_its_owner_while_nothing_else_is_known(objects: Objects) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert not objects.run(memory.renew(record.name, A, record.order))
    assert objects.run(memory.claim(record, None))
    later = replace(record.order, at=objects.now + 60)
    assert objects.run(memory.renew(record.name, A, later))
    assert objects.record(record.name).order.at == later.at
    assert not objects.run(memory.renew(record.name, B, later))


def test_only_the_owner_of_a_claim_doubts_it_and_gives_it_up(objects: Objects) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    for step in (
        lambda owner: memory.doubted(record.name, owner, "unknown"),
        lambda owner: memory.given_up(record.name, owner),
    ):
        objects.run(step(B))
        assert objects.record(record.name) == record
    objects.run(memory.doubted(record.name, A, "unknown"))
    assert objects.record(record.name).error == "unknown"
    assert objects.settle(A).record is not None
    objects.run(memory.given_up(record.name, A))
    assert objects.states() == [remembered.LOST]
    assert objects.settle(B).name == remembered.name_of(KEY, 2)


def test_a_doubted_order_that_was_accepted_after_all_is_ordered(objects: Objects) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    objects.run(memory.doubted(record.name, A, "unknown"))
    objects.run(memory.accepted(record.name, A, replace(record.order, request_id="r1", poll_url="https://x/r1")))
    assert (objects.record(record.name).state, objects.record(record.name).error) == (ORDERED, "")


def test_an_order_without_its_claim_was_never_sent(objects: Objects) -> None:
    name = objects.settle().name
    assert objects.run(memory.unsent(name, A, is_here=True))
    assert not objects.run(memory.unsent(name, A, is_here=False)), "another memory cannot say that"
    assert objects.run(memory.claim(claim_of(Found(None, name), B, objects.now), None))
    assert objects.run(memory.unsent(name, A, is_here=True))
    assert not objects.run(memory.unsent(name, B, is_here=True))


def test_a_memory_gets_its_id_once(objects: Objects) -> None:
    assert objects.run(memory.identity("one")) == "one" == objects.run(memory.identity("two"))
    objects.lose_answer = True
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
def test_a_damaged_id_is_named(objects: Objects, data: bytes) -> None:
    objects[memory.IDENTITY] = data
    with pytest.raises(DamagedError, match=r"memory\.json is damaged: delete it; nothing is lost"):
        objects.run(memory.identity("one"))


def test_an_order_whose_claim_is_released_was_not_accepted(objects: Objects) -> None:
    record = claim_of(objects.settle(), A, objects.now)
    assert objects.run(memory.claim(record, None))
    assert not objects.run(memory.unsent(record.name, A, is_here=True))
    objects.run(memory.refused(record.name, A, record.order.at))
    assert objects.run(memory.unsent(record.name, A, is_here=True))


def test_an_order_whose_claim_is_gone_can_still_be_found_missing(objects: Objects) -> None:
    record = objects.ordered()
    del objects[record.name]
    assert objects.run(memory.find("r1")) is None
    objects.run(memory.accepted(record.name, A, record.order))
    assert objects.run(memory.find("r1")) is None
    assert objects.run(memory.find("r9")) is None


def test_a_pointer_to_another_request_finds_nothing(objects: Objects) -> None:
    objects.ordered()
    objects[remembered.request_name("r9")] = objects[remembered.request_name("r1")]
    assert objects.run(memory.find("r9")) is None


def test_only_the_attempt_that_made_a_claim_releases_it(objects: Objects) -> None:
    """Two attempts of one task can run at once; the slower one is refused, and must not release the other's claim."""
    record = claim_of(objects.settle(A), A, objects.now)
    assert objects.run(memory.claim(record, None))
    slower = claim_of(Found(None, record.name), A, objects.now + 1)
    assert not objects.run(memory.claim(slower, None))
    objects.run(memory.refused(slower.name, A, slower.order.at))
    assert objects.states() == [CLAIMED]


@pytest.mark.parametrize("state", [ORDERED, LOST])
def test_an_end_outlives_what_a_task_wrote_over_it_that_had_stood_still(objects: Objects, state: str) -> None:
    objects.done()
    done = objects.record(remembered.name_of(KEY, 1))
    objects[done.name] = replace(done, state=state, outputs=()).to_bytes()
    assert objects.run(memory.find("r1")) == done
    objects[done.name] = replace(done, state=state, outputs=()).to_bytes()
    assert objects.settle().record == done
    assert objects.record(done.name) == done


def test_a_rejection_outlives_it_as_well(objects: Objects) -> None:
    objects.done()
    ordered = replace(objects.record(remembered.name_of(KEY, 1)), state=ORDERED)
    objects.run(memory.ended("r1", REJECTED, objects.now))
    objects[ordered.name] = ordered.to_bytes()
    assert objects.settle().record is None
    assert objects.states() == [REJECTED]


def test_of_two_attempts_of_one_task_only_one_refreshes(objects: Objects) -> None:
    objects.done()
    how = Reuse(refresh=True, max_tries=2)
    found = objects.settle(B, how)
    record = claim_of(found, B, objects.now)
    record = replace(record, order=replace(record.order, max_tries=2))
    assert objects.run(memory.claim(record, found.before))
    assert objects.settle(B, how).record == record
    assert objects.settle(B, replace(how, max_tries=4)).record is None, "a clear is a new wish"
    assert objects.settle(A, how).record is None


def test_how_an_order_ended_is_noted_by_its_own_name_if_nothing_leads_from_its_request(objects: Objects) -> None:
    record = objects.ordered()
    del objects[remembered.request_name("r1")]
    objects.run(memory.ended("r1", FAILED, objects.now))
    assert objects.states() == [ORDERED]
    objects.run(memory.ended("r2", FAILED, objects.now, name=record.name))
    objects.run(memory.ended("r1", FAILED, objects.now, name=remembered.name_of(KEY, 7)))
    assert objects.states() == [ORDERED], "another's order"
    objects.run(memory.ended("r1", FAILED, objects.now, name=record.name))
    assert objects.states() == [FAILED]
