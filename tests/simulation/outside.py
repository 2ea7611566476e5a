"""Run the package in a simulated world: what meets the outside has a substitute, all else is the package's own."""

from __future__ import annotations

import gc
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from greenlet import getcurrent

from airflow_provider_segmind.api import ends, flow, remembered
from airflow_provider_segmind.api import memory as api_memory
from airflow_provider_segmind.files import objects
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory import copies, costs
from airflow_provider_segmind.memory import store as memory_store
from airflow_provider_segmind.memory import swaps as memory_swaps
from airflow_provider_segmind.observability import lineage
from airflow_provider_segmind.orders import budgets, place, recovery, rules
from airflow_provider_segmind.orders import store as orders_store
from airflow_provider_segmind.tasks import order, swap
from airflow_provider_segmind.triggers import segmind as triggers
from airflow_provider_segmind.waiting import ending, remembering
from tests.simulation.hub import Work
from tests.simulation.service import SETTINGS, SimulatedClient
from tests.simulation.storage import Path
from tests.simulation.world import Outcome, World


class _Poller:
    """The triggerer's poller: the flow that a worker waits with."""

    async def wait(self, poll_url: str, *, deadline: float, poll_interval: float, **how: Any) -> Any:
        """Wait for a job."""
        client = SimulatedClient(now().service)
        steps = flow.wait(
            *(client.settings, client.auth, poll_url),
            deadline=deadline,
            clock=client.clock,
            poll_interval=poll_interval,
            max_outage=how["max_outage"],
        )
        return client.run(steps)


class _NoCounters:
    def ended(self, *_: Any) -> None:
        pass

    ordered = emit = ended


class _Log(logging.Handler):
    """Keeps what a task logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        work = getcurrent()
        if isinstance(work, Work):
            work.of.said.append(record.getMessage())


_worlds: list[World] = []


def now() -> World:
    """Return the world that is running."""
    return _worlds[-1]


def _new_id() -> Any:
    return uuid.UUID(int=now().rng.getrandbits(128))


async def _to_thread(do: Any, *args: Any) -> Any:
    return do(*args)


async def _client() -> SimulatedClient:
    return SimulatedClient(now().service)


@asynccontextmanager
async def _shared_connection(_: str) -> AsyncIterator[Any]:
    yield SimpleNamespace(poller=_Poller(), counters=_NoCounters(), client=_client, conn_id="segmind_default")


def _nothing(*_: Any, **__: Any) -> None:
    return None


_TIME = SimpleNamespace(
    time=lambda: now().hub.now, strftime=time.strftime, gmtime=time.gmtime, monotonic=time.monotonic
)
_CONF = SimpleNamespace(
    getfloat=lambda section, name, fallback=0.0: fallback,
    getboolean=lambda section, name, fallback=False: fallback,
    get=lambda section, name, fallback="": fallback,
)
_READ_ONCE = lru_cache(2_000)(remembered.read_swap)
"""It is pure, and the same bytes are read often."""
SUBSTITUTES: tuple[tuple[Any, str, Any], ...] = (
    *((module, "time", _TIME) for module in (place, recovery, memory_swaps, copies, costs, triggers, lineage)),
    *((module, "store", lambda: now().store) for module in (memory_store, memory_swaps, costs, orders_store, budgets)),
    *((module, "conf", _CONF) for module in (rules, objects, ending)),
    (memory_store, "ObjectStoragePath", lambda uri: Path(now().disk, uri.removeprefix("s3://memory/"))),
    (api_memory, "LOOK_AGAIN", 60.0),  # fewer looks that see nothing new
    *((module, "read_swap", _READ_ONCE) for module in (ends, api_memory)),
    (remembered, "uuid", SimpleNamespace(uuid4=_new_id)),
    (logging, "_srcfile", None),  # a log record need not say where it is made, nor by whom
    *((logging, name, False) for name in ("logThreads", "logMultiprocessing", "logProcesses")),
    (copies, "download", lambda *args: now().service.download(*args)),
    (SegmindHook, "settings", SETTINGS),
    (SegmindHook, "client", property(lambda hook: SimulatedClient(now().service))),
    (SegmindHook, "counters", _NoCounters()),
    (remembering, "asyncio", SimpleNamespace(to_thread=_to_thread)),
    (triggers, "shared_connection", _shared_connection),
    *((module, "emit_end", _nothing) for module in (swap, order)),
    (order, "show", _nothing),
    (swap, "show_end", _nothing),
)
"""What meets the outside, and has a substitute here: time, sockets, storage, metrics and the gallery."""


@contextmanager
def simulated(*planted: tuple[Any, str, Any]) -> Iterator[None]:
    """Put the substitutes in their places, and planted faults as well."""
    before = []
    log, handler = logging.getLogger("airflow_provider_segmind"), _Log()
    level, passes, often = log.level, log.propagate, gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(700_000, 20, 20)
    try:
        for where, name, value in (*SUBSTITUTES, *planted):
            before.append((where, name, where.__dict__[name]))
            setattr(where, name, value)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        yield
    finally:
        gc.set_threshold(*often)
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = passes
        for where, name, value in reversed(before):
            setattr(where, name, value)


def play(seed: int) -> Outcome:
    """Run the world of a seed; :func:`simulated` must be on."""
    world = World(seed)
    _worlds.append(world)
    try:
        return world.run()
    finally:
        _worlds.pop()
