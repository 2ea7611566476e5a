"""
Tell Airflow's metrics what happened, under names that only this module knows.

Noting costs an addition, so it may be done in a triggerer's event loop for thousands of jobs. Telling reads files and
opens a socket the first time, so there it is done in a thread, every few seconds.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_segmind.api.errors import (
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.traffic import Traffic
from airflow_provider_segmind.compat import live_stats

log = logging.getLogger(__name__)

SUBMITTED = "segmind.submitted"
"""Counter: orders that were accepted, each a bill."""
COST = "segmind.cost"
"""
Counter: estimated price of accepted body swaps, in millionths of a US dollar.

A gauge would need one process that knows the sum. Counters add up over workers, and some backends take whole numbers
only.
"""
COMPLETED = "segmind.completed"
"""Counter: jobs that a task saw end with a result."""
FAILED = "segmind.failed"
"""Counter: orders that were refused, and waits that ended without a result; the tag ``reason`` is the error's class."""
DURATION = "segmind.duration"
"""Timing: from the order of a job until a task saw it end, in milliseconds as Airflow's own ``task.duration``."""
POLLS = "segmind.polls"
"""Counter: questions about a job."""
RATE_LIMITED = "segmind.rate_limited"
"""Counter: answers that were a 429."""

_Tags = tuple[tuple[str, str], ...]


class Tally:
    """
    What happened on one connection since it was last told. Nothing here raises: it is about what is paid for already.

    :param conn_id: the connection; a tag of every metric.
    :param traffic: counts that somebody else keeps, taken when it is told.
    """

    def __init__(self, conn_id: str, traffic: Traffic | None = None) -> None:
        self._conn_id = conn_id
        self._traffic = traffic or Traffic()
        self.counts: Counter[tuple[str, _Tags]] = Counter()
        """What is noted and not told, by metric and tags."""
        self._durations: list[tuple[float, _Tags]] = []

    def ordered(self, workflow: str | None, dollars: float | None = None) -> None:
        """
        Note an accepted order.

        :param workflow: which workflow.
        :param dollars: estimated price, a finite number, or ``None`` where none is known.
        """
        self._count(SUBMITTED, workflow=workflow)
        self._count(COST, round((dollars or 0.0) * 1e6), workflow=workflow)

    def ended(
        self, outcome: Mapping[str, Any] | SegmindError, workflow: str | None = None, submitted_at: float | None = None
    ) -> None:
        """
        Note that a job was seen to end, or that there was none.

        :param outcome: the task's result, or the error instead.
        :param workflow: which workflow, if known.
        :param submitted_at: seconds since the epoch at which it was ordered, if known.
        """
        if isinstance(outcome, SegmindError):
            self._count(FAILED, workflow=workflow, reason=type(outcome).__name__)
            return
        self._count(COMPLETED, workflow=workflow)
        if isinstance(submitted_at, (int, float)):  # it comes from an XCom, so from anywhere
            self._durations.append((max(0.0, time.time() - submitted_at), _tags(workflow=workflow)))

    def take(self) -> Tally:
        """Return what was noted, and begin anew, so that it can be told in another thread."""
        taken = Tally(self._conn_id)
        taken.counts, taken._durations = self.counts, self._durations
        self.counts, self._durations = Counter(), []
        traffic = self._traffic.take()
        taken._count(POLLS, traffic.polls)
        taken._count(RATE_LIMITED, traffic.rate_limited)
        return taken

    def tell(self) -> None:
        """Give everything noted to Airflow's metrics, and begin anew; it raises nothing."""
        taken = self.take()
        if not taken.counts and not taken._durations:
            return
        try:
            stats = live_stats()
            if stats is None:
                return
            for (name, tags), count in taken.counts.items():
                stats.incr(name, count, tags={"connection": self._conn_id, **dict(tags)})
            for seconds, tags in taken._durations:
                stats.timing(DURATION, timedelta(seconds=seconds), tags={"connection": self._conn_id, **dict(tags)})
        except Exception:
            # What is ordered is paid for, whether or not anybody counts it.
            log.exception("Metrics could not be told; the task goes on.")

    def _count(self, name: str, count: int = 1, **tags: str | None) -> None:
        if count:
            self.counts[name, _tags(**tags)] += count


def outcome_of(row: Mapping[str, Any]) -> Mapping[str, Any] | SegmindError:
    """
    Return what became of one swap of a batch, as :meth:`Tally.ended` takes it.

    :param row: a row of the batch's results.
    """
    if row.get("image_url"):
        return row
    error = {"FAILED": JobFailedError, "EXPIRED": JobExpiredError, "COMPLETED": ServiceError}.get(row["status"])
    return (error or JobTimeoutError)(str(row.get("error")))


def tell_end(
    conn_id: str,
    outcome: Mapping[str, Any] | SegmindError,
    workflow: str | None = None,
    submitted_at: float | None = None,
) -> None:
    """Tell, on a worker, that a job was seen to end; see :meth:`Tally.ended`."""
    tally = Tally(conn_id)
    tally.ended(outcome, workflow, submitted_at)
    tally.tell()


def _tags(**tags: str | None) -> _Tags:
    return tuple((tag, str(value)) for tag, value in tags.items() if value)
