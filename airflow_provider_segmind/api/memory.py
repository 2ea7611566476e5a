"""
Remember each swap by its content, so that nobody pays for the same picture twice. Without any I/O.

Each order of a swap is one object, named by the swap's content and a number from 1. Storage creates such an object only
once, however many ask: that is the claim, made right before the POST. A swap that may be ordered again (its job FAILED,
its picture is gone) gets the next number, so a claim is never taken away from anybody.

The functions are generators: they yield what to read or write, and get the answer. See :class:`Read` and the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from airflow_provider_segmind.api.flow import Pause
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import (
    CLAIMED,
    DONE,
    LOST,
    ORDERED,
    RELEASED,
    VERSION,
    DamagedError,
    SwapRecord,
    end_name,
    name_of,
    read_swap,
    request_name,
    words,
)

T = TypeVar("T")

SENDING = 400.0
"""Seconds for which another task may be sending the order that it claimed: it waits five minutes after a 429."""
IDENTITY = "memory.json"
"""The object that has the memory's id."""
LOOK_AGAIN = 2.0
"""Seconds between two looks at an order that another task is sending."""
KEPT = 6.5 * 86400
"""Seconds for which Segmind keeps a picture, less a margin: it documents seven days."""


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for the bytes of an object; the answer is ``None`` if there is none."""

    name: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; the answer is whether it is new. If it exists, nothing is written."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Replace:
    """Write an object, over any before."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Size:
    """Ask for the size of a stored picture in bytes, by its name or URI; the answer is ``None`` if there is none."""

    uri: str


Steps = Generator[Read | Create | Replace | Size | Pause, Any, T]


@dataclass(frozen=True, slots=True)
class Reuse:
    """
    What an author says about pictures that are paid for already.

    :param refresh: whether to order anew nevertheless.
    :param max_age: seconds since the picture was seen for which it is taken; ``None`` for ever.
    :param passed: names of the orders of unknown outcome that are ordered again, since the request history was asked
        for them and the author accepts a second bill.
    :param max_tries: the task's ``max_tries``: an order that it made with the same is the new one that it wants.
    """

    refresh: bool = False
    max_age: float | None = None
    passed: Collection[str] = ()
    max_tries: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """
    What the memory knows of a swap.

    :param record: its order that stands, in any state; ``None`` if it is to be ordered.
    :param name: the name of that order's object, or of that of the order to place.
    :param before: the order with the number before, which stands no more.
    """

    record: SwapRecord | None
    name: str
    before: SwapRecord | None = None


def settle(
    key: str, owner: Mapping[str, Any], how: Reuse, clock: Callable[[], float], *, wait: bool = True
) -> Steps[Found]:
    """
    Find the order of a swap that stands, or the name of the next one.

    An order of another task whose outcome nobody knows stands, unless a later one is accepted: that one is taken then.

    :param owner: the task that asks.
    :param wait: whether to wait while another task is sending an order; else its claim is taken as it is.
    :raises DamagedError: if what is stored cannot be read.
    """
    number, before, unknown = 1, None, None
    seen: dict[float, float] = {}
    while (data := (yield Read(name_of(key, number)))) is not None:
        record = yield from with_end(read_swap(data, name_of(key, number)))
        if record.newer > number and not how.refresh:  # who refreshes must meet its own order, wherever it is
            number, before = record.newer, record
            continue
        is_own = dict(record.owner) == dict(owner)
        if wait and record.state == CLAIMED and not is_own and not how.refresh:
            now = clock()
            claimed = min(record.order.at, seen.setdefault(record.order.at, now))  # a clock may be ahead
            if (left := claimed + SENDING - now) > 0:
                yield Pause(min(LOOK_AGAIN, left), f"Another task is sending this order: {record.whose}.")
                if unknown is not None:  # more may be known of it when this one is settled
                    number, before, unknown = 1, None, None
                continue
        refreshes = how.refresh and not (is_own and record.order.max_tries == how.max_tries)
        if not refreshes and (yield from _stands(record, how, clock())):
            if is_own or record.state != CLAIMED:
                return Found(record, record.name)
            # Its claim is only its owner's to write, so it stays. Who resubmitted it may have made the picture since.
            unknown = unknown or record
        number, before = number + 1, record
    return Found(None, name_of(key, number), before) if unknown is None else Found(unknown, unknown.name)


def _stands(record: SwapRecord, how: Reuse, now: float) -> Steps[bool]:
    if record.state == CLAIMED:
        return record.name not in how.passed
    if record.state != DONE:
        return record.state == ORDERED
    if how.max_age is not None and now - record.ended_at > how.max_age:
        return False
    return (yield from is_there(record, now))


def is_there(record: SwapRecord, now: float) -> Steps[bool]:
    """Whether all that a job made can be had: from the memory, or from Segmind, as long as it keeps it."""
    for output in record.outputs:
        if output.uri:
            if (yield Size(output.uri)) != output.size:
                return False
        elif not output.url or (output.is_at_segmind and now - record.ended_at > KEPT):
            return False
    return record.has_result


def claim(record: SwapRecord, before: SwapRecord | None) -> Steps[bool]:
    """
    Claim an order right before it is sent; ``False`` if another task was faster: then settle again.

    :param before: the order before, as it was when it was found to stand no more.
    """
    is_new = yield Create(record.name, record.to_bytes())
    if not is_new and (yield Read(record.name)) != record.to_bytes():  # the storage may have lost its own answer
        return False
    if before is not None and not (yield from _is_unchanged(before)):
        # Its owner was slow, and may be sending now. Each of the two writes first and then reads: at most one sends.
        yield from refused(record.name, record.owner, record.order.at)
        return False
    return True


def _is_unchanged(record: SwapRecord) -> Steps[bool]:
    data = yield Read(record.name)
    now = record if data is None else read_swap(data, record.name)  # fields of a newer package do not count
    return data is not None and (now.token, now.state, now.order.at) == (record.token, record.state, record.order.at)


def renew(name: str, owner: Mapping[str, Any], order: OrderRecord) -> Steps[bool]:
    """Renew a claim before its order is sent once more; ``False`` if another task has taken over."""
    record = yield from _claimed(name, owner)
    if record is None:
        return False
    yield Replace(name, replace(record, order=order).to_bytes())
    if (yield Read(name_of(record.key, record.number + 1))) is not None:
        yield from refused(name, owner, order.at)
        return False
    return True


def identity(new: str) -> Steps[str]:
    """Return the id of a memory; a new one gets this one."""
    data = yield Read(IDENTITY)
    if data is None:
        yield Create(IDENTITY, json.dumps({"version": VERSION, "id": new}).encode())
        data = yield Read(IDENTITY)
    try:
        return str(json.loads(data)["id"])
    except (ValueError, TypeError, KeyError):
        raise DamagedError(f"The memory's object {IDENTITY} is damaged: delete it; nothing is lost by that.") from None


def unsent(name: str, owner: Mapping[str, Any], *, is_here: bool) -> Steps[bool]:
    """
    Whether an order was certainly not accepted: its claim, without which nobody sends, is released or was not made.

    :param is_here: whether it was to be claimed in this memory, and not in one that was configured before.
    """
    data = (yield Read(name)) if is_here else None
    if data is None:
        return is_here
    record = read_swap(data, name)
    return dict(record.owner) != dict(owner) or record.state == RELEASED


def refused(name: str, owner: Mapping[str, Any], at: float) -> Steps[None]:
    """
    Note that an order was certainly not accepted.

    :param at: the time of its intent: two attempts of one task can run at once, and only one has made this claim.
    """
    record = yield from _claimed(name, owner)
    if record is not None and record.order.at == at:
        yield Replace(name, replace(record, state=RELEASED).to_bytes())


def doubted(name: str, owner: Mapping[str, Any], why: str, max_tries: int) -> Steps[None]:
    """Note that the task of a claim has failed since nobody knows its outcome, with its ``max_tries`` at that time."""
    record = yield from _claimed(name, owner)
    if record is not None:
        order = replace(record.order, max_tries=max(max_tries, record.order.max_tries if record.error else 0))
        yield Replace(name, replace(record, order=order, error=words(why)).to_bytes())


def given_up(name: str, owner: Mapping[str, Any]) -> Steps[None]:
    """Give up an order of unknown outcome, as a person has decided who cleared its task after it had failed."""
    record = yield from _claimed(name, owner)
    if record is not None:
        yield Replace(name, replace(record, state=LOST).to_bytes())


def accepted(name: str, owner: Mapping[str, Any], order: OrderRecord) -> Steps[None]:
    """Note the handle of an accepted order, so that it can also be found by its request."""
    # First, so that a task that sees a noted order can also note how it ended. Another order may have been found
    # to be this request in the history: then that is where its end is noted.
    said = {"version": VERSION, "name": name, "poll_url": order.poll_url}
    yield Create(request_name(order.request_id), json.dumps(said).encode())
    record = yield from _claimed(name, owner)
    if record is not None:
        yield Replace(name, replace(record, order=order, state=ORDERED, error="").to_bytes())


def _claimed(name: str, owner: Mapping[str, Any]) -> Steps[SwapRecord | None]:
    """Return the claim of this name if it is this owner's, and nothing more is known of it."""
    data = yield Read(name)
    record = None if data is None else read_swap(data, name)
    return record if record is not None and record.state == CLAIMED and dict(record.owner) == dict(owner) else None


def with_end(record: SwapRecord) -> Steps[SwapRecord]:
    """Return a record with its end, if a task that stood still has written over it."""
    if record.state not in (ORDERED, LOST):
        return record
    data = yield Read(end_name(record.key, record.number))
    if data is None:
        return record
    known = read_swap(data, record.name, is_end=True)
    if known.token != record.token:  # a person has deleted the order that ended so, and this is another one
        return record
    yield Replace(known.name, known.to_bytes())
    return known
