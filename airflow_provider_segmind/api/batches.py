"""
Decide what an attempt of a batch does about each swap that an earlier attempt may have ordered. Without any I/O.

What :mod:`~airflow_provider_segmind.api.orders` is for one order: an intent before each POST, the handle right after
it. The entries are kept in chunks, since a store takes one value in one call.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from airflow_provider_segmind.api.history import Listing, Row, made_by
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import digest
from airflow_provider_segmind.api.workflows import fingerprint

VERSION = 1
_SCENE = "character_image"
CHUNK = 100
"""Entries in one stored value; Airflow warns above 64 KiB, and an entry has up to 500 bytes."""
NEAR = 60.0
"""Seconds around an intent in which other orders of the batch are its control group."""
WITNESSES = 3
"""Orders that a control group needs."""
SETTLED = 60.0
"""Seconds after which the request history has every order that was accepted, if it has any."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What is kept of one swap: an intent, and once it is accepted its handle.

    :param at: seconds since the epoch at which the intent was written.
    :param sent: digest of each input as it was sent, by name; empty once there is a handle.
    :param request_id: the accepted order's id.
    :param poll_url: the accepted order's poll URL.
    """

    at: float
    sent: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    poll_url: str = ""

    @property
    def known(self) -> bool:
        """Whether it is known to be accepted."""
        return bool(self.poll_url)

    def job(self, workflow: str) -> Job:
        """Return the job that was ordered."""
        return Job(self.request_id, self.poll_url, "QUEUED", workflow=workflow, submitted_at=self.at)


@dataclass(frozen=True)
class Head:
    """
    What is kept of a batch as a whole.

    :param fingerprint: digest of all that it orders, as the author gave it.
    :param max_tries: the task's ``max_tries`` when it began; a person's clear changes it and a retry does not.
    :param count: number of swaps.
    :param batch: a name of its own, under which its files are kept.
    """

    fingerprint: str
    max_tries: int
    count: int
    batch: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def to_json(self) -> dict[str, Any]:
        """Return plain values to store."""
        return {"version": VERSION, **asdict(self)}


class Begin(Enum):
    """What an attempt does with what an earlier one left."""

    ANEW = "anew"
    GO_ON = "go on"
    REFUSE = "refuse"


def begin(head: Head | None, wanted: Head) -> Begin:
    """Decide whether an attempt goes on with the batch of an earlier one, or begins a new one."""
    if head is None or head.max_tries != wanted.max_tries:
        return Begin.ANEW
    return Begin.GO_ON if head.fingerprint == wanted.fingerprint else Begin.REFUSE


def fingerprint_of(workflow: str, given: Iterable[Mapping[str, str]]) -> str:
    """Return a digest of all that a batch orders."""
    return fingerprint(workflow, {"swaps": [dict(inputs) for inputs in given]})


def read_head(stored: object) -> Head | None:
    """
    Read what was stored of a batch; what a newer version added is ignored.

    :raises ValueError: when something was stored that cannot be read: then nobody may guess.
    """
    if stored is None:
        return None
    try:
        return Head(**_known(Head, stored))
    except TypeError:
        raise ValueError("the stored batch cannot be read") from None


def read_chunk(stored: object) -> dict[int, Entry]:
    """
    Read one chunk of entries.

    :raises ValueError: when something was stored that cannot be read.
    """
    if stored is None:
        return {}
    entries = stored.get("entries") if isinstance(stored, Mapping) else None
    if not isinstance(entries, Mapping):
        raise ValueError("a stored part of the batch cannot be read")
    try:
        return {int(index): Entry(**_known(Entry, entry)) for index, entry in entries.items()}
    except TypeError:
        raise ValueError("a stored part of the batch cannot be read") from None


def write_chunk(entries: Mapping[int, Entry], number: int) -> dict[str, Any]:
    """Return one chunk as plain values to store."""
    inside = range(number * CHUNK, (number + 1) * CHUNK)
    kept = {str(index): asdict(entries[index]) for index in inside if index in entries}
    return {"version": VERSION, "entries": kept}


@dataclass(frozen=True)
class Found:
    """
    What the request history says about the intents of a batch.

    :param adopted: the request id of each that was accepted.
    :param refuted: those that provably were not accepted.
    :param unknown: the rest.
    """

    adopted: Mapping[int, str]
    refuted: frozenset[int]
    unknown: frozenset[int]


def look_up(entries: Mapping[int, Entry], listing: Listing, now: float) -> Found:
    """
    Decide what became of each intent, by what the request history lists.

    Exactly one request with the same inputs at that time is the order. That there is none proves something only beside
    a control group: when the history shows every order of this batch that is known to be accepted at about that time,
    at least three of them, and a minute has passed, then it shows such orders, and this one was not accepted.

    :param now: seconds since the epoch at which the history was asked.
    """
    rows = listing.rows
    shown = {row.request_id for row in rows}
    taken = {entry.request_id for entry in entries.values() if entry.known}
    free: dict[str, list[Row]] = {}
    for row in rows:
        if row.request_id not in taken:
            free.setdefault(digest(row.inputs.get(_SCENE)), []).append(row)
    intents = {index: entry for index, entry in entries.items() if not entry.known}
    matches = {
        index: {
            row.request_id for row in free.get(entry.sent.get(_SCENE, ""), ()) if made_by(row, entry.at, entry.sent)
        }
        for index, entry in intents.items()
    }
    claims = Counter(request_id for ids in matches.values() for request_id in ids)
    adopted = {
        index: next(iter(ids)) for index, ids in matches.items() if len(ids) == 1 and claims[next(iter(ids))] == 1
    }
    refuted = {
        index
        for index, entry in intents.items()
        if listing.complete
        and not matches[index]
        and now - entry.at >= SETTLED
        and _witnessed(entries.values(), entry, shown)
    }
    return Found(adopted, frozenset(refuted), frozenset(intents.keys() - adopted.keys() - refuted))


def settles_at(entries: Iterable[Entry]) -> float:
    """Return the time from which the request history can be asked about these intents."""
    return max((entry.at for entry in entries if not entry.known), default=0.0) + SETTLED


def _witnessed(entries: Collection[Entry], intent: Entry, shown: set[str]) -> bool:
    control = [entry.request_id for entry in entries if entry.known and abs(entry.at - intent.at) <= NEAR]
    return len(control) >= WITNESSES and all(request_id in shown for request_id in control)


def _known(cls: type[Any], stored: object) -> dict[str, Any]:
    if not isinstance(stored, Mapping):
        raise ValueError(f"what is stored of the batch is {type(stored).__name__}, not an object")
    return {part.name: stored[part.name] for part in fields(cls) if part.name in stored}
