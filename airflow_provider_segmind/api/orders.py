"""
Decide what an attempt of a task does about the order that an earlier attempt may have placed. Without any I/O.

Segmind has no idempotency key, so the record of an order is the only thing that stands between a retry and a second
bill. It is written before the POST (the intent) and right after it (the handle).
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
    """How far an order is known to have come."""

    INTENT = "intent"
    """About to be sent, or sent: nobody knows."""
    SUBMITTED = "submitted"
    """Accepted; its handle is known."""
    FAILED = "failed"
    """Accepted, and its job ended FAILED."""


@dataclass(frozen=True)
class Record:
    """
    What is kept of an order between the attempts of a task.

    :param state: how far it has come.
    :param fingerprint: digest of the workflow and the inputs as the DAG's author gave them.
    :param max_tries: the task's ``max_tries`` when it was ordered. A person's clear changes it, a retry does not
        (``clear_task_instances`` in Airflow), which tells a new order from another attempt at the same one.
    :param at: seconds since the epoch at which the intent was written.
    :param workflow: the workflow.
    :param sent: digest of each input as it was sent, by name, to recognise the order in a history.
    :param request_id: the accepted order's id.
    :param poll_url: the accepted order's poll URL.
    :param replaced: ids of this task's earlier orders. They may have the same inputs and be of the same minutes, and
        must not be taken for this one.
    :param own: whether one of the inputs was made for this order alone, so that no other order has the same ones.
    :param candidates: ids that the request history showed, where the order's own is not known for certain.
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
        """The ids of all orders of the task that are known."""
        return (*self.replaced, self.request_id) if self.request_id else tuple(self.replaced)

    @property
    def perhaps(self) -> tuple[str, ...]:
        """The ids of all orders of the task that are, or can be, billed: what an order in its place follows."""
        return tuple(dict.fromkeys((*self.ordered, *self.candidates)))

    def submitted(self, job: Job) -> Record:
        """Return the record with the handle of the accepted order."""
        return replace(self, state=State.SUBMITTED, request_id=job.request_id, poll_url=job.poll_url)

    def failed(self) -> Record:
        """Return the record of an order whose job ended FAILED."""
        return replace(self, state=State.FAILED)

    def job(self) -> Job:
        """Return the job that was ordered."""
        return Job(self.request_id, self.poll_url, "QUEUED", workflow=self.workflow, submitted_at=self.at)

    def to_json(self) -> dict[str, Any]:
        """Return plain values to store."""
        # Airflow's store takes JSON's own types only: a tuple is none.
        lists = {"replaced": list(self.replaced), "candidates": list(self.candidates)}
        return {"version": VERSION, **asdict(self), "state": self.state.value, **lists}


def read_record(stored: object) -> Record | None:
    """
    Read what was stored, by this version or another; what a newer one added is ignored.

    :return: the record, or ``None`` if nothing was stored.
    :raises ValueError: when something was stored that cannot be read: then nobody may guess.
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
    """Go on with the order on record."""
    RECOVER = "recover"
    """Find out whether the order on record was accepted; never order again without knowing."""
    REFUSE = "refuse"
    """The order on record is for something else: stop, and tell a person."""


def decide(record: Record | None, *, max_tries: int, fingerprint: str, resubmit_unknown: bool) -> Step:
    """
    Decide what this attempt does.

    :param record: what an earlier attempt left, if anything.
    :param max_tries: the task's ``max_tries`` now.
    :param fingerprint: digest of what would be ordered now.
    :param resubmit_unknown: whether the author accepts a possible second bill for an order whose outcome is unknown.
    """
    if record is None or record.max_tries != max_tries or record.state is State.FAILED:
        return Step.ORDER
    if record.state is State.INTENT:
        return Step.ORDER if resubmit_unknown else Step.RECOVER
    return Step.ATTACH if record.fingerprint == fingerprint else Step.REFUSE


def has_own_input(given: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether a URL is sent that the author did not give: of an upload, or with a tag, and so of this order alone."""
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
