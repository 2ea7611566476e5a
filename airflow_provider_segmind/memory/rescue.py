"""Fetch what is paid for and not stored, and name what cannot be fetched any more. Orders nothing."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from airflow_provider_segmind.api import memory, remembered, rescue
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.memory import Read, Replace
from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import DONE, FAILED, SwapRecord, read_swap
from airflow_provider_segmind.api.rescue import Need, need_of
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.copies import fetch
from airflow_provider_segmind.memory.store import Store
from airflow_provider_segmind.memory.swaps import ask, is_of_another, keep_end

log = logging.getLogger(__name__)

READERS = 16
ASKERS = 4
"""Orders that are asked for at the same time; each may hold a picture in memory."""
STRIKES = 8
"""Orders in a row without an answer, after which Segmind or the storage is taken to be down."""
PAUSES = (2.0, 8.0, 30.0)
"""Seconds before an order is asked for again after a 429."""
MAX_NAMED = 1000
"""Names in each list of the summary; the log has all."""
HORIZON = "rescue/open.json"
MARGIN = 86400.0
"""Seconds since their change for which all orders are looked at, also those that were closed: clocks differ."""
_LOST, _RUNNING, _UNKNOWN = "lost", "running", "unknown"


@dataclass
class Summary:
    """
    What became of the orders that were looked at.

    :param looked_at: orders that had an open question.
    :param fetched: orders whose pictures are stored now.
    :param lost: request ids of orders that are paid for and whose pictures cannot be had any more.
    :param unknown: orders that there is no answer for now: request ids, or the tasks that ordered.
    """

    looked_at: int = 0
    fetched: int = 0
    lost: list[str] = field(default_factory=list)
    failed: int = 0
    running: int = 0
    unknown: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, bounded."""
        return asdict(replace(self, lost=self.lost[:MAX_NAMED], unknown=self.unknown[:MAX_NAMED]))


def records(where: Store, damaged: list[str]) -> Iterator[list[SwapRecord]]:
    """Yield all orders of the memory in parts, each a 256th; add the names of those that cannot be read."""
    for part in _changed(where, 0.0, damaged):
        yield [record for record, _ in part]


def _changed(where: Store, since: float, damaged: list[str]) -> Iterator[list[tuple[SwapRecord, float]]]:
    """
    Yield the orders that were changed since then, each with the time; 0 if the storage does not say.

    :param damaged: gets the names of those that cannot be read; the log says why.
    """
    where.check()

    def read(name: str) -> SwapRecord | None:
        try:
            data = where.do(Read(name))
            return None if data is None else read_swap(data, name)
        except remembered.DamagedError as error:
            log.error("%s", error)
            damaged.append(name)
            return None

    with ThreadPoolExecutor(READERS, thread_name_prefix="segmind-rescue") as pool:
        for part in range(256):
            listed = [one for one in where.listed(f"swaps/{part:02x}") if (one.changed_at or since) >= since]
            found = zip(pool.map(read, [one.name for one in listed]), listed, strict=True)
            yield [(record, one.changed_at or 0.0) for record, one in found if record is not None]


def _horizon(where: Store) -> float:
    """Return the time of change of the oldest order that was open when all were last looked at; 0 if not known."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return float(json.loads(where.do(Read(HORIZON)) or b"{}")["open_since"])
    return 0.0


def rescue_all(where: Store, conn_id: str, *, every: bool = False) -> Summary:
    """
    Look at each order that is open, and return what became of them.

    An order that had come to its end when all were looked at is not read again, unless it has changed since.

    :param conn_id: the connection for orders that do not say which one they were made with.
    :param every: whether to read all nevertheless.
    :raises SegmindError: Segmind or the storage does not answer; a later call goes on where this one stopped.
    """
    said, rescuer = Summary(), _Rescuer(where, conn_id)
    horizon = time.time() - MARGIN
    with ThreadPoolExecutor(ASKERS, thread_name_prefix="segmind-rescue") as pool:
        for part in _changed(where, 0.0 if every else _horizon(where), []):
            now = time.time()
            found = [(record, need, at) for record, at in part if (need := need_of(record, now)) is not None]
            opened = [(record, need) for record, need, _ in found]
            rescuer.connect(record for record, _ in opened)
            for (record, _, at), (became, name) in zip(found, pool.map(rescuer.look, opened), strict=True):
                said.looked_at += 1
                _count(said, record, became, name)
                horizon = min(horizon, at) if became in (_RUNNING, _UNKNOWN) else horizon
    where.do(Replace(HORIZON, json.dumps({"open_since": horizon}).encode()))
    log.info("Looked at %d open orders: %s", said.looked_at, said.to_json())
    return said


def _count(said: Summary, record: SwapRecord, became: str, name: str) -> None:
    if became == _LOST:
        said.lost.append(name)
        log.error("Request %s is paid for, and its picture is lost. It was ordered by %s.", name, record.whose)
    elif became == _UNKNOWN:
        said.unknown.append(name)
    elif became == FAILED:
        said.failed += 1
    elif became == _RUNNING:
        said.running += 1
    else:
        said.fetched += 1
        log.info("Request %s is stored now.", name)


class _Rescuer:
    def __init__(self, where: Store, conn_id: str) -> None:
        self._where = where
        self._conn_id = conn_id
        self._hooks: dict[str, SegmindHook | SegmindError] = {}
        self._strikes = 0
        self._lock = threading.Lock()

    def connect(self, orders: Iterable[SwapRecord]) -> None:
        """Look up the connections of some orders on this thread: before Airflow 3.2 no other can."""
        for conn_id in {record.conn_id or self._conn_id for record in orders} - self._hooks.keys():
            hook = SegmindHook(conn_id)
            try:
                _ = hook.settings
                self._hooks[conn_id] = hook
            except (AuthenticationError, InvalidRequestError) as error:
                log.error("Orders of connection '%s' cannot be asked for: %s", conn_id, error)
                self._hooks[conn_id] = error

    def look(self, opened: tuple[SwapRecord, Need]) -> tuple[str, str]:
        """Return what became of an order, and its name."""
        record, need = opened
        hook = self._hooks[record.conn_id or self._conn_id]
        name = record.order.request_id or f"{record.whose}, number {record.number} of swap {record.key[:12]}"
        if isinstance(hook, SegmindError):
            return _UNKNOWN, name
        try:
            if self._where.run(memory.with_end(record)).state != record.state:
                return DONE, name  # a task that stood still had written over its end
            if need is Need.LOOK_UP:
                record = self._found(hook, record)
                name = record.order.request_id
            became = self._fetch(hook, record) if need is Need.FETCH else self._ask(hook, record)
        except AuthenticationError as error:
            log.error("Orders of connection '%s' cannot be asked for: %s", hook.segmind_conn_id, error)
            self._hooks[hook.segmind_conn_id] = error
            return _UNKNOWN, name
        except JobExpiredError as error:
            became = self._give_up(record, error)
        except SegmindError as error:
            if rescue.is_over(record, time.time()):
                return self._give_up(record, error), name
            log.warning("What became of %s is not known now: %s", name, error)
            self._strike(error)
            return _UNKNOWN, name
        with self._lock:
            self._strikes = 0
        return became, name

    def _give_up(self, record: SwapRecord, error: SegmindError) -> str:
        self._where.run(rescue.gone(record, str(error), time.time()))
        return _LOST

    def _strike(self, error: SegmindError) -> None:
        if not isinstance(error, TransportError | ServiceError | RateLimitError):
            return
        with self._lock:
            self._strikes += 1
            if self._strikes >= STRIKES:
                raise error

    def _found(self, hook: SegmindHook, record: SwapRecord) -> SwapRecord:
        found = [job for job in hook.find_orders(record.order) if not is_of_another(job.request_id, record.name)]
        if len(found) != 1:
            ids = ", ".join(job.request_id for job in found) or "none"
            raise InvalidRequestError(
                f"The request history does not tell whether it was accepted; requests with these inputs at that time: "
                f"{ids}. Look at the Segmind account's request history."
            )
        return replace(record, order=record.order.submitted(found[0]), state=remembered.ORDERED)

    def _ask(self, hook: SegmindHook, record: SwapRecord) -> str:
        # Of an order that is noted already, this writes only the pointer, which its worker may not have come to.
        self._where.run(memory.accepted(record.name, record.owner, record.order))
        job = _patiently(hook, record.order)
        if not job.done:
            return _RUNNING
        keep_end(self._where, hook, replace(job, request_id=record.order.request_id))
        return FAILED if job.status == "FAILED" else DONE

    def _fetch(self, hook: SegmindHook, record: SwapRecord) -> str:
        outputs = [Output(one.keyname, one.type, one.url) for one in record.outputs]
        if not all(one.url for one in record.outputs if rescue.is_unstored(one)):  # signed URLs are not kept
            outputs = list(_patiently(hook, record.order).outputs)
        fetch(self._where, hook, record, outputs)
        return DONE


def _patiently(hook: SegmindHook, order: OrderRecord) -> Job:
    for pause in (*PAUSES, None):
        try:
            return ask(hook, order)
        except RateLimitError as error:
            if pause is None:
                raise
            time.sleep(max(pause, error.retry_after or 0.0))
    raise AssertionError("the last attempt returns or raises")
