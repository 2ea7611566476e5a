"""Airflow metrics of this package. Recording is cheap; sending may open files, so a triggerer sends from a thread."""

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
from airflow_provider_segmind.api.wire import Traffic
from airflow_provider_segmind.compat import live_stats

log = logging.getLogger(__name__)

SUBMITTED = "segmind.submitted"
"""Counter: accepted orders, each of which is billed; with the tag ``workflow``."""
COST = "segmind.cost"
"""
Counter: estimated price of accepted body swaps, in millionths of a US dollar (``[segmind] price_per_swap``); with the
tag ``workflow``.

A gauge would need one process that knows the sum. Counters add up over workers, and some backends accept only whole
numbers.
"""
COMPLETED = "segmind.completed"
"""Counter: jobs that ended with a result, as a task saw it; with the tag ``workflow``."""
FAILED = "segmind.failed"
"""
Counter: refused orders, and waits that ended without a result; with the tags ``workflow`` and ``reason``, the class of
the error, such as ``CreditsError``.
"""
DURATION = "segmind.duration"
"""
Timing: from a job's order until a task saw its result, in milliseconds, like Airflow's own ``task.duration``; with the
tag ``workflow``.
"""
POLLS = "segmind.polls"
"""Counter: polls for the state of a job."""
RATE_LIMITED = "segmind.rate_limited"
"""Counter: answers with status 429."""

_Tags = tuple[tuple[str, str], ...]


class Counters:
    """Events on one connection since the last report. Its methods never raise: the jobs are already paid for."""

    def __init__(self, conn_id: str, traffic: Traffic | None = None) -> None:
        self._conn_id = conn_id
        self._traffic = traffic or Traffic()
        self.counts: Counter[tuple[str, _Tags]] = Counter()
        """Counts not reported yet, by metric and tags."""
        self._durations: list[tuple[float, _Tags]] = []

    def ordered(self, workflow: str | None, dollars: float | None = None) -> None:
        """Record an accepted order and its estimated price, if known."""
        self._count(SUBMITTED, workflow=workflow)
        self._count(COST, round((dollars or 0.0) * 1e6), workflow=workflow)

    def ended(
        self, outcome: Mapping[str, Any] | SegmindError, workflow: str | None = None, submitted_at: float | None = None
    ) -> None:
        """Record a job's result or an error; ``submitted_at``: seconds since the epoch, if known."""
        if isinstance(outcome, SegmindError):
            self._count(FAILED, workflow=workflow, reason=type(outcome).__name__)
            return
        self._count(COMPLETED, workflow=workflow)
        if isinstance(submitted_at, (int, float)):  # it comes from an XCom, so it can have any type
            self._durations.append((max(0.0, time.time() - submitted_at), _tags(workflow=workflow)))

    def take(self) -> Counters:
        """Return the recorded events as new counters, for a report from another thread, and start again at zero."""
        taken = Counters(self._conn_id)
        taken.counts, taken._durations = self.counts, self._durations
        self.counts, self._durations = Counter(), []
        traffic = self._traffic.take()
        taken._count(POLLS, traffic.polls)
        taken._count(RATE_LIMITED, traffic.rate_limited)
        return taken

    def emit(self) -> None:
        """Send all recorded events to Airflow's metrics, and start again at zero. Never raises."""
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
            # The order is paid for, so a metrics failure must not fail the task.
            log.exception("Metrics could not be emitted; the task goes on.")

    def _count(self, name: str, count: int = 1, **tags: str | None) -> None:
        if count:
            self.counts[name, _tags(**tags)] += count


def outcome_of(row: Mapping[str, Any]) -> Mapping[str, Any] | SegmindError:
    """Return a row of a batch's results in the form for :meth:`Counters.ended`."""
    if row.get("image_url"):
        return row
    error = {"FAILED": JobFailedError, "EXPIRED": JobExpiredError, "COMPLETED": ServiceError}.get(row["status"])
    return (error or JobTimeoutError)(str(row.get("error")))


def emit_end(
    conn_id: str,
    outcome: Mapping[str, Any] | SegmindError,
    workflow: str | None = None,
    submitted_at: float | None = None,
) -> None:
    """Record, and send at once, the end of a job that a worker saw; see :meth:`Counters.ended`."""
    counters = Counters(conn_id)
    counters.ended(outcome, workflow, submitted_at)
    counters.emit()


def _tags(**tags: str | None) -> _Tags:
    return tuple((tag, str(value)) for tag, value in tags.items() if value)
