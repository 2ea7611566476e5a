"""Bills, jobs and uploads as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_segmind.emulator.faults import Failure

Status = Literal["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]

_QUEUED_SHARE = 0.2


@dataclass(frozen=True)
class Charge:
    """
    One bill: one accepted submit.

    :param request_id: The job that was paid for.
    :param at: Seconds since the epoch.
    :param amount: US dollars.
    :param workflow: The workflow's id.
    :param inputs: The inputs as sent.
    :param defaulted: Inputs that were not sent, so that the job used the vendor's demo values.
    :param ignored: Inputs that were sent but that the workflow does not know.
    """

    request_id: str
    at: float
    amount: float
    workflow: str
    inputs: Mapping[str, Any]
    defaulted: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobView:
    """
    A job at one moment.

    :param request_id: Its id.
    :param workflow: The workflow's id.
    :param inputs: The inputs as sent.
    :param status: ``QUEUED``, ``PROCESSING``, ``COMPLETED`` or ``FAILED``.
    :param polls: Polls answered with a status so far.
    :param created: Acceptance in seconds since the epoch.
    :param ended: End in seconds since the epoch, or None.
    :param expired: Whether polls now answer 404.
    :param picture: Name of its output file.
    """

    request_id: str
    workflow: str
    inputs: Mapping[str, Any]
    status: Status
    polls: int
    created: float
    ended: float | None
    expired: bool
    picture: str


@dataclass(slots=True)
class Job:
    """One accepted submit; its status follows from the clock and the polls, so a waiting job needs no timer."""

    request_id: str
    workflow: str
    inputs: dict[str, Any]
    created: float
    seconds: float
    polls_wanted: int
    picture: str
    cost: float = 0.0
    polls: int = 0
    last_pending: float = 0.0
    failure: Failure | None = None
    failed_at: float | None = None
    is_lost: bool = False
    is_announced: bool = False

    def progress(self, now: float) -> float:
        """Return the progress; 1 or more means ended."""
        if self.failed_at is not None:
            return 1.0
        by_time = (now - self.created) / self.seconds if self.seconds > 0 else 1.0
        by_polls = self.polls / self.polls_wanted if self.polls_wanted > 0 else 1.0
        return min(by_time, by_polls)

    def status(self, now: float) -> Status:
        """Return the status."""
        progress = self.progress(now)
        if progress < _QUEUED_SHARE:
            return "QUEUED"
        if progress < 1:
            return "PROCESSING"
        return "FAILED" if self.failure else "COMPLETED"

    def ended(self, now: float) -> float | None:
        """Return when the job ended; None while it runs."""
        if self.progress(now) < 1:
            return None
        if self.failed_at is not None:
            return self.failed_at
        return max(self.created + self.seconds, self.last_pending)


@dataclass(frozen=True, slots=True)
class Asset:
    """An uploaded file."""

    data: bytes
    media_type: str
