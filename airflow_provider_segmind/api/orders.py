"""
Decide what an attempt does about an order that an earlier attempt may have placed. Without any I/O.

Segmind has no idempotency key: only the record of an order prevents a second bill on a retry. It is written before the
POST (the intent) and right after it (the handle).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum, StrEnum
from typing import Any

from airflow_provider_segmind.api.models import Job

VERSION = 1


class State(StrEnum):
    """The known progress of an order."""

    INTENT = "intent"
    """About to be sent, or sent; the outcome is unknown."""
    SUBMITTED = "submitted"
    """Accepted; its handle is known."""
    FAILED = "failed"
    """Accepted, and its job ended FAILED."""


@dataclass(frozen=True)
class Record:
    """
    The stored state of an order between the attempts of a task.

    :param fingerprint: digest of the workflow and the inputs as the DAG's author gave them.
    :param max_tries: the task's ``max_tries`` at the order. A person's clear changes it, a retry does not
        (``clear_task_instances`` in Airflow); this tells a new order from another attempt at the same one.
    :param at: time of the intent in seconds since the epoch.
    :param sent: digest of each input as sent, by name, to recognise the order in the request history.
    :param replaced: ids of this task's earlier orders. They may have the same inputs and the same minutes, and must not
        be taken for this order.
    :param own: whether one input was made for this order alone, so that no other order has the same inputs.
    :param candidates: ids from the request history, if the order's own id is uncertain.
    """

    state: State
    fingerprint: str
    max_tries: int
    at: float
    workflow: str
    sent: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    poll_url: str = ""
    replaced: Sequence[str] = ()
    own: bool = False
    candidates: Sequence[str] = ()

    @property
    def ordered(self) -> tuple[str, ...]:
        """Ids of all known orders of the task."""
        return (*self.replaced, self.request_id) if self.request_id else tuple(self.replaced)

    @property
    def perhaps(self) -> tuple[str, ...]:
        """Ids of all orders of the task that are or may be billed."""
        return tuple(dict.fromkeys((*self.ordered, *self.candidates)))

    def submitted(self, job: Job) -> Record:
        """Return the record with the handle of the accepted order."""
        return replace(self, state=State.SUBMITTED, request_id=job.request_id, poll_url=job.poll_url)

    def failed(self) -> Record:
        """Return the record of an order whose job ended FAILED."""
        return replace(self, state=State.FAILED)

    def job(self) -> Job:
        """Return the ordered job."""
        return Job(self.request_id, self.poll_url, "QUEUED", workflow=self.workflow, submitted_at=self.at)

    def to_json(self) -> dict[str, Any]:
        """Return plain values to store."""
        # Airflow's store takes JSON types only, so no tuples.
        lists = {"replaced": list(self.replaced), "candidates": list(self.candidates)}
        return {"version": VERSION, **asdict(self), "state": self.state.value, **lists}


def read_record(stored: object) -> Record | None:
    """
    Read a stored record of any version; fields of a newer version are ignored; ``None`` if nothing was stored.

    :raises ValueError: if the stored value cannot be read; do not order then.
    """
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError(f"the stored order is {type(stored).__name__}, not an object")
    known = {part.name: stored[part.name] for part in fields(Record) if part.name in stored}
    try:
        lists = {name: tuple(stored.get(name, ())) for name in ("replaced", "candidates")}
        return Record(**{**known, "state": State(stored["state"]), **lists})
    except (KeyError, TypeError, ValueError):
        raise ValueError("the stored order cannot be read") from None


class Step(Enum):
    """What to do now."""

    ORDER = "order"
    """Place a new order."""
    ATTACH = "attach"
    """Continue with the recorded order."""
    RECOVER = "recover"
    """Find out whether the recorded order was accepted; never order again without knowing."""
    REFUSE = "refuse"
    """The recorded order has other inputs: stop, and report it."""


def decide(record: Record | None, *, max_tries: int, fingerprint: str, resubmit_unknown: bool) -> Step:
    """
    Decide what this attempt does.

    :param record: what an earlier attempt left, if anything.
    :param max_tries: the task's ``max_tries`` now.
    :param fingerprint: digest of what would be ordered now.
    :param resubmit_unknown: whether the author accepts a possible second bill for an order of unknown outcome.
    """
    if record is None or record.max_tries != max_tries or record.state is State.FAILED:
        return Step.ORDER
    if record.state is State.INTENT:
        # An id that the answer had is an accepted order.
        return Step.ORDER if resubmit_unknown and not record.request_id else Step.RECOVER
    return Step.ATTACH if record.fingerprint == fingerprint else Step.REFUSE


def has_own_input(given: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether a sent URL is not the author's (an upload, or tagged), and so belongs to this order alone."""
    return any(
        isinstance(value, str) and "://" in value and value != str(given.get(name, value)).strip()
        for name, value in sent.items()
    )


def digests(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return a short digest of each input, so that a record holds neither pictures nor their URLs."""
    return {name: digest(value) for name, value in inputs.items()}


def digest(value: object) -> str:
    """Return a short digest of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
