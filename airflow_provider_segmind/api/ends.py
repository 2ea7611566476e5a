"""
Find the order of a request in the memory of swaps, and note how it ended. Without any I/O.

The functions are generators like those of :mod:`airflow_provider_segmind.api.memory`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from airflow_provider_segmind.api.memory import Read, Replace, Steps, is_there, with_end
from airflow_provider_segmind.api.remembered import (
    CLAIMED,
    DONE,
    LOST,
    ORDERED,
    REJECTED,
    SWAP_NAME,
    DamagedError,
    Stored,
    SwapRecord,
    end_name,
    name_of,
    read_swap,
    request_name,
    words,
)


def find(request_id: str) -> Steps[SwapRecord | None]:
    """
    Return the order of a request, or ``None``.

    :raises DamagedError: if what is stored cannot be read.
    """
    pointer = request_name(request_id)
    data = yield Read(pointer)
    if data is None:
        return None
    try:
        said = json.loads(data)
        name, poll_url = str(said["name"]), str(said.get("poll_url") or "")
        if not SWAP_NAME.fullmatch(name):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DamagedError(f"The memory's object {pointer} is damaged: delete it; nothing is lost by that.") from None
    return (yield from _of_request(name, request_id, poll_url))


def ended(
    request_id: str, state: str, at: float, *, outputs: tuple[Stored, ...] = (), error: str = "", name: str = ""
) -> Steps[bool]:
    """
    Note how a job ended, or that its picture is not wanted; what is noted of an end stays so, but for the latter.

    Return whether it is noted.

    :param name: the name of its order's object, if it is known.
    """
    record = (yield from _of_request(name, request_id)) if name else (yield from find(request_id))
    if record is None or (record.state not in (CLAIMED, ORDERED, LOST) and state != REJECTED):
        return False
    changed = replace(record, state=state, error=words(error))
    if state != REJECTED:
        changed = replace(changed, ended_at=at, outputs=outputs)
    yield from _keep_end(changed)
    if state == DONE and changed.has_result:
        # Two jobs can end together: each first writes and then reads, so at least one of them sees the other.
        yield from _take_its_place((yield from _latest(changed)))
    return True


def _latest(record: SwapRecord) -> Steps[SwapRecord]:
    """Return the picture that was ordered last; what was ordered again on purpose can be done sooner."""
    latest, number = record, record.number + 1
    while (data := (yield Read(name := name_of(record.key, number)))) is not None:
        later = read_swap(data, name)
        if later.state == DONE and (yield from is_there(later, record.ended_at)):
            latest = later
        number += 1
    return latest


def _take_its_place(latest: SwapRecord) -> Steps[None]:
    before = None
    for number in range(latest.number - 1, 0, -1):  # between the two, orders may have been refused, or have FAILED
        data = yield Read(name := name_of(latest.key, number))
        before = None if data is None else read_swap(data, name)
        if before is not None and before.state == DONE:  # it was ordered anew on purpose
            before = replace(before, state=REJECTED, error=f"Request {latest.order.request_id} made a newer one.")
            yield from _keep_end(before)
    if before is not None and before.state not in (CLAIMED, ORDERED):  # or its owner may be writing
        yield Replace(before.name, replace(before, newer=latest.number).to_bytes())


def _of_request(name: str, request_id: str, poll_url: str = "") -> Steps[SwapRecord | None]:
    data = yield Read(name)
    if data is None:
        return None
    record = yield from with_end(read_swap(data, name))
    if poll_url and record.state == CLAIMED and not record.order.request_id:
        # Accepted, but who ordered it was not able to note it there, or not yet.
        return replace(record, order=replace(record.order, request_id=request_id, poll_url=poll_url))
    return record if record.order.request_id == request_id else None


def _keep_end(record: SwapRecord) -> Steps[None]:
    """Keep an end twice: a task that stood still may write over the order's object what it read before the end."""
    if record.state in (DONE, REJECTED):
        yield Replace(end_name(record.key, record.number), record.to_bytes())
    yield Replace(record.name, record.to_bytes())
