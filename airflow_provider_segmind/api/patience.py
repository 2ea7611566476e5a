"""
How long to wait for a job, and what each answer means: limits are times, never error counts.

Every job is already paid for. So an outage is waited out until the deadline, and one 404 does not end a wait.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_segmind.api.answers import id_in
from airflow_provider_segmind.api.errors import (
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
"""Errors that do not end a wait by themselves; :class:`Watch` decides when they do."""

GONE_AFTER = 90.0
"""
Seconds of 404s, without any other answer, after which a job counts as gone.

A new order may not be known on every server at once, and during a deployment one server may not know a running job: a
minute of 404s must lose nothing, and a job that is gone must be reported within two. The time counts from the first
404, since another machine may have set the order's time.
"""
GONE_ASKS = 3
"""Fewest 404s in a row, however rarely a job is polled."""
GONE_STEP = 30.0
"""Longest pause in seconds between polls of a job that answers 404."""


@dataclass(frozen=True)
class Pace:
    """
    Pauses after errors.

    :param first: seconds before the second try.
    :param limit: longest pause in seconds.
    :param jitter: source of random numbers in [0, 1).
    """

    first: float = 1.0
    limit: float = 30.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def backoff(self, errors: int) -> float:
        """Return the pause in seconds after this many errors in a row: doubling, with 25 % jitter."""
        return float(min(self.first * 2 ** min(errors - 1, 16), self.limit) * (0.75 + 0.5 * self.jitter()))

    def after_429(self, error: RateLimitError, hits: int) -> float:
        """Return the pause in seconds after a 429: the service's ``Retry-After``, else a backoff."""
        if error.retry_after is None:
            return self.backoff(hits + 2)
        return error.retry_after + self.jitter()


PACE = Pace()


class _Trouble:
    """The errors since the last good answer; most waits have none."""

    __slots__ = ("began", "errors", "kind", "since")

    def __init__(self, at: float) -> None:
        self.began = at
        self.kind = "down"
        self.since = at
        self.errors = 0

    def add(self, at: float, kind: str) -> float:
        """Count an error, and return for how many seconds there were only errors of this kind."""
        if kind != self.kind:
            self.kind, self.since, self.errors = kind, at, 0
        self.errors += 1
        return at - self.since


class Said:
    """Logs errors once for all jobs that one task waits for."""

    __slots__ = ("_began", "_kinds", "_limited_at", "_over_at", "_polls")

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._began = self._polls = 0.0
        self._over_at = self._limited_at = -math.inf

    def failed(self, asked_at: float, kind: str, text: str, about: object) -> None:
        """Count a failed poll, and log the first of its kind; ignore polls sent before the last outage ended."""
        if asked_at <= self._over_at:
            return
        if not self._kinds:
            self._began, self._polls = asked_at, 0
        self._polls += 1
        if kind not in self._kinds:
            self._kinds.add(kind)
            log.warning(text, about)

    def limited(self, asked_at: float, error: RateLimitError) -> None:
        """Log a 429, unless another came within the last minute."""
        if asked_at - self._limited_at >= 60.0:
            log.info("Segmind answers 429, which is waited out: %s", error)
        self._limited_at = asked_at

    def over(self, asked_at: float) -> None:
        """Log that Segmind answers again, if an outage was logged."""
        if self._kinds:
            self._kinds.clear()
            self._over_at = asked_at
            seconds, s = max(0.0, asked_at - self._began), "s" * (self._polls > 1)
            log.info("Segmind answers again after %.0f s and %d failed poll%s.", seconds, self._polls, s)


class Watch:
    """
    One job that a task waits for; evaluates each answer about it.

    :param deadline: seconds since the epoch; a poll sent after it is the last.
    :param interval: seconds between polls.
    :param max_outage: seconds of an outage before its last error is raised; ``None``: wait until the deadline.
    :param said: error log shared by all jobs of one task.
    """

    # A triggerer has one Watch per job, for thousands of jobs.
    __slots__ = (
        "_pace",
        "_refusals",
        "_said",
        "_status",
        "_trouble",
        "ahead",
        "deadline",
        "interval",
        "max_outage",
        "poll_url",
    )

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
        self.ahead = 0.0

    def _is_last(self, asked_at: float) -> bool:
        # Only the deadline is another machine's time. How long trouble lasts is measured by this machine's clock alone.
        return asked_at - self.ahead >= self.deadline

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
        Evaluate an answer, and return whether the job is done.

        :raises JobTimeoutError: if it is not done and the deadline has passed.
        """
        if job.doubtful and not self._believed(asked_at):
            if self._is_last(asked_at):
                raise timed_out(self.poll_url, f"its status is {job.status}, in an answer that may be of another job")
            return False
        trouble, self._trouble, self._refusals = self._trouble, None, 0
        if trouble is not None:
            self._log.over(asked_at)
        if job.done or job.doubtful:
            return True
        if self._is_last(asked_at):
            raise timed_out(self.poll_url, f"its status is {job.status}")
        if job.status not in RUNNING and job.status != self._status:
            log.warning("Segmind: status %r is new to this package; waiting on", job.status)
        self._status = job.status
        return False

    def failed(self, error: SegmindError, asked_at: float) -> float:
        """
        Evaluate an error of :data:`WAITED_OUT`, and return the seconds until the next poll.

        :raises JobExpiredError: if only 404s came for so long that the job is gone.
        :raises JobTimeoutError: if the deadline has passed.
        :raises SegmindError: the error itself, if the outage lasted longer than allowed. A 429 is no outage.
        """
        # The error names the paid job even if no answer did.
        error.request_id = error.request_id or id_in(self.poll_url)
        if isinstance(error, RateLimitError):
            self._refusals += 1
            seconds = self._pace.after_429(error, self._refusals)
            self._log.limited(asked_at, error)
        elif isinstance(error, JobExpiredError):
            seconds = self._gone(error, asked_at)
        else:
            seconds = self._down(error, asked_at)
        if self._is_last(asked_at):
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
        lasted = asked_at - trouble.began  # a 404 in between does not end the outage
        # After an error, never poll sooner than after a good answer.
        seconds = max(self._pace.backoff(trouble.errors), self.interval)
        if self.max_outage is None:
            return seconds
        if lasted >= self.max_outage:
            raise error
        return min(seconds, self.max_outage - lasted)


def timed_out(poll_url: str, why: str) -> JobTimeoutError:
    """Return the error for a job that is not done in time; ``why`` says how it was last seen."""
    return JobTimeoutError(
        f"The deadline passed and the job is not done ({why}). It cannot be cancelled: it may still finish and is "
        f"billed if it does. To fetch its result, clear this sensor, which costs nothing, or let the task that ordered "
        f"it retry. A longer timeout prevents this. Its result can be asked for at {poll_url}",
        request_id=id_in(poll_url),
    )
