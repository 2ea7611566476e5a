"""Outcomes of a batch's orders: in words, as result rows, and as the exception for the task."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.errors import InvalidRequestError, JobExpiredError, SegmindError
from airflow_provider_segmind.api.memory import Reuse
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.batch.files import FAILED, NOT_ORDERED, UNFINISHED, UNKNOWN, BatchFiles, Row, own
from airflow_provider_segmind.batch.ordering import Ordering, find_out
from airflow_provider_segmind.batch.plan import Plan
from airflow_provider_segmind.batch.waits import handles_of
from airflow_provider_segmind.compat import AirflowFailException, AirflowTaskTimeout
from airflow_provider_segmind.failures import ChangedError, paid_error, task_error
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)

Ended = Exception | AirflowTaskTimeout
"""An exception that ends a task; Airflow's timeout is not an ``Exception``."""

PAUSES = (1.0, 4.0, 10.0, 20.0, 40.0)
"""Seconds between attempts to write what is paid for; they survive a storage outage of a minute."""
NAMED = 20
"""Request ids in an error message; the log has all."""


def patiently(write: Callable[[], None]) -> None:
    """Call a function that writes records of paid orders; on failure, retry for a minute before raising."""
    for pause in PAUSES:
        try:
            return write()
        except Exception as error:  # noqa: BLE001 - storage backends raise any type
            log.warning("The batch's files cannot be written; trying again in %.0f s. %s", pause, error)
            time.sleep(pause)
    return write()


def begun(plan: Plan, files: BatchFiles) -> tuple[dict[int, Row], dict[int, Row]]:
    """Check that results can be written, and return those of earlier attempts: what ended, and what truly FAILED."""
    swaps, ended, failed = plan.rows(), {}, {}

    def begin() -> None:
        nonlocal ended, failed
        files.check(swaps)
        done = own(swaps, files.standing())
        ended = {index: row for index, row in done.items() if row["status"] != FAILED}
        failed = confirmed_failed(plan, done)
        # Without the rows that are not confirmed: the trigger would take them for results.
        files.compact([*ended.values(), *failed.values()])

    try:
        if plan.paid:
            patiently(begin)
        else:
            begin()
    except InvalidRequestError as error:
        error.retryable = plan.paid
        raise
    return ended, failed


def confirmed_failed(plan: Plan, done: Mapping[int, Row]) -> dict[int, Row]:
    """
    Return the rows of swaps that may be ordered again, as Segmind itself says now that their jobs FAILED.

    A row is data: others may write beside the results. What is not confirmed is waited for again.
    """

    def is_confirmed(index: int) -> bool:
        entry = plan.ledger.entries.get(index)
        if entry is None or not entry.known:
            return True
        try:
            job = plan.hook.get_job(entry.poll_url)
        except JobExpiredError:
            return True
        except SegmindError as error:
            log.warning("Whether request %s FAILED cannot be asked now; it is waited for: %s", entry.request_id, error)
            return False
        return job.done and job.status == FAILED

    return {index: row for index, row in done.items() if row["status"] == FAILED and is_confirmed(index)}


def paid_batch_error(
    context: Context, error: Ended, entries: Mapping[int, OrderRecord], workflow: str, how: Reuse
) -> Exception | AirflowTaskTimeout:
    """
    Return the exception for a task that may have ordered, and name every paid order.

    :param how: what the author says about pictures that are paid for already.
    """
    # The log has each request id; the XCom ``ordered`` has the handles, with which a sensor can fetch the results.
    if isinstance(error, AirflowFailException):
        return error
    kept = OrderStore(context).durable
    paid = [request_id for entry in entries.values() for request_id in entry.ordered]
    pending = [entry for entry in entries.values() if entry.pending]
    if not paid and not pending:
        return task_error(error) if isinstance(error, SegmindError) else error
    for first in range(0, len(paid), 50):
        log.warning("Ordered and paid for: %s", ", ".join(paid[first : first + 50]))
    try:
        context["ti"].xcom_push(key="ordered", value=handles_of(entries, workflow))
    except Exception:  # must not hide the original error
        log.exception("The XCom 'ordered' could not be pushed.")
    more = f" and {len(paid) - NAMED} more, which the log names" if len(paid) > NAMED else ""
    named = f"{len(paid)} orders are accepted and paid for: {', '.join(paid[:NAMED]) or 'none is known'}{more}."
    if pending:
        ids = sorted({request_id for entry in pending for request_id in entry.candidates})
        named += f" {len(pending)} more were being sent, and are to be looked up{': ' * bool(ids)}{', '.join(ids)}."
    if kept:
        for_good = isinstance(error, ChangedError) and not error.retryable
        if not for_good:
            named += " A retry resumes them."
        named += _after_a_clear(entries, how)
    if isinstance(error, SegmindError):
        error.message = f"{error.message} {named}"
    elif isinstance(error, AirflowTaskTimeout) and kept:
        return AirflowTaskTimeout(f"{error} {named}")
    else:
        error = SegmindError(f"{type(error).__name__}: {error}. {named}")
    instead = "Their handles are the XCom 'ordered', for a sensor. Order the others in a run of their own."
    return paid_error(error, kept=kept, how=instead)


def _after_a_clear(entries: Mapping[int, OrderRecord], how: Reuse) -> str:
    """Return what a clear pays for, as a sentence with a leading space."""
    if how.refresh or not all(entry.claim for entry in entries.values() if entry.ordered or entry.pending):
        return (
            " Clearing the task orders, and pays for, all of them again. To keep them, take their handles before: the "
            "XCom 'ordered', for a sensor. Then order the others in a run of their own."
        )
    but = [
        *(["what it said nobody knows the outcome of"] if any(entry.pending for entry in entries.values()) else []),
        *([f"pictures that are then older than reuse_max_age ({how.max_age:g} s)"] if how.max_age is not None else []),
    ]
    anew = f", but orders anew {' and '.join(but)}" if but else ""
    return f" The memory of swaps has them: clearing the task does not pay for them again{anew}."


def failure(ordering: Ordering, said: str) -> SegmindError:
    """Return the exception for a batch in which some swaps could not be ordered."""
    why = _why(ordering)
    error = SegmindError(f"{said} {reason(ordering)}")
    error.retryable = why.retryable if isinstance(why, SegmindError) else True
    return error


def reason(ordering: Ordering) -> str:
    """Return why some swaps could not be ordered."""
    why = _why(ordering)
    return f"{type(why).__name__}: {why}"


def _why(ordering: Ordering) -> Exception:
    return ordering.stopped or next(iter(ordering.errors.values()))


def problem_rows(plan: Plan, ordering: Ordering) -> dict[int, Row]:
    """Return a result row for each swap that was not, or only possibly, ordered."""
    rows: dict[int, Row] = {}
    for swap in plan.swaps:
        entry = plan.ledger.entries.get(swap.index)
        if entry is not None and entry.known:
            continue
        error = ordering.errors.get(swap.index) or ordering.stopped
        pending = entry is not None and entry.pending
        rows[swap.index] = {
            "index": swap.index,
            "request_id": None,
            "status": UNKNOWN if pending else NOT_ORDERED,
            "error": None if error is None else str(error),
        }
    return rows


def unplanned_error(
    context: Context, error: Ended, workflow: str, how: Reuse, connect: Callable[[], SharedConnection]
) -> Exception | AirflowTaskTimeout:
    """Return the exception for a task that failed to plan, and name every order that earlier attempts paid for."""
    # It also looks up orders of unknown outcome, and waits for the history if no attempt follows.
    store, ti = OrderStore(context), context["ti"]
    max_tries = int(getattr(ti, "max_tries", 0))
    if any(entry.pending for entry in store.entries_to_resume(max_tries).values()):
        for_good = isinstance(error, ChangedError) and not error.retryable
        last = for_good or getattr(ti, "try_number", 1) > max_tries
        try:
            asyncio.run(find_out(connect(), store, workflow, patient=last))
        except Exception as why:  # noqa: BLE001 - must not hide the original error
            log.warning("What an earlier attempt was sending could not be looked up: %s", why)
    return paid_batch_error(context, error, store.entries_to_resume(max_tries), workflow, how)


def in_words(summary: Mapping[str, Any]) -> str:
    """Return the counts of a batch in words."""
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary["by_status"].items()))
    return f"{summary['completed']} of {summary['total']} have their picture ({counts})"


def missing_error(
    summary: Mapping[str, Any], results_uri: str, max_failures: float, *, durable: bool
) -> tuple[Exception, bool]:
    """Return the error for a batch with too many missing pictures, and whether to raise it as it is."""
    said = f"{in_words(summary)}; max_failures is {max_failures:g}. What became of each is in {shown(results_uri)}"
    if not summary["by_status"].keys() & {FAILED, UNFINISHED, NOT_ORDERED, UNKNOWN}:
        return AirflowFailException(f"Too many swaps are without a picture, and a retry cannot help: {said}."), True
    kept = durable or summary["by_status"].keys() <= {NOT_ORDERED}
    rest = " A retry orders and asks for those only." if kept else ""
    return SegmindError(f"Too many swaps are without a picture: {said}.{rest}"), kept
