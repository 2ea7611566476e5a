"""What a task does with the memory of swaps: recall before it orders, claim, and keep what it sees end."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_segmind.api import ends, memory, rescue
from airflow_provider_segmind.api.errors import JobExpiredError, SegmindError
from airflow_provider_segmind.api.memory import Found, Reuse
from airflow_provider_segmind.api.models import Job, Settings
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import DONE, FAILED, LOST, REJECTED, SwapRecord, noted
from airflow_provider_segmind.api.uris import public_uri
from airflow_provider_segmind.files.download import picture_bytes
from airflow_provider_segmind.files.fetching import etag_of
from airflow_provider_segmind.files.pictures import is_url, read_picture
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.copies import copied, fetch, note
from airflow_provider_segmind.memory.store import Store, owner_of, store

if TYPE_CHECKING:
    from airflow_provider_segmind.quality.prepare import Prepared

log = logging.getLogger(__name__)

FORGOTTEN = 3 * 3600.0
"""
Seconds after an order from which one 404 is believed.

Segmind forgets a job an hour after its end. The rest is for the job itself, and for clocks that differ.
"""
MAX_TEXT = 2048
"""Characters of an error or a reason."""


@dataclass(frozen=True)
class Remembering:
    """
    The memory, as one task uses it.

    :param cost: US dollars of one order, for the record.
    :param conn_id: the connection that orders.
    :param pictures: SHA-256 of the input pictures, as sent and as given, by the key of the swap; noted where the key
        is made.
    :param by_etag: whether URL and ETag stand for a picture behind a URL.
    :param resubmit: whether the author accepts a second bill for an order of unknown outcome.
    :param passed: names of such orders for which the request history was asked: they are ordered again.
    """

    store: Store
    how: Reuse
    owner: Mapping[str, Any]
    cost: float = 0.0
    conn_id: str = ""
    pictures: dict[str, tuple[str, ...]] = field(default_factory=dict)
    by_etag: bool = False
    resubmit: bool = False
    passed: set[str] = field(default_factory=set)

    def of(self, index: int) -> Remembering:
        """Return the memory as one swap of a batch uses it."""
        return replace(self, owner={**self.owner, "index": index})

    def settle(self, key: str, *, wait: bool = True) -> memory.Steps[Found]:
        """Find the order that stands, or the name of the next one."""
        how = replace(self.how, passed=self.passed)
        return memory.settle(key, self.owner, how, time.time, wait=wait)

    def claim(self, found: Found, order: OrderRecord, *, again: bool) -> memory.Steps[bool]:
        """Claim an order before its POST, or renew the claim before a further one."""
        order = replace(order, max_tries=self.how.max_tries)
        if again:
            return memory.renew(found.name, self.owner, order)
        key, number = found.name.rpartition("/")[2].split(".")[:2]
        record = SwapRecord(
            key,
            int(number),
            order,
            owner=dict(self.owner),
            cost=self.cost,
            conn_id=self.conn_id,
            pictures=self.pictures.get(key, ()),
        )
        return memory.claim(record, found.before)

    def unsent(self, order: OrderRecord) -> memory.Steps[bool]:
        """Whether an order was certainly never sent."""
        return memory.unsent(order.claim, self.owner, is_here=order.memory == self.store.id)

    def accepted(self, order: OrderRecord) -> memory.Steps[None]:
        """Note an accepted order."""
        return memory.accepted(order.claim, self.owner, order)

    def owns(self, record: SwapRecord) -> bool:
        """Whether this task has claimed an order."""
        return dict(record.owner) == dict(self.owner)

    def is_of_this_task(self, record: SwapRecord) -> bool:
        """Whether this task has claimed an order, for any of the swaps in its list, which may have changed."""
        return {**record.owner, "index": 0} == {**self.owner, "index": 0}

    def doubted(self, order: OrderRecord, why: object) -> memory.Steps[None]:
        """Note that this task fails since nobody knows the outcome of its order."""
        return memory.doubted(order.claim, self.owner, str(why), self.how.max_tries)

    def is_decided(self, record: SwapRecord) -> bool:
        """Whether a person has cleared this task after it had failed since nobody knows an order's outcome."""
        # Only a clear raises `max_tries`: a second attempt that runs at the same time is no decision.
        return self.is_of_this_task(record) and bool(record.error) and self.how.max_tries > record.order.max_tries

    def refused(self, order: OrderRecord) -> memory.Steps[None]:
        """Release the claim of an order that was not accepted."""
        return memory.refused(order.claim, self.owner, order.at)


def remembering(
    context: Context, reuse: str, max_age: float | None, *, resubmit: bool, cost: float | None, conn_id: str = ""
) -> Remembering | None:
    """Return the memory as a task uses it; ``None`` if there is none, or the task must not."""
    where = store() if reuse != "never" else None
    if where is None:
        return None
    max_tries = int(getattr(context["ti"], "max_tries", 0))
    how = Reuse(reuse == "refresh", max_age, max_tries=max_tries)
    is_etag = reuse == "etag"
    return Remembering(where, how, owner_of(context), cost or 0.0, conn_id, by_etag=is_etag, resubmit=resubmit)


def digests_of(
    hook: SegmindHook, name: str, uri: str, prepare: str = "auto", *, by_etag: bool = False
) -> tuple[str, ...]:
    """
    Return the SHA-256 by which a picture is known: of its bytes as they are sent, and as they were given.

    :param by_etag: whether URL and ETag stand for a picture behind a URL; then it is known by its URL, too.
    :raises SegmindError: it cannot be read.
    """
    if uri.lower().startswith("data:"):
        return (hashlib.sha256(uri.encode()).hexdigest(),)
    if is_url(uri):
        if by_etag:
            tagged = f"{public_uri(uri)} {etag_of(hook, name, uri)}"
            return (hashlib.sha256(tagged.encode()).hexdigest(), digest_of_url(uri))
        return (hashlib.sha256(picture_bytes(hook, name, uri)).hexdigest(),)
    return digests_in(read_picture(name, uri, prepare))


def digest_of_url(uri: str) -> str:
    """Return the SHA-256 by which a picture is known whose bytes are not read."""
    return hashlib.sha256(public_uri(uri).encode()).hexdigest()


def digests_in(picture: Prepared) -> tuple[str, ...]:
    """Return the SHA-256 of a picture that is read: of its bytes as they are sent, and as they were given."""
    sent = hashlib.sha256(picture.data).hexdigest()
    return (sent, picture.original) if picture.original else (sent,)


def ask(hook: SegmindHook, order: OrderRecord) -> Job:
    """
    Ask for the job of an order.

    :raises JobExpiredError: Segmind has forgotten it, and not only one of its servers, during a deployment.
    """
    try:
        return hook.get_job(order.poll_url)
    except JobExpiredError:
        if time.time() - order.at > FORGOTTEN:
            raise
        return hook.attach(order.poll_url)


def recalled(job: Job) -> Job:
    """Return a job as the memory knows it, if it is done there; else as it is. Never raises."""
    where = store()
    if where is None:
        return job
    try:
        record = where.run(ends.find(job.request_id))
        is_there = record is not None and record.state == DONE and where.run(memory.is_there(record, time.time()))
    except SegmindError as error:
        log.warning("The memory does not say how request %s ended: %s", job.request_id, error)
        return job
    if record is None or not is_there:
        return job
    known = job_of(where, record)
    return replace(known, prepared=job.prepared or known.prepared, reused=job.reused, submitted_at=job.submitted_at)


def recalled_late(job: Job) -> Job | None:
    """Return a job that was ordered so long ago that Segmind may have forgotten it, if the memory knows its end."""
    known = recalled(job) if is_old(job) else job
    return None if known is job else known


def is_old(job: Job) -> bool:
    """Whether another task may have seen the end of a job; Segmind forgets it after an hour."""
    return time.time() - (job.submitted_at or 0.0) >= rescue.OLD


def job_of(where: Store, record: SwapRecord) -> Job:
    """Return the job of an order; of one that is done, with its stored pictures where the memory is now."""
    job = record.job()
    outputs = (
        replace(output, url=where.uri_of(one.uri) if one.uri else output.url)
        for output, one in zip(job.outputs, record.outputs, strict=True)
    )
    return replace(job, outputs=tuple(outputs))


def is_of_another(request_id: str, claim: str) -> bool:
    """Whether the memory knows a request as that of another order than the one that made this claim; "" for none."""
    where = store() if claim else None
    record = where.run(ends.find(request_id)) if where is not None else None
    return record is not None and record.name != claim


def keep(hook: SegmindHook, job: Job) -> None:
    """Keep how a job ended, with its pictures, so that the swap is not paid for again. Never raises."""
    where = store()
    if where is None or not job.done:
        return
    try:
        keep_end(where, hook, job)
    except Exception as error:  # noqa: BLE001 - the result is there, and must not be lost with its copy
        log.warning(
            "The memory has no copy of what request %s made (%s: %s). `rescue` fetches it within seven days.",
            *(job.request_id, type(error).__name__, error),
        )


def keep_end(where: Store, hook: SegmindHook, job: Job) -> None:
    """
    Keep how a job ended, with its pictures.

    A picture that cannot be fetched or stored now is noted with its URL, so that it can be fetched as long as Segmind
    keeps it, which is longer than it knows the job.

    :raises Exception: a picture cannot be fetched or stored.
    """
    record = where.run(ends.find(job.request_id))
    if record is None or record.state in (FAILED, REJECTED):
        return
    if record.state == DONE:
        if any(map(rescue.is_unstored, record.outputs)):
            fetch(where, hook, record, job.outputs)
        return
    if job.status == "FAILED":
        where.run(ends.ended(job.request_id, FAILED, time.time(), error=job.error))
        return
    outputs, failure = copied(where, hook, record, noted(job.outputs), job.outputs)
    if failure is not None and any(rescue.is_unstored(one) and not one.url for one in outputs):
        raise failure  # a rescue asks for the job, which gives the URL again
    note(where, record, ends.ended(job.request_id, DONE, time.time(), outputs=outputs), outputs)
    if failure is not None:
        raise failure


def lost(error: object) -> None:
    """Note that Segmind has forgotten a job whose end nobody saw, if the error says so. Never raises."""
    where = store()
    if where is None or not isinstance(error, JobExpiredError) or not error.request_id:
        return
    try:
        where.run(ends.ended(error.request_id, LOST, time.time(), error=str(error)))
    except SegmindError as why:
        log.warning("The memory does not know that request %s is lost: %s", error.request_id, why)


def reject(request_id: object, dag_id: str | None, why: str) -> None:
    """
    Note that a picture is not wanted, so that the next task that wants its swap orders it again. Never raises.

    :param dag_id: the DAG that says so; only pictures that it ordered itself are its to reject.
    """
    where = store()
    if where is None or not isinstance(request_id, str) or not request_id:
        return
    try:
        record = where.run(ends.find(request_id))
        if record is None or record.state in (FAILED, REJECTED):
            return
        if record.owner.get("dag_id") != dag_id:
            log.warning(
                "Request %s is another DAG's (%s): it stays in the memory. Reject it there, or order it anew with "
                "reuse='refresh'.",
                *(request_id, record.whose),
            )
            return
        where.run(ends.ended(request_id, REJECTED, time.time(), error=why))
        log.info("Request %s is rejected: the next order of this swap makes a new picture.", request_id)
    except SegmindError as error:
        log.warning("The memory does not know that request %s is rejected: %s", request_id, error)


def hook_with(conn_id: str, settings: Settings) -> SegmindHook:
    """Return a hook with settings that a triggerer has looked up."""
    hook = SegmindHook(conn_id)
    hook.__dict__["settings"] = settings  # a cached property
    return hook
