"""
How long to wait for a job, and what each answer about it means: counted in time, never in a number of errors.

Every job that is waited for is paid for. So an outage is waited out until the wait's own deadline, and a job is not
gone because one answer says so.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_provider_segmind.api.answers import id_in
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobExpiredError,
    JobTimeoutError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import RUNNING, Job

log = logging.getLogger(__name__)

WAITED_OUT = (RateLimitError, ServiceError, TransportError, JobExpiredError)
"""What does not end a wait by itself; a :class:`Watch` knows when it does."""

GONE_AFTER = 90.0
"""
Seconds of 404s, and of nothing else, after which a job is believed to be gone.

A new order may not be known everywhere at once, and during a deployment one server may not know a job that runs. A
minute of that must lose nothing, and a job that is really gone is to be named within two. It is counted from the first
404 and not from the order: the time of an order is another machine's.
"""
GONE_ASKS = 3
"""404s in a row that it takes at least, however rarely a job is asked for."""
MOST_SECONDS = 1e9
"""Seconds that a setting may have: some thirty years, which dates can still be added to."""
GONE_STEP = 30.0
"""Seconds between two questions about a job that answers 404, at most."""


@dataclass(frozen=True)
class Pace:
    """
    How errors are waited out.

    :param first: seconds before the second try.
    :param limit: seconds that a single pause never exceeds.
    :param jitter: source of random numbers in [0, 1).
    """

    first: float = 1.0
    limit: float = 30.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def backoff(self, errors: int) -> float:
        """Return the seconds to pause after so many errors in a row: doubling, with jitter of a quarter."""
        return float(min(self.first * 2 ** min(errors - 1, 16), self.limit) * (0.75 + 0.5 * self.jitter()))

    def after_429(self, error: RateLimitError, hits: int) -> float:
        """Return the seconds to pause after a 429: what the service asks for, else a backoff of its own."""
        if error.retry_after is None:
            return self.backoff(hits + 2)
        return error.retry_after + self.jitter()


PACE = Pace()


class _Trouble:
    """What has gone wrong since the last good answer; most waits never have one."""

    __slots__ = ("began", "errors", "kind", "since")

    def __init__(self, at: float) -> None:
        self.began = at
        self.kind = "down"
        self.since = at
        self.errors = 0

    def add(self, at: float, kind: str) -> float:
        """Count an error, and return the seconds for which there have been errors of its kind only."""
        if kind != self.kind:
            self.kind, self.since, self.errors = kind, at, 0
        self.errors += 1
        return at - self.since


class Said:
    """What the log says of errors: once, for all jobs that one task waits for."""

    __slots__ = ("_began", "_kinds", "_limited_at", "_over_at", "_polls")

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._began = self._polls = 0.0
        self._over_at = self._limited_at = -math.inf

    def failed(self, asked_at: float, kind: str, text: str, about: object) -> None:
        """Count a failed poll, and say so if it is the first of its kind; one from before the end is no new outage."""
        if asked_at <= self._over_at:
            return
        if not self._kinds:
            self._began, self._polls = asked_at, 0
        self._polls += 1
        if kind not in self._kinds:
            self._kinds.add(kind)
            log.warning(text, about)

    def limited(self, asked_at: float, error: RateLimitError) -> None:
        """Say that there are 429s, once in a minute."""
        if asked_at - self._limited_at >= 60.0:
            log.info("Segmind answers 429, which is waited out: %s", error)
        self._limited_at = asked_at

    def over(self, asked_at: float) -> None:
        """Say that Segmind answers again, if it was said that it does not."""
        if self._kinds:
            self._kinds.clear()
            self._over_at = asked_at
            seconds, s = max(0.0, asked_at - self._began), "s" * (self._polls > 1)
            log.info("Segmind answers again after %.0f s and %d failed poll%s.", seconds, self._polls, s)


class Watch:
    """
    One job that is waited for, and what each answer about it means.

    :param poll_url: where it is asked for.
    :param deadline: seconds since the epoch; whoever asks after it has had the last look.
    :param interval: seconds between polls.
    :param max_outage: seconds of an outage after which its last error is raised; ``None`` for until the deadline.
    :param pace: how errors are waited out.
    :param said: what the log says of errors, where a task waits for several jobs.
    """

    # A triggerer has one of these for each of thousands of jobs.
    __slots__ = ("_pace", "_refusals", "_said", "_status", "_trouble", "deadline", "interval", "max_outage", "poll_url")

    def __init__(
        self,
        poll_url: str,
        deadline: float,
        *,
        interval: float = 7.0,
        max_outage: float | None = None,
        pace: Pace = PACE,
        said: Said | None = None,
    ) -> None:
        self.poll_url = poll_url
        self.deadline = deadline
        self.interval = interval
        self.max_outage = max_outage
        self._pace = pace
        self._said = said
        self._refusals = 0
        self._status = ""
        self._trouble: _Trouble | None = None

    @property
    def _log(self) -> Said:
        self._said = self._said or Said()  # most waits never need one
        return self._said

    @property
    def doubted(self) -> bool:
        """Whether the last answer, such as a 404, is not believed yet."""
        return self._trouble is not None and self._trouble.kind != "down"

    def answered(self, job: Job, asked_at: float) -> bool:
        """
        Take an answer into account, and return whether the job is done.

        :raises JobTimeoutError: when it is not, and this was the last look.
        """
        if job.doubtful and not self._believed(asked_at):
            if asked_at >= self.deadline:
                raise timed_out(self.poll_url, f"its status is {job.status}, in an answer that may be of another job")
            return False
        trouble, self._trouble, self._refusals = self._trouble, None, 0
        if trouble is not None:
            self._log.over(asked_at)
        if job.done or job.doubtful:
            return True
        if asked_at >= self.deadline:
            raise timed_out(self.poll_url, f"its status is {job.status}")
        if job.status not in RUNNING and job.status != self._status:
            log.warning("Segmind: status %r is new to this package; waiting on", job.status)
        self._status = job.status
        return False

    def failed(self, error: SegmindError, asked_at: float) -> float:
        """
        Take an error of :data:`WAITED_OUT` into account, and return the seconds to wait before asking again.

        :raises JobExpiredError: when 404s, and nothing else, have come for so long that the job is gone.
        :raises JobTimeoutError: when this was the last look.
        :raises SegmindError: the error, when the outage has lasted longer than it may. A 429 is a pace and no outage.
        """
        # What ends a wait names the job that was paid for, also where no answer did.
        error.request_id = error.request_id or id_in(self.poll_url)
        if isinstance(error, RateLimitError):
            self._refusals += 1
            seconds = self._pace.after_429(error, self._refusals)
            self._log.limited(asked_at, error)
        elif isinstance(error, JobExpiredError):
            seconds = self._gone(error, asked_at)
        else:
            seconds = self._down(error, asked_at)
        if asked_at >= self.deadline:
            raise timed_out(self.poll_url, str(error)) from error
        return seconds

    def _believed(self, asked_at: float) -> bool:
        trouble = self._trouble = self._trouble or _Trouble(asked_at)
        text = "The answer for %s may be of another job. It is asked for again."
        self._log.failed(asked_at, "doubt", text, self.poll_url)
        return trouble.add(asked_at, "doubt") >= GONE_AFTER and trouble.errors >= GONE_ASKS

    def _gone(self, error: SegmindError, asked_at: float) -> float:
        trouble = self._trouble = self._trouble or _Trouble(asked_at)
        text = "Segmind does not know %s (404). It is asked for again before that is believed."
        self._log.failed(asked_at, "gone", text, self.poll_url)
        left = GONE_AFTER - trouble.add(asked_at, "gone")
        if left <= 0 and trouble.errors >= GONE_ASKS:
            raise error
        return min(self.interval, GONE_STEP, left if left > 0 else GONE_STEP)

    def _down(self, error: SegmindError, asked_at: float) -> float:
        trouble = self._trouble = self._trouble or _Trouble(asked_at)
        text = "Segmind does not answer. It is asked again until it does, or until the timeout: %s"
        self._log.failed(asked_at, "down", text, error)
        trouble.add(asked_at, "down")
        lasted = asked_at - trouble.began  # a 404 in between is no good answer
        # An error is no reason to ask sooner than a good answer would be.
        seconds = max(self._pace.backoff(trouble.errors), self.interval)
        if self.max_outage is None:
            return seconds
        if lasted >= self.max_outage:
            raise error
        return min(seconds, self.max_outage - lasted)


def check_interval(name: str, value: object) -> float:
    """
    Return the seconds if they are a number above 0, or a ``timedelta`` of that.

    :raises InvalidRequestError: when they are not.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= MOST_SECONDS:
        return float(seconds)
    raise InvalidRequestError(
        f"{name} is {value!r}: give seconds above 0, at most {MOST_SECONDS:.0f}, as a number or a timedelta."
    )


def check_outage(value: object) -> float | None:
    """
    Return the value of ``max_outage`` in seconds; ``None`` is for until the timeout.

    :raises InvalidRequestError: when it is neither.
    """
    return None if value is None else check_interval("max_outage", value)


def timed_out(poll_url: str, why: str) -> JobTimeoutError:
    """Return the error for a job that is not done in time; ``why`` says how it was last seen."""
    return JobTimeoutError(
        f"The deadline passed and the job is not done ({why}). It cannot be cancelled: it may still finish and is "
        f"billed if it does. Its result can then be asked for at {poll_url}",
        request_id=id_in(poll_url),
    )
