"""
Decide what an attempt does about an order that an earlier attempt may have placed. Without any I/O.

Segmind has no idempotency key: only the record of an order prevents a second bill on a retry. It is written before the
POST (the intent) and right after it (the handle).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from airflow_provider_segmind.api.models import Job

VERSION = 1


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """
    The stored state of the order of one swap, in a task of its own or in a batch.

    :param at: time of the intent in seconds since the epoch.
    :param sent: digest of each input as sent, by name, to recognise the order in the request history.
    :param replaced: ids of earlier orders of the same swap. They may have the same inputs and the same minutes, and
        must not be taken for this order.
    :param candidates: ids from the request history, if the order's own id is uncertain.
    :param own: whether one input was made for this order alone, so that no other order has the same inputs.
    :param failed: whether its job ended FAILED.
    :param fingerprint: digest of the workflow and the inputs as the DAG's author gave them. This and the next two are
        those of the task; in a batch, its header has them.
    :param prepared: what was done to its pictures before they were sent, by the name of the input.
    :param claim: name of its object in the memory of swaps, if there is a memory.
    :param memory: id of that memory, so that none is taken for it in which that object cannot be.
    :param reused: whether another task or run ordered it.
    :param max_tries: the task's ``max_tries`` at the order. A person's clear changes it, a retry does not
        (``clear_task_instances`` in Airflow); this tells a new order from another attempt at the same one.
    :param unnamed: number of earlier orders of the same swap that may be billed, and of which no id is known.
    """

    at: float
    sent: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    poll_url: str = ""
    replaced: Sequence[str] = ()
    candidates: Sequence[str] = ()
    own: bool = False
    failed: bool = False
    fingerprint: str = ""
    max_tries: int = 0
    workflow: str = ""
    prepared: Mapping[str, Sequence[str]] = field(default_factory=dict)
    claim: str = ""
    reused: bool = False
    memory: str = ""
    unnamed: int = 0

    @property
    def known(self) -> bool:
        """Whether the order is known to be accepted, and where its job is asked for."""
        return bool(self.poll_url)

    @property
    def pending(self) -> bool:
        """Whether there may be an order whose outcome is unknown."""
        return not self.known and self.at > 0

    @property
    def ordered(self) -> tuple[str, ...]:
        """Ids of all accepted orders of the swap; each is billed to this task."""
        return (*self.replaced, self.request_id) if self.request_id and not self.reused else tuple(self.replaced)

    @property
    def perhaps(self) -> tuple[str, ...]:
        """Ids of all orders of the swap that are or may be billed."""
        return tuple(dict.fromkeys((*self.ordered, *self.candidates)))

    @property
    def nameless(self) -> int:
        """Number of orders of the swap that may be billed, and of which no id is known."""
        return self.unnamed + (self.pending and not self.candidates and not self.request_id)

    def submitted(self, job: Job) -> OrderRecord:
        """Return the record with the handle of the accepted order."""
        return replace(self, request_id=job.request_id, poll_url=job.poll_url)

    def refuted(self) -> OrderRecord | None:
        """Return the record after an order proved not accepted: the earlier orders, or ``None``."""
        earlier = OrderRecord(0.0, replaced=self.replaced, unnamed=self.unnamed)
        return earlier if self.replaced or self.unnamed else None

    def job(self, workflow: str = "") -> Job:
        """Return the ordered job."""
        return Job(
            self.request_id,
            self.poll_url,
            "QUEUED",
            workflow=workflow or self.workflow,
            submitted_at=self.at,
            prepared=self.prepared,
            reused=self.reused,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values to store: JSON's own types only, as Airflow's store wants them."""
        values = ((name, getattr(self, name)) for name in _FIELDS)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


_FIELDS = tuple(part.name for part in fields(OrderRecord))


def read_order(stored: Mapping[str, Any]) -> OrderRecord:
    """
    Read a record of any version; fields of a newer version are ignored.

    :raises TypeError: if it cannot be read.
    """
    known = {name: stored[name] for name in _FIELDS if name in stored}
    return OrderRecord(**{**known, **{name: tuple(known.get(name, ())) for name in ("replaced", "candidates")}})


def write_record(record: OrderRecord) -> dict[str, Any]:
    """Return the record of a task's only order as plain values to store."""
    state = "failed" if record.failed else "submitted" if record.known else "intent"
    return {"version": VERSION, "state": state, **record.to_json()}


def read_record(stored: object) -> OrderRecord | None:
    """
    Read the stored record of a task's only order; ``None`` if nothing was stored.

    :raises ValueError: if the stored value cannot be read; do not order then.
    """
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError(f"the stored order is {type(stored).__name__}, not an object")
    complete = stored.keys() >= {"fingerprint", "max_tries", "at", "workflow"}
    if not complete or stored.get("state") not in ("intent", "submitted", "failed"):
        raise ValueError("the stored order cannot be read")
    try:
        return read_order({**stored, "failed": stored["state"] == "failed"})
    except TypeError:
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


def decide(record: OrderRecord | None, *, max_tries: int, fingerprint: str) -> Step:
    """
    Decide what this attempt does.

    :param record: what an earlier attempt left, if anything.
    :param max_tries: the task's ``max_tries`` now.
    :param fingerprint: digest of what would be ordered now.
    """
    if record is None or record.max_tries != max_tries or record.failed:
        return Step.ORDER
    if record.pending:
        return Step.RECOVER
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
