"""Faults that are planted into the package's rules, by name: the simulation must find each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_segmind.api import ends, memory, remembered
from airflow_provider_segmind.api.errors import TransportError
from airflow_provider_segmind.api.memory import Create, Read, Replace, Reuse
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import DONE, Stored, SwapRecord
from airflow_provider_segmind.memory import store as memory_store
from airflow_provider_segmind.memory import swaps as memory_swaps
from airflow_provider_segmind.memory.store import Store
from airflow_provider_segmind.memory.swaps import Remembering
from airflow_provider_segmind.orders import place, recovery
from tests.simulation.outside import now

Steps = memory.Steps[Any]
_claim, _accepted, _recover, _settle = Remembering.claim, Remembering.accepted, recovery.recover, memory.settle
_read_swap, _do = remembered.read_swap, Store.do


def _no_claim(self: Remembering, *_: Any, **__: Any) -> Steps:
    return True
    yield


def _claim_when_accepted(self: Remembering, order: OrderRecord) -> Steps:
    found = memory.Found(None, order.claim)
    yield from _claim(self, found, order, again=False)
    yield from _accepted(self, order)


def _create_over(path: Any, data: bytes) -> bool:
    path.write_bytes(data)
    return True


def _release_what_is_unknown(hook: Any, record: OrderRecord) -> Any:
    recovery = _recover(hook, record)
    if recovery.job is None and record.claim:
        where = now().store
        claimed = remembered.read_swap(where.do(Read(record.claim)), record.claim)
        where.run(memory.refused(record.claim, claimed.owner, claimed.order.at))
    return recovery


def _done_before_it_is_stored(where: Store, hook: Any, job: Any) -> None:
    record = where.run(ends.find(job.request_id))
    if record is None or record.state in (DONE, remembered.FAILED):
        return
    if job.status == "FAILED":
        where.run(ends.ended(job.request_id, remembered.FAILED, now().hub.now, error=job.error))
        return
    writes, outputs = [], []
    for number, output in enumerate(job.outputs):
        found = now().service.download(hook, output.url)
        name = f"pictures/{record.key[:2]}/{record.key}.{record.number}.{number}.png"
        writes.append(Replace(name, found.data))
        uri = str(where.path(name))
        outputs.append(Stored(output.keyname, output.type, output.url, uri, found.sha256, len(found.data)))
    where.run(ends.ended(job.request_id, DONE, now().hub.now, outputs=tuple(outputs)))
    for write in writes:
        where.do(write)


def _keep_end_once(record: SwapRecord) -> Steps:
    yield Replace(record.name, record.to_bytes())


def _end_over_any(request_id: str, state: str, at: float, *, name: str = "", error: str = "", **how: Any) -> Steps:
    record = yield from ends.find(request_id)
    if record is not None:
        changed = replace(record, state=state, error=error, ended_at=at, outputs=how.get("outputs", ()))
        yield Replace(record.name, changed.to_bytes())


class _Every:
    def __contains__(self, _: object) -> bool:
        return True


def _impatient(key: str, owner: Any, how: Reuse, clock: Any, **more: Any) -> Steps:
    return (yield from _settle(key, owner, replace(how, passed=_Every()), clock, **more))


def _unasked(self: Remembering, key: str, *, wait: bool = True) -> Steps:
    how = replace(self.how, passed=_Every() if self.resubmit else ())
    return memory.settle(key, self.owner, how, memory_swaps.time.time, wait=wait)


def _refused_by_any_attempt(name: str, owner: Mapping[str, Any], at: float) -> Steps:
    record = yield from memory._claimed(name, owner)
    if record is not None:
        yield Replace(name, replace(record, state=remembered.RELEASED).to_bytes())


def _accepted_without_a_pointer(self: Remembering, order: OrderRecord) -> Steps:
    record = yield from memory._claimed(order.claim, self.owner)
    if record is not None:
        yield Replace(order.claim, replace(record, order=order, state=remembered.ORDERED).to_bytes())


def _damage_is_nothing(data: bytes, name: str) -> SwapRecord:
    try:
        return _read_swap(data, name)
    except remembered.DamagedError:
        key, number = name.rpartition("/")[2].split(".")[:2]
        return SwapRecord(key, int(number), OrderRecord(0.0), state=remembered.RELEASED)


def _outage_is_nothing(self: Store, step: Any, *more: Any) -> Any:
    try:
        return _do(self, step, *more)
    except TransportError:
        return True if isinstance(step, Create) else None


PLANTED: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    "no claim": ((Remembering, "claim", _no_claim),),
    "a claim after the order rather than before": (
        (Remembering, "claim", _no_claim),
        (Remembering, "accepted", _claim_when_accepted),
    ),
    "a create that overwrites": ((memory_store, "create", _create_over),),
    "a claim released after an unknown outcome": (
        (place, "recover", _release_what_is_unknown),
        (recovery, "recover", _release_what_is_unknown),
    ),
    "done noted before the picture is stored": ((memory_swaps, "keep_end", _done_before_it_is_stored),),
    "an end kept once": ((ends, "_keep_end", _keep_end_once),),
    "an end that overwrites another": ((ends, "ended", _end_over_any),),
    "no patience with what another task is sending": ((memory, "SENDING", 0.0),),
    "an abandoned claim ordered again": ((memory, "settle", _impatient),),
    "an unknown order sent again before the history is asked": ((Remembering, "settle", _unasked),),
    "a claim released by any attempt of its task": ((memory, "refused", _refused_by_any_attempt),),
    "one 404 of a young job believed": ((memory_swaps, "FORGOTTEN", -1.0),),
    "a second attempt taken for a person's clear": (
        (Remembering, "is_decided", lambda self, record: self.owns(record) and bool(record.error)),
    ),
    "no way from a request to its swap": ((Remembering, "accepted", _accepted_without_a_pointer),),
    "another order's request taken for this one's": ((recovery, "is_of_another", lambda *_: False),),
    "a damaged object taken for none": tuple((of, "read_swap", _damage_is_nothing) for of in (memory, ends)),
    "an outage of the memory taken for its being empty": ((Store, "do", _outage_is_nothing),),
}
"""What to put where, by name."""
