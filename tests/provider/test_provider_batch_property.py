"""
Random sequences of answers, crashes and retries against the code that orders a batch: no swap is charged twice.

The service is a model with a ledger and a history, which may be missing or odd; the deciding, the flows and the records
are the real ones. A crash can come before or after each write to the store and each request; nothing that the process
still tries has an effect.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segmind.api import batches, flow, history
from airflow_provider_segmind.api.batches import BatchHeader
from airflow_provider_segmind.api.manifest import Swap
from airflow_provider_segmind.api.submitter import Submitter
from airflow_provider_segmind.api.wire import Answer, Request
from airflow_provider_segmind.batch.ordering import Ordering, Terms
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.store import OrderStore
from tests.api import drive
from tests.provider.running import TaskInstance

pytestmark = pytest.mark.slow

BEARER = drive.settings(extra={"auth_scheme": "bearer"})
ACCEPTED = ["accepted", "accepted, lost", "accepted, 500", "accepted, cut off"]
ANSWERS = [*ACCEPTED, "accepted", "accepted", "lost", "refused", "429", "406", "404", "500"]
ODD = ["none", "rewritten", "another clock", "unreadable row", "refuses"]
HEAD = BatchHeader("f", 3, 6, "b")
SWAPS = [Swap(n, f"item {n}", f"{drive.SCENE}?{n}", drive.PERSON, "woman") for n in range(HEAD.count)]


class Later:
    """An executor that works on the loop itself, but only after what else is due there, and so the same each time."""

    def __init__(self, **_: Any) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Have something done soon."""
        done: Future[Any] = Future()
        asyncio.get_running_loop().call_soon(self._do, done, work, given)
        return done

    def _do(self, done: Future[Any], work: Callable[..., Any], given: tuple[Any, ...]) -> None:
        try:
            done.set_result(work(*given))
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            done.set_exception(error)

    def shutdown(self) -> None:
        """End with the loop."""


class Crash(BaseException):
    """The process died."""


@dataclass
class World:
    """The service and the store, which outlive each attempt."""

    history: str = "whole"
    ledger: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    created: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    stored: dict[str, Any] = field(default_factory=dict)

    def living(self) -> Counter[str]:
        """Return how often each scene was charged, without the jobs that FAILED and may be ordered again."""
        return Counter(
            str(inputs["character_image"]) for name, inputs in self.ledger.items() if name not in self.failed
        )


class Attempt:
    """One attempt of the task: what it asks of the world, until it dies."""

    def __init__(self, world: World, answers: list[str], lives: int | None) -> None:
        self.world = world
        self.answers = answers
        self.lives = lives
        self.die: Callable[[], object] = lambda: None
        self.settings, self.auth = BEARER, flow.Auth()
        self.poller = self
        self.clock = time.time

    def _step(self, error: type[BaseException]) -> None:
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                self.die()
                raise error

    # -- the connection, its client and its poller

    async def client(self, *, refused: Any = None) -> Attempt:
        return self

    async def turn(self) -> None:
        await asyncio.sleep(0)

    def limited(self, sent_at: float, retry_after: float | None) -> None:
        """Let no time pass."""

    async def run(self, steps: flow.Flow[Any]) -> Any:
        """Run a real flow against the modelled service; others run in between, on both sides of each request."""
        received: Answer | None = None
        while True:
            try:
                asked = steps.send(received)
            except StopIteration as end:
                return end.value
            received = None
            if isinstance(asked, flow.Send):
                self._step(Crash)
                await asyncio.sleep(0)
                received = self._answer(asked.request)
                self._step(Crash)
                await asyncio.sleep(0)

    def _answer(self, request: Request) -> Answer:
        if request.method == "POST":
            return self._order(dict(request.payload or {}))
        if "request-history" in request.url:
            return self._history()
        return drive.COMPLETED

    def _order(self, inputs: dict[str, Any]) -> Answer:
        kind = self.answers.pop(0) if self.answers else "accepted"
        name = f"request-{len(self.world.ledger)}"
        if kind.startswith("accepted"):
            self.world.ledger[name] = inputs
            self.world.created[name] = time.time()
        return drive.order_answers(name)[kind]

    def _history(self) -> Answer:
        kind = self.world.history
        if kind in ("none", "refuses"):
            return drive.answer({"error": "no"}, 404 if kind == "none" else 500)
        shift = timedelta(hours=2 if kind == "another clock" else 0)
        rows: list[dict[str, Any]] = [
            {
                "request_id": name,
                "request_body": {**inputs, "character_image": "signed"} if kind == "rewritten" else inputs,
                "model_created": (datetime.fromtimestamp(self.world.created[name], UTC) + shift).isoformat(),
                "latency_ms": None,
            }
            for name, inputs in reversed(self.world.ledger.items())
        ]
        if kind == "unreadable row":
            rows[:1] = [{"request_id": "who knows"}]
        return drive.answer({"data": rows})

    # -- Airflow's store, in a thread of its own

    def get(self, key: str) -> Any:
        """Read from the store."""
        return self.world.stored.get(key)

    def set(self, key: str, value: Any) -> None:
        """Write to the store."""
        self._step(RuntimeError)
        self.world.stored[key] = json.loads(json.dumps(value))
        self._step(RuntimeError)


def attempt(
    world: World, answers: list[str], lives: int | None, *, resubmit: bool = False, swaps: Sequence[Swap] = SWAPS
) -> dict[int, Any]:
    """Make an attempt of the batch as the operator does, and return the entries that it knows in the end."""
    this = Attempt(world, answers, None)
    store = OrderStore({"task_state_store": this, "ti": TaskInstance()})
    header, entries = store.load_batch()
    store.save_header(header or HEAD)
    this.lives = lives
    ledger = OrderLedger(store, header or HEAD, entries)
    again = {index for index, entry in entries.items() if entry.request_id in world.failed}
    wanted = [swap.index for swap in swaps if swap.index not in entries or swap.index in again]

    async def work() -> None:
        connection: Any = this
        ordering = Ordering(connection, ledger, swaps, Terms(drive.WORKFLOW, 3, resubmit), lambda index, job: None)

        async def at_once(_: float) -> None:
            await asyncio.sleep(0)

        ordering._submitter = Submitter(connection.client, connection, pace=drive.PACE, sleep=at_once)
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(ordering.run(wanted))
        this.die = lambda: loop.call_soon_threadsafe(task.cancel)
        await task

    with suppress(Crash, asyncio.CancelledError):
        asyncio.run(work())
    ledger.close()
    return {index: entry for index, entry in ledger.entries.items() if entry.known}


@pytest.fixture(scope="module", autouse=True)
def _at_once() -> Iterator[None]:
    with no_waiting():
        yield


@contextmanager
def no_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "SETTLED", -60.0)
        patch.setattr(batches, "WITNESSES", 2)
        patch.setattr("airflow_provider_segmind.batch.settling.OUTAGE", 0.0)
        # Threads would be most of the time of an example.
        patch.setattr("airflow_provider_segmind.orders.ledger.ThreadPoolExecutor", Later)
        patch.setattr("airflow_provider_segmind.batch.ordering.log", SimpleNamespace(**_QUIET))
        yield


_QUIET = {name: lambda *_: None for name in ("info", "warning", "exception")}

attempts = st.lists(
    st.fixed_dictionaries(
        {
            "answers": st.lists(st.sampled_from(ANSWERS), max_size=12),
            "lives": st.none() | st.integers(1, 40),
            "fails": st.sets(st.integers(0, HEAD.count - 1), max_size=2),
        }
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=400, deadline=None)
@given(script=attempts, history=st.sampled_from(["whole", "whole", *ODD]))
def test_no_swap_is_charged_twice_whatever_dies_and_is_retried(script: list[Any], history: str) -> None:
    world = World(history)
    for one in script:
        known = attempt(world, list(one["answers"]), one["lives"])
        living = world.living()
        assert not [scene for scene, count in living.items() if count > 1]
        for index, entry in known.items():
            assert world.ledger[entry.request_id]["character_image"] == SWAPS[index].character_image
        world.failed |= {known[index].request_id for index in one["fails"] if index in known}


@settings(max_examples=400, deadline=None)
@given(script=attempts, history=st.sampled_from(["whole", "whole", *ODD]), uploaded=st.booleans())
def test_takes_of_one_swap_are_charged_as_often_as_was_asked_for(
    script: list[Any], history: str, uploaded: bool
) -> None:
    """Three takes have the same inputs at the same time, also where their pictures were uploaded once for all."""
    takes = [replace(swap, character_image=f"{drive.SCENE}?{swap.index // 3}") for swap in SWAPS]
    world = World(history)
    with pytest.MonkeyPatch.context() as patch:
        if uploaded:
            patch.setattr("airflow_provider_segmind.batch.ordering.has_own_input", lambda *_: True)
        for one in script:
            known = attempt(world, list(one["answers"]), one["lives"], swaps=takes)
            assert max(world.living().values(), default=0) <= 3
            assert len({entry.request_id for entry in known.values()}) == len(known)
            world.failed |= {known[index].request_id for index in one["fails"] if index in known}


@settings(max_examples=300, deadline=None)
@given(script=attempts)
def test_with_a_whole_history_every_swap_that_was_charged_is_delivered_in_the_end(script: list[Any]) -> None:
    world = World()
    for one in script:
        attempt(world, list(one["answers"]), one["lives"])
    known = attempt(world, [], None)
    charged = {str(inputs["character_image"]) for inputs in world.ledger.values()}
    assert charged == {SWAPS[index].character_image for index in known}
    assert set(world.living().values()) <= {1}


@settings(max_examples=100, deadline=None)
@given(script=attempts)
def test_without_a_history_only_resubmit_pays_again_and_only_for_what_is_unknown(script: list[Any]) -> None:
    world = World("none")
    for one in script:
        attempt(world, list(one["answers"]), one["lives"])
    before = world.living()
    known = attempt(world, [], None, resubmit=True)
    sure = {SWAPS[index].character_image for index in known}
    assert sure == {swap.character_image for swap in SWAPS}
    assert all(count - before[scene] <= 1 for scene, count in world.living().items())
