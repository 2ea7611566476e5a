"""What became of a batch's orders: in words, as rows of its results, and as what its task raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.hooks.batch_files import NOT_ORDERED, UNKNOWN, Row
from airflow_provider_segmind.hooks.compat import AirflowFailException
from airflow_provider_segmind.operators.batch_ordering import Ordering
from airflow_provider_segmind.operators.batch_plan import Plan


def failure(ordering: Ordering, said: str) -> Exception:
    """Return what the task raises: for good where a retry cannot help, or would bill."""
    why, message = _why(ordering), f"{said} {reason(ordering)}"
    if isinstance(why, SegmindError) and not why.retryable:
        return AirflowFailException(message)
    return SegmindError(message)


def reason(ordering: Ordering) -> str:
    """Return why not all could be ordered."""
    why = _why(ordering)
    return f"{type(why).__name__}: {why}"


def _why(ordering: Ordering) -> Exception:
    return ordering.stopped or next(iter(ordering.errors.values()))


def problem_rows(plan: Plan, ordering: Ordering) -> dict[int, Row]:
    """Return a result for each swap that was not ordered, or perhaps was."""
    rows: dict[int, Row] = {}
    for swap in plan.swaps:
        entry = plan.book.entries.get(swap.index)
        if entry is not None and entry.known:
            continue
        error = ordering.errors.get(swap.index) or ordering.stopped
        rows[swap.index] = {
            "index": swap.index,
            "request_id": None,
            "status": NOT_ORDERED if entry is None else UNKNOWN,
            "error": None if error is None else str(error),
        }
    return rows


def in_words(summary: Mapping[str, Any]) -> str:
    """Return a batch's counts."""
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary["by_status"].items()))
    return f"{summary['completed']} of {summary['total']} have their picture ({counts})"
