"""Place an order so that it is billed once, however often Airflow retries the task."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.errors import (
    OutcomeUnknownError,
    SegmindError,
)
from airflow_provider_segmind.api.memory import Found
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord, Step, decide, digests, has_own_input
from airflow_provider_segmind.api.parameters import UNKNOWN, check_one_of
from airflow_provider_segmind.api.remembered import SwapRecord
from airflow_provider_segmind.api.workflows import fingerprint
from airflow_provider_segmind.failures import ChangedError
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import Remembering, recalled
from airflow_provider_segmind.orders.recovery import (
    Recovery,
    can_be,
    note_doubted,
    recall,
    recover,
    unknown_error,
)
from airflow_provider_segmind.orders.rules import check_retry, estimated_cost
from airflow_provider_segmind.orders.store import OrderStore, check_running

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """
    Order that a task wants to place.

    :param given: the inputs as the DAG author gave them; they show whether a retry wants the same order.
    :param build: returns the inputs to send, after checks and uploads. Called only before an order is sent, with the
        ids of the task's earlier orders.
    :param on_unknown: ``fail`` or ``resubmit``, if the outcome of an earlier attempt is unknown.
    :param prepared: returns what ``build`` did to the pictures, by the name of the input.
    :param memory: the memory of swaps, if there is one and the author lets it be used.
    :param key: returns the swap's key in the memory, after reading its pictures; called before ``build``.
    """

    workflow: str
    given: Mapping[str, Any]
    build: Callable[[Sequence[str]], Mapping[str, Any]]
    on_unknown: str = "fail"
    prepared: Callable[[], Mapping[str, Sequence[str]]] = dict
    memory: Remembering | None = None
    key: Callable[[], str] = str


@dataclass(frozen=True)
class Placed:
    """
    Placed order.

    :param attached: whether an earlier attempt placed it.
    :param orders: number of orders that the task has placed in total.
    :param unnamed: number of earlier ones that may be billed, and of which no id is known.
    """

    job: Job
    attached: bool
    orders: int
    unnamed: int


def place(context: Context, hook: SegmindHook, order: Order) -> Placed:
    """
    Order a job, or resume the order of an earlier attempt of this task.

    :raises OutcomeUnknownError: an order may have been accepted and cannot be found.
    :raises SegmindError: the order was refused; nothing was billed.
    """
    # Each attempt pushes the XComs ``poll_url`` and ``request_id``, because Airflow clears them when an attempt begins.
    check_one_of("on_unknown_outcome", order.on_unknown, UNKNOWN)
    store = OrderStore(context)
    record = store.load()
    wanted = fingerprint(order.workflow, order.given)
    max_tries = int(getattr(context["ti"], "max_tries", 0))
    resubmit = order.on_unknown == "resubmit"
    if record is not None and record.pending and record.claim and order.memory is not None:
        memory = order.memory
        if memory.store.run(memory.unsent(record)):
            log.info("An earlier attempt of this task ended before its order was accepted; it is sent now.")
            record = record.refuted()
            _restore(store, record)  # it counts no more for the limits of spending
    step = decide(record, max_tries=max_tries, fingerprint=wanted)
    recovery = Recovery(None)
    if record is not None and step is Step.RECOVER:
        recovery = recover(hook, record)
        record = _with_candidates(store, record, recovery)
        if recovery.job is None and resubmit and not record.request_id:  # an id that the answer had is an order
            step = Step.ORDER
            if order.memory is not None:
                order.memory.passed.add(record.claim)
    if record is None or step is Step.ORDER:
        _say_why(record, max_tries)
        check_retry(context, durable=store.durable, resubmit=resubmit)
        wish = OrderRecord(0.0, fingerprint=wanted, max_tries=max_tries, workflow=order.workflow)
        return _order(context, hook, store, order, record, wish)
    if step is Step.REFUSE:
        raise _changed(record)
    job = recalled(record.job()) if step is Step.ATTACH else recovery.job
    if job is None:
        error = unknown_error(record, recovery)
        note_doubted(order.memory, record, error)
        raise error
    job = replace(job, prepared=record.prepared)
    log.info("Going on with request %s, which an earlier attempt of this task ordered.", job.request_id)
    attached = record.submitted(job)
    _keep(context, store, attached, job)
    if not attached.reused:
        _note_accepted(order.memory, attached)
    if step is not Step.ATTACH:
        _tell(hook, job)
        if attached.fingerprint != wanted:
            raise _changed(attached)
    return Placed(job, attached=True, orders=len(attached.ordered), unnamed=attached.unnamed)


def _order(
    context: Context, hook: SegmindHook, store: OrderStore, order: Order, before: OrderRecord | None, wish: OrderRecord
) -> Placed:
    """Order a job unless the memory of swaps has it already."""
    memory, earlier = order.memory, before.perhaps if before is not None else ()
    key = order.key() if memory is not None else ""
    while True:
        found = None
        if memory is not None:
            found = memory.store.run(memory.settle(key))
            if found.record is not None:
                job = recall(hook, memory, found.record)
                if job is None:
                    continue
                return _take(context, store, before, job, replace(wish, claim=found.name), found.record, memory)
        inputs = order.build(earlier)
        intent = replace(
            wish,
            sent=digests(inputs),
            replaced=earlier,
            unnamed=before.nameless if before is not None else 0,
            own=has_own_input(order.given, inputs),
            prepared=order.prepared(),
        )
        claim = None if memory is None or found is None else (memory, found)
        try:
            job = _submit(context, hook, store, before, intent, inputs, claim, resubmit=order.on_unknown == "resubmit")
        except LostClaimError:
            key = order.key()  # `build` reads the pictures again as well, and they may have changed
            continue
        job = replace(job, prepared=intent.prepared)
        return Placed(job, attached=False, orders=len(earlier) + 1, unnamed=intent.unnamed)


def _take(
    context: Context,
    store: OrderStore,
    before: OrderRecord | None,
    job: Job,
    wish: OrderRecord,
    known: SwapRecord,
    memory: Remembering,
) -> Placed:
    """Take a job that is paid for already: another task's, or one that this task ordered."""
    earlier = before.perhaps if before is not None else ()
    # What this task ordered when it died, and learns of only now, counts as its order, and not as saved.
    is_new = memory.owns(known) and job.request_id not in (before.ordered if before is not None else ())
    unnamed = 0 if before is None else before.unnamed if is_new else before.nameless
    if is_new:
        log.info("Going on with request %s, which an earlier attempt of this task ordered.", job.request_id)
        earlier = tuple(request_id for request_id in earlier if request_id != job.request_id)
    else:
        log.info("Request %s is reused: %s ordered and paid for it.", job.request_id, known.whose)
    job = replace(job, reused=not is_new)
    record = replace(wish, at=known.order.at, replaced=earlier, reused=job.reused, unnamed=unnamed).submitted(job)
    _keep(context, store, record, job)
    return Placed(job, attached=True, orders=len(record.ordered), unnamed=record.unnamed)


class LostClaimError(SegmindError):
    """Another task claimed this swap at the same moment; nothing was sent."""


def _submit(
    context: Context,
    hook: SegmindHook,
    store: OrderStore,
    before: OrderRecord | None,
    intent: OrderRecord,
    inputs: Mapping[str, Any],
    claim: tuple[Remembering, Found] | None,
    *,
    resubmit: bool,
) -> Job:
    going_out, earlier = False, intent

    def intend() -> None:
        # After a 429 this can be much later than the first call, and the look-up in the history relies on the time.
        nonlocal intent, earlier, going_out
        going_out, earlier = False, intent
        intent = replace(intent, at=time.time())
        again = bool(intent.claim)
        if claim is not None:
            intent = replace(intent, claim=claim[1].name, memory=claim[0].store.id)
        store.save(intent)
        if claim is not None:
            memory, found = claim
            if not memory.store.run(memory.claim(found, intent, again=again)):
                raise LostClaimError("Another task orders this swap.")
        check_running(context)
        going_out = True

    def refused() -> None:
        nonlocal going_out
        going_out = False

    try:
        job = hook.submit(intent.workflow, inputs, before=intend, refused=refused)
    except OutcomeUnknownError as error:
        # If the answer names a request, that is the order; only its poll URL is a guess.
        intent = replace(intent, request_id=error.request_id or "")
        if intent.request_id:
            _note(store, intent)
        recovery = recover(hook, intent)
        intent = _with_candidates(store, intent, recovery)
        if recovery.job is None:
            error.message = f"{error.message} {recovery.note}"
            # With a record, a retry looks again; with `resubmit` it orders again, as the DAG author accepts.
            error.retryable = resubmit or (recovery.out_of_reach and store.durable)
            note_doubted(claim[0] if claim else None, intent, error)
            raise
        job = recovery.job
    except BaseException as error:
        # Also Airflow's timeout, and what ends a process: it can come in the pause after a 429, when nothing is out.
        if isinstance(error, SegmindError) or not going_out:
            _note_refused(claim, earlier, intent)
            _restore(store, before)
        if isinstance(error, SegmindError) and before is not None and before.pending:
            # The refusal says nothing about the earlier order.
            error.message += f" An earlier order at {moment(before.at)} may have been accepted; a retry looks it up."
            error.retryable = True
        raise
    log.info("Segmind accepted request %s for workflow %s: %s", job.request_id, job.workflow, job.poll_url)
    _keep(context, store, intent.submitted(job), job)
    _note_accepted(claim[0] if claim else None, intent.submitted(job))
    _tell(hook, job)
    return job


def _note_accepted(memory: Remembering | None, record: OrderRecord) -> None:
    """Note an accepted order in the memory; it is placed, so an outage of the memory must not fail the task."""
    if memory is not None and record.claim:
        try:
            memory.store.run(memory.accepted(record))
        except SegmindError as error:
            log.warning("The memory does not know yet that request %s is ordered: %s", record.request_id, error)


def _note_refused(claim: tuple[Remembering, Found] | None, *records: OrderRecord) -> None:
    """Release a claim as it was made or renewed; if that fails, the error that is raised now is the one that counts."""
    try:
        for record in records:
            if claim is not None and record.claim:
                claim[0].store.run(claim[0].refused(record))
    except SegmindError as error:
        log.warning("The claim of an order that was refused is not released: %s", error)


def _with_candidates(store: OrderStore, record: OrderRecord, recovery: Recovery) -> OrderRecord:
    """Return the record with the candidates from the history; if none is the order yet, also save it."""
    known = replace(record, candidates=recovery.candidates or record.candidates)
    if recovery.job is None and known.candidates:
        _note(store, known)
    return known


def _note(store: OrderStore, record: OrderRecord) -> None:
    """Save what is known of an order of unknown outcome; log failures, so that they do not hide the original error."""
    try:
        store.save(record)
    except Exception:
        log.exception("What is known of the order could not be kept: %s", record)


def _tell(hook: SegmindHook, job: Job) -> None:
    """Record an accepted order in the metrics, once: in the attempt that first knows its id."""
    hook.counters.ordered(job.workflow, estimated_cost(job.workflow))
    hook.counters.emit()


def _changed(record: OrderRecord) -> ChangedError:
    return ChangedError(
        f"An earlier attempt of this task ordered something else: request {record.request_id}, whose result is "
        f"at {record.poll_url}. Its inputs have changed since, so this retry neither takes that result nor orders "
        "again. Clear the task to order the new one, at the price of another; do not use inputs that change from one "
        "attempt to the next.",
        request_id=record.request_id,
    )


def _restore(store: OrderStore, before: OrderRecord | None) -> None:
    """Restore the record from before a refused order, so that an earlier order is not taken for the next one."""
    try:
        if before is None:
            store.forget()
        else:
            store.save(before)
    except Exception:
        # Do not hide the refusal. With the intent still on record, a retry looks for the order and never orders.
        log.exception("The intent of a refused order could not be removed.")


def _keep(context: Context, store: OrderStore, record: OrderRecord, job: Job) -> None:
    try:
        store.save(record)
    except Exception:
        # The order is placed; a failed task would lose its result as well.
        log.exception("The record of request %s could not be kept; a retry would not find it.", job.request_id)
    ti = context["ti"]
    ti.xcom_push(key="poll_url", value=job.poll_url)
    ti.xcom_push(key="request_id", value=job.request_id)


def _say_why(record: OrderRecord | None, max_tries: int) -> None:
    if record is None:
        return
    if record.max_tries != max_tries:
        log.info("The task was cleared, which is a new order. The earlier one: %s", record.request_id or "unknown")
    elif record.failed:
        log.info("Request %s ended FAILED; this retry orders anew.", record.request_id)
    else:
        log.warning(
            "An earlier order's outcome is unknown; ordering again as on_unknown_outcome='resubmit' says.%s",
            can_be(record.candidates),
        )
