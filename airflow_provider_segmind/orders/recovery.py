"""Find out what became of an order whose outcome is not known: by the request history, or by the memory of swaps."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.ends import ended
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    JobTimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.memory import accepted, given_up
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.patience import WAITED_OUT
from airflow_provider_segmind.api.remembered import CLAIMED, DONE, FAILED, LOST, SwapRecord
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import (
    MAX_TEXT,
    Remembering,
    ask,
    is_of_another,
    job_of,
    keep,
    recalled,
)

log = logging.getLogger(__name__)

MAY_PASS = (RateLimitError, ServiceError, TransportError, JobTimeoutError, AuthenticationError)
"""Errors that a later attempt may not meet; also a wrong key, which can be corrected."""
SOON = 5.0
"""Seconds after an order within which its job is waited for without a look at it first."""
SHARED = (
    "Request %s is the only one with these inputs at that time. Another order with the same inputs may own it as "
    "well: then both get its result, and this one's own charge, if there is one, is not in the history yet."
)
"""Log text for an order adopted by inputs that another order can share."""


@dataclass(frozen=True)
class Recovery:
    """
    Outcome of a search for an order of unknown outcome: its job, or what is known instead.

    :param lost: the only job that it can be, if Segmind has forgotten it.
    """

    job: Job | None
    note: str = ""
    out_of_reach: bool = False
    candidates: Sequence[str] = ()
    lost: Job | None = None


def recover(hook: SegmindHook, record: OrderRecord) -> Recovery:
    """Search the account's history for the one job that can be this order."""
    try:
        # Another order of the same swap has the same inputs, and can be of the same minute.
        found = [job for job in hook.find_orders(record) if not is_of_another(job.request_id, record.claim)]
    except MAY_PASS as error:
        return _unrecovered(f"The request history did not answer now: {error}", record.candidates, out_of_reach=True)
    except SegmindError as error:
        # No status means no request was sent: a wrong connection can be corrected.
        unasked = isinstance(error, InvalidRequestError) and error.status is None
        return _unrecovered(f"The request history could not help: {error}", record.candidates, out_of_reach=unasked)
    ids = [job.request_id for job in found]
    if not found:
        said = "The request history has no request with these inputs at that time, which does not prove anything."
        return _unrecovered(said, record.candidates)
    if len(found) > 1:
        return _unrecovered("The request history has several requests with these inputs at that time.", ids)
    try:
        job = hook.attach(found[0].poll_url)
    except MAY_PASS as error:
        # The order exists. The wait survives an outage and holds no worker.
        log.warning("Request %s does not answer yet, and is waited for: %s", ids[0], error)
        job = found[0]
    except SegmindError as error:
        known = _unrecovered(f"The request that the history has cannot be asked for: {error}", ids)
        return replace(known, lost=found[0] if isinstance(error, JobExpiredError) else None)
    log.warning("The order's answer was lost; the request history has it as request %s.", job.request_id)
    if not (record.own or record.request_id):
        log.warning(SHARED, job.request_id)
    return Recovery(replace(job, workflow=record.workflow, submitted_at=record.at), candidates=ids)


def _unrecovered(said: str, ids: Sequence[str], *, out_of_reach: bool = False) -> Recovery:
    return Recovery(None, said + can_be(ids), out_of_reach, ids)


def unknown_error(record: OrderRecord, recovery: Recovery, other: str | None = None) -> OutcomeUnknownError:
    """Return the error of an order of unknown outcome; ``other`` names the task, if it is not this one."""
    who, whose = (f"Another task ({other})", "that") if other else ("An earlier attempt of this task", "the")
    if recovery.out_of_reach and record.claim:
        then = (
            f"A retry looks again, and so does a clear of {whose} task. With on_unknown_outcome='resubmit' it is sent "
            "again, which may pay a second time."
        )
    else:
        # With a memory, the task that claimed the order orders anew only if it has said so before: see `recall`.
        anew = "orders anew if it has failed with these words before" if other else "orders anew"
        then = (
            f"Look there yourself; then clear {whose} task, which {anew}, or set on_unknown_outcome='resubmit': either "
            "may pay a second time."
        )
    error = OutcomeUnknownError(
        f"{who} ended while it ordered workflow {record.workflow} at {moment(record.at)}, "
        f"so the order may have been accepted and billed. It is not sent again. {recovery.note} {then}"
    )
    # The next attempt finds the same intent, so it only looks again and never orders.
    error.retryable = recovery.out_of_reach
    return error


def can_be(candidates: Sequence[str]) -> str:
    """Return a sentence, with a leading space, that names the candidate requests; empty if there are none."""
    return f" It can be: {', '.join(candidates)}." if candidates else ""


def recall(hook: SegmindHook, memory: Remembering, record: SwapRecord) -> Job | None:
    """
    Return the job of an order that stands in the memory; ``None`` if it stands no more, and the memory says so now.

    :raises OutcomeUnknownError: nobody knows whether it was accepted.
    """
    if record.state == DONE:
        return job_of(memory.store, record)
    if record.state == CLAIMED:
        recovery = recover(hook, record.order)
        own = memory.is_of_this_task(record)
        if recovery.lost is not None:
            _note_lost(memory, record, recovery.lost, recovery.note)
            return None
        if recovery.job is None and memory.is_decided(record) and not recovery.out_of_reach:
            log.warning("A person has cleared this task after it had failed: it orders anew. %s", record.error)
            memory.store.run(given_up(record.name, record.owner))
            return None
        if recovery.job is None and memory.resubmit:
            log.warning(
                "%s was sending this order, and nobody knows its outcome; it is ordered again as "
                "on_unknown_outcome='resubmit' says. %s",
                *(record.whose, recovery.note),
            )
            memory.passed.add(record.name)
            return None
        if recovery.job is None:
            unknown = unknown_error(record.order, recovery, None if own else record.whose)
            note_doubted(memory, record.order, unknown)
            raise unknown
        job = replace(recovery.job, reused=True)
        try:
            memory.store.run(accepted(record.name, record.owner, record.order.submitted(job)))
        except SegmindError as error:
            log.warning("The memory does not know yet that request %s is ordered: %s", job.request_id, error)
        return job
    if time.time() - record.order.at < SOON:
        return record.job()
    try:
        job = replace(ask(hook, record.order), submitted_at=record.order.at, reused=True)
        job = replace(job, workflow=record.order.workflow)
    except JobExpiredError as error:
        log.warning("Request %s (%s) is paid for and lost. %s", record.order.request_id, record.whose, error)
        _note_end(memory, record, LOST, str(error))
        return None
    except (*WAITED_OUT, JobTimeoutError) as error:
        log.info("The job was asked for and did not answer: %s", error)
        return record.job()
    if job.done and job.status == "FAILED":
        _note_end(memory, record, FAILED, job.error)
        return None
    if job.done:
        keep(hook, job)
        job = recalled(job)
    return job


def _note_lost(memory: Remembering, record: SwapRecord, job: Job, why: str) -> None:
    """Note that an order of unknown outcome was accepted and is lost; raise if that cannot be noted."""
    log.warning("Request %s (%s) is paid for and lost. %s", job.request_id, record.whose, why)
    memory.store.run(accepted(record.name, record.owner, record.order.submitted(job)))
    _note_end(memory, replace(record, order=record.order.submitted(job)), LOST, why)


def _note_end(memory: Remembering, record: SwapRecord, state: str, error: str) -> None:
    """Note that an order stands no more; raise if that cannot be noted, since nothing may be ordered before."""
    steps = ended(record.order.request_id, state, time.time(), error=error[:MAX_TEXT], name=record.name)
    memory.store.run(steps)


def note_doubted(memory: Remembering | None, record: OrderRecord, error: OutcomeUnknownError) -> None:
    """Note that the task fails for good since nobody knows the outcome of its order: a clear is then a decision."""
    if memory is not None and record.claim and not error.retryable:
        log.error("%s", error)  # first: this process can die before the task fails with these words
        try:
            memory.store.run(memory.doubted(record, error))
        except SegmindError as why:
            log.warning("The memory does not know that the outcome of an order is unknown: %s", why)
