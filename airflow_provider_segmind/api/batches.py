"""
Decide what an attempt does about each swap of a batch that an earlier attempt may have ordered. Without any I/O.

As :mod:`~airflow_provider_segmind.api.orders` for one order: an intent before each POST, the handle right after it.
Entries are stored in chunks, since a store takes one value per call.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.history import Listing, Row, made_by
from airflow_provider_segmind.api.orders import OrderRecord, Step, digest, read_order
from airflow_provider_segmind.api.workflows import fingerprint

VERSION = 1
_SCENE = "character_image"
CHUNK = 100
"""Entries per stored value: Airflow warns above 64 KiB, and an entry has up to 500 bytes."""
NEAR = 60.0
"""Seconds around an intent in which the batch's other orders are its control group."""
WITNESSES = 3
"""Fewest orders in a control group."""


@dataclass(frozen=True)
class BatchHeader:
    """
    The stored state of a whole batch.

    :param fingerprint: digest of all inputs as the author gave them.
    :param max_tries: the task's ``max_tries`` at the start; a person's clear changes it, a retry does not.
    :param count: number of swaps.
    :param batch: unique name, used in the paths of its files.
    :param before: name of the batch that the task ordered before it was cleared, if any. Its orders may have the same
        inputs and the same minutes, and must not be taken for orders of this batch.
    :param count_before: number of swaps in that batch.
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


def begin(header: BatchHeader | None, wanted: BatchHeader) -> Step:
    """Decide whether an attempt continues the batch of an earlier attempt, starts a new one, or refuses."""
    if header is None or header.max_tries != wanted.max_tries:
        return Step.ORDER
    return Step.ATTACH if header.fingerprint == wanted.fingerprint else Step.REFUSE


def fingerprint_of(workflow: str, given: Iterable[Mapping[str, str]]) -> str:
    """Return a digest of all that a batch orders."""
    return fingerprint(workflow, {"swaps": [dict(inputs) for inputs in given]})


def read_header(stored: object) -> BatchHeader | None:
    """
    Read the stored state of a batch; fields of a newer version are ignored.

    :raises ValueError: if the stored value cannot be read; do not order then.
    """
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError(f"what is stored of the batch is {type(stored).__name__}, not an object")
    try:
        return BatchHeader(**{part.name: stored[part.name] for part in fields(BatchHeader) if part.name in stored})
    except TypeError:
        raise ValueError("the stored batch cannot be read") from None


def read_chunk(stored: object) -> dict[int, OrderRecord]:
    """
    Read one chunk of entries.

    :raises ValueError: if the stored value cannot be read.
    """
    if stored is None:
        return {}
    entries = stored.get("entries") if isinstance(stored, Mapping) else None
    if not isinstance(entries, Mapping):
        raise ValueError("a stored part of the batch cannot be read")
    try:
        return {int(index): read_order(entry) for index, entry in entries.items()}
    except TypeError:
        raise ValueError("a stored part of the batch cannot be read") from None


def write_chunk(entries: Mapping[int, OrderRecord], number: int) -> dict[str, Any]:
    """Return one chunk as plain values to store, without what is empty."""
    inside = range(number * CHUNK, (number + 1) * CHUNK)
    records = {str(index): entries[index].to_json() for index in inside if index in entries}
    # The version before reads only what has ``at``.
    kept = {index: {name: v for name, v in r.items() if v or name == "at"} for index, r in records.items()}
    return {"version": VERSION, "entries": kept}


@dataclass(frozen=True)
class Found:
    """
    What the request history says about the intents of a batch, by swap index.

    :param adopted: request id of each accepted order.
    :param refuted: intents that were provably not accepted.
    :param unknown: all other intents.
    :param decides_at: seconds since the epoch from which another look can decide more intents; infinite for never.
    :param candidates: possible request ids of each unknown intent.
    :param shows_running: whether the history is known to list requests that have not ended.
    """

    adopted: Mapping[int, str]
    refuted: frozenset[int]
    unknown: frozenset[int]
    decides_at: float = math.inf
    candidates: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    shows_running: bool = False


def look_up(
    entries: Mapping[int, OrderRecord],
    listing: Listing,
    now: float,
    earlier: Collection[str] = frozenset(),
    *,
    within: float = 0.0,
    shows_running: bool = False,
) -> Found:
    """
    Decide from the request history what became of each intent.

    Adopts the only request with the same inputs and time, once the history must list the order: another run's request
    may be listed first. An order with an input of its own is adopted at once.

    Refutes an intent without a match only with a control group: at least three accepted orders of this batch from about
    that time. The history must show all of them, with their inputs and times, else it might not show this order either.
    And the history must have shown an order of this batch running: a history of ended requests proves nothing about an
    order that takes longer.

    :param now: time of the look in seconds since the epoch.
    :param earlier: ids of orders that the task placed before it was cleared.
    :param within: seconds after its intent within which an order can be accepted.
    :param shows_running: whether an earlier look showed an order of this batch running.
    """
    shown: dict[str, list[Row]] = {}
    free: dict[str, list[Row]] = {}
    taken = {*earlier, *(name for entry in entries.values() for name in (*entry.ordered, entry.request_id))}
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


def settles_at(entries: Iterable[OrderRecord], within: float = 0.0) -> float:
    """Return the time from which the history can decide these intents; see :func:`look_up`."""
    return max((entry.at for entry in entries if entry.pending), default=0.0) + within + history.SETTLED


def _listed_from(intent: OrderRecord, listing: Listing, within: float) -> float:
    rows = [row for row in listing.rows if history.in_time(row, intent.at)]
    return history.settled_at(intent.at + within, rows)


def _has_control_group(intent: OrderRecord, entries: Iterable[OrderRecord], shown: Mapping[str, list[Row]]) -> bool:
    """Whether the history shows all orders accepted at about an intent's time, and enough for a control group."""
    # Without what was sent, it is another task's order, and perhaps in another account's history.
    control = [entry for entry in entries if entry.known and entry.sent and abs(entry.at - intent.at) <= NEAR]
    return len(control) >= WITNESSES and all(
        any(made_by(row, entry.at, entry.sent) for row in shown.get(entry.request_id, ())) for entry in control
    )
