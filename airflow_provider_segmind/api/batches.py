"""
Decide what an attempt of a batch does about each swap that an earlier attempt may have ordered. Without any I/O.

What :mod:`~airflow_provider_segmind.api.orders` is for one order: an intent before each POST, the handle right after
it. The entries are kept in chunks, since a store takes one value in one call.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from airflow_provider_segmind.api import history
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


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What is kept of one swap: an intent, and once it is accepted its handle.

    :param at: seconds since the epoch at which the intent was written.
    :param sent: digest of each input as it was sent, by name.
    :param request_id: the accepted order's id.
    :param poll_url: the accepted order's poll URL.
    :param replaced: ids of earlier orders of the same swap, whose jobs FAILED.
    :param candidates: ids that the request history showed, where the order's own is not known for certain.
    :param own: whether one of the inputs was made for this order alone, so that no other order has the same ones.
    """

    at: float
    sent: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    poll_url: str = ""
    replaced: Sequence[str] = ()
    candidates: Sequence[str] = ()
    own: bool = False

    @property
    def known(self) -> bool:
        """Whether it is known to be accepted."""
        return bool(self.poll_url)

    @property
    def pending(self) -> bool:
        """Whether an order may be under way whose outcome is unknown."""
        return not self.known and self.at > 0

    @property
    def requests(self) -> tuple[str, ...]:
        """The ids of all orders of the swap that are known to be accepted, each of which is billed."""
        return (*self.replaced, self.request_id) if self.request_id else tuple(self.replaced)

    @property
    def perhaps(self) -> tuple[str, ...]:
        """The ids of all orders of the swap that are, or can be, billed: what an order in its place follows."""
        return tuple(dict.fromkeys((*self.requests, *self.candidates)))

    def refuted(self) -> Entry | None:
        """Return what stays of it once it is known that it was not accepted: earlier orders, or nothing."""
        return Entry(0.0, replaced=self.replaced) if self.replaced else None

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
    :param before: the name of the batch that the task ordered before it was cleared, if any. Its orders may have the
        same inputs and be of the same minutes, and must not be taken for this one's.
    :param count_before: number of swaps of that.
    """

    fingerprint: str
    max_tries: int
    count: int
    batch: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    before: str = ""
    count_before: int = 0

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
        return {int(index): _entry(entry) for index, entry in entries.items()}
    except TypeError:
        raise ValueError("a stored part of the batch cannot be read") from None


def write_chunk(entries: Mapping[int, Entry], number: int) -> dict[str, Any]:
    """Return one chunk as plain values to store."""
    inside = range(number * CHUNK, (number + 1) * CHUNK)
    # Airflow's store takes JSON's own types only: a tuple is none.
    kept = {
        str(index): {
            **asdict(entries[index]),
            **{name: list(getattr(entries[index], name)) for name in ("replaced", "candidates")},
        }
        for index in inside
        if index in entries
    }
    return {"version": VERSION, "entries": kept}


@dataclass(frozen=True)
class Found:
    """
    What the request history says about the intents of a batch.

    :param adopted: the request id of each that was accepted.
    :param refuted: those that provably were not accepted.
    :param unknown: the rest.
    :param decides_at: seconds since the epoch from which looking again can refute more of them; infinite for never.
    :param candidates: the request ids that each unknown one can be.
    :param shows_running: whether the history is known to list also what has not ended.
    """

    adopted: Mapping[int, str]
    refuted: frozenset[int]
    unknown: frozenset[int]
    decides_at: float = math.inf
    candidates: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    shows_running: bool = False


def look_up(
    entries: Mapping[int, Entry],
    listing: Listing,
    now: float,
    earlier: Collection[str] = frozenset(),
    *,
    within: float = 0.0,
    shows_running: bool = False,
) -> Found:
    """
    Decide what became of each intent, by what the request history lists.

    Exactly one request with the same inputs at that time is the order, once the history must have the order itself:
    another run's may be listed before it. Only what has an input of its own is known as soon as it is seen.

    That there is none proves something only beside a control group: the orders of this batch that are known to be
    accepted at about that time, at least three. The history must show every one of them, with its inputs and at its
    time, or it would not show this one so either. And it must be known to list what has not ended, by an order of this
    batch that it showed running: a history of what has ended says nothing of an order that takes longer than others.

    :param now: seconds since the epoch at which the history was asked.
    :param earlier: ids of orders that the task placed before it was cleared.
    :param within: seconds after its intent in which an order can have been accepted.
    :param shows_running: whether an earlier look showed an order of this batch running.
    """
    shown: dict[str, list[Row]] = {}
    free: dict[str, list[Row]] = {}
    taken = {*earlier, *(name for entry in entries.values() for name in entry.requests)}
    for row in listing.rows:
        shown.setdefault(row.request_id, []).append(row)
        if row.request_id not in taken:
            free.setdefault(digest(row.inputs.get(_SCENE)), []).append(row)
    intents = {index: entry for index, entry in entries.items() if entry.pending}
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
    shows_running = shows_running or any(
        row.running and made_by(row, entry.at, entry.sent)
        for entry in entries.values()
        if entry.known
        for row in shown.get(entry.request_id, ())
    )
    listed_from = {
        index: -math.inf if intents[index].own else _listed_from(intents[index], listing, within) for index in adopted
    }
    absent_from = {
        index: intent.at + within + history.SETTLED
        for index, intent in intents.items()
        if listing.complete
        and not matches[index]
        and shows_running
        and _has_control_group(intent, entries.values(), shown)
    }
    adopted = {index: request_id for index, request_id in adopted.items() if now >= listed_from[index]}
    refuted = frozenset(index for index, since in absent_from.items() if now >= since)
    unknown = frozenset(intents.keys() - adopted.keys() - refuted)
    later = [since for index, since in {**listed_from, **absent_from}.items() if index in unknown]
    candidates = {index: tuple(sorted(matches[index])) for index in unknown if matches[index]}
    return Found(adopted, refuted, unknown, max(later, default=math.inf), candidates, shows_running)


def settles_at(entries: Iterable[Entry], within: float = 0.0) -> float:
    """Return the time from which the request history can be asked about these intents; see :func:`look_up`."""
    return max((entry.at for entry in entries if entry.pending), default=0.0) + within + history.SETTLED


def _listed_from(intent: Entry, listing: Listing, within: float) -> float:
    rows = [row for row in listing.rows if history.in_time(row, intent.at)]
    return history.settled_at(intent.at + within, rows)


def _has_control_group(intent: Entry, entries: Iterable[Entry], shown: Mapping[str, list[Row]]) -> bool:
    """Whether the history shows all orders that were accepted at about the time of an intent, and enough of them."""
    control = [entry for entry in entries if entry.known and abs(entry.at - intent.at) <= NEAR]
    return len(control) >= WITNESSES and all(
        any(made_by(row, entry.at, entry.sent) for row in shown.get(entry.request_id, ())) for entry in control
    )


def _entry(stored: object) -> Entry:
    known = _known(Entry, stored)
    return Entry(**{**known, **{name: tuple(known.get(name, ())) for name in ("replaced", "candidates")}})


def _known(cls: type[Any], stored: object) -> dict[str, Any]:
    if not isinstance(stored, Mapping):
        raise ValueError(f"what is stored of the batch is {type(stored).__name__}, not an object")
    return {part.name: stored[part.name] for part in fields(cls) if part.name in stored}
