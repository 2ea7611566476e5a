"""Which orders of the memory are paid for and not stored, and what is noted of them. Without any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from airflow_provider_segmind.api.memory import KEPT, Read, Replace, Steps, with_end
from airflow_provider_segmind.api.remembered import (
    CLAIMED,
    DONE,
    LOST,
    ORDERED,
    Stored,
    SwapRecord,
    end_name,
    read_swap,
    words,
)

OLD = 600.0
"""Seconds after an order for which its own task looks after it: it may be sending, and its job may be running."""
OVER = 8 * 86400.0
"""Seconds after which a picture cannot be had any more: Segmind deletes it after seven days."""


class Need(Enum):
    """What an order needs."""

    ASK = "ask"
    """Its job may have ended, and nobody has noted how."""
    LOOK_UP = "look up"
    """It was sent, or was about to be, and its answer is not known."""
    FETCH = "fetch"
    """It has a picture that is only at Segmind."""


def need_of(record: SwapRecord, now: float) -> Need | None:
    """Return what an order needs, or ``None`` if nothing."""
    if record.state == DONE:
        return Need.FETCH if any(map(is_unstored, record.outputs)) else None
    age = now - record.order.at
    if record.state == CLAIMED:  # later there is nothing to fetch, and it has been named
        return Need.LOOK_UP if OLD <= age <= KEPT else None
    return Need.ASK if record.state == ORDERED and age >= OLD else None


def is_over(record: SwapRecord, now: float) -> bool:
    """Whether an order's pictures are so old that Segmind has them no more, whatever their host answers."""
    return record.state == DONE and now - record.ended_at > OVER


def is_unstored(output: Stored) -> bool:
    """Whether an output is a picture without a copy."""
    return output.is_picture and not output.uri


def fetched(record: SwapRecord, outputs: Sequence[Stored]) -> Steps[bool]:
    """Note the copies of an order's pictures; ``False`` if somebody has changed or removed its record meanwhile."""
    now = yield from _unchanged(record)
    if now is not None:
        yield from _write(replace(now, outputs=tuple(outputs)))
    return now is not None


def gone(record: SwapRecord, error: str, at: float) -> Steps[None]:
    """Note that an order's pictures cannot be had any more, unless somebody has changed its record meanwhile."""
    now = yield from _unchanged(record)
    if now is not None:
        yield from _write(replace(now, state=LOST, error=words(error), ended_at=now.ended_at or at))


def _write(record: SwapRecord) -> Steps[None]:
    if (yield Read(end_name(record.key, record.number))) is not None:  # or that would bring back what it says
        yield Replace(end_name(record.key, record.number), record.to_bytes())
    yield Replace(record.name, record.to_bytes())


def _unchanged(record: SwapRecord) -> Steps[SwapRecord | None]:
    data = yield Read(record.name)
    now = None if data is None else (yield from with_end(read_swap(data, record.name)))
    return now if now is not None and (now.state, now.token) == (record.state, record.token) else None
