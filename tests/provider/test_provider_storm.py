"""
Storms in virtual time: late answers, outages, odd histories and kills, as seeds have it, on the way of one order.

The operator, its hook, trigger and poller are the real ones; only the wire and the store are modelled. The report of a
storm is its seed: a seed that fails is played again by ``STORM_SEEDS=4711-4711``.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_segmind.api import history, transport
from airflow_provider_segmind.api.wire import Request, Response
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from tests.api.drive import COMPLETED, INPUTS, PROCESSING, answer
from tests.api.virtual import DOWN, GONE, Clock, Service, VirtualAsyncClient, VirtualClient
from tests.provider.running import TaskInstance
from tests.provider.virtual import World

pytestmark = pytest.mark.slow

SEEDS = os.environ.get("STORM_SEEDS", "0-249")
READ_TIMEOUT = 35.0
SETTLED, PATIENCE = history.SETTLED, history.PATIENCE
SERVED = "https://api.segmind.com/workflows/request/"


class Crash(BaseException):
    """The process died."""


@dataclass
class Order:
    """What the service knows of one job."""

    created: float
    inputs: dict[str, Any]
    lasts: float
    fails: bool


class Segmind(Service):
    """A service in a bad hour, and the store of an Airflow whose processes die."""

    def __init__(self, clock: Clock, seed: int) -> None:
        super().__init__(clock)
        self.dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.orders: dict[str, Order] = {}
        self.stored: dict[str, Any] = {}
        self.kills = self.dice.choice((0.0, 0.02, 0.06))
        self.faults = self.dice.choice((0.1, 0.4, 0.7))
        self.history = self.dice.choice(("whole", "whole", "late", "only what has ended", "none"))
        begin = self.dice.uniform(0, 120)
        self.outages = [(begin, begin + self.dice.choice((0, 30, 200, 900)))]
        self.calm_after = self.dice.uniform(60, 2400)
        """Seconds after which all is well again; otherwise no order could be delivered."""

    @property
    def angry(self) -> bool:
        return self.clock.passed < self.calm_after

    def maybe_die(self) -> None:
        if self.angry and self.dice.random() < self.kills:
            raise Crash

    def happens(self) -> bool:
        return self.angry and self.dice.random() < self.faults

    # -- the store

    def get(self, key: str) -> Any:
        self.maybe_die()
        return self.stored.get(key)

    def set(self, key: str, value: Any) -> None:
        self.maybe_die()
        self.stored[key] = json.loads(json.dumps(value))
        self.maybe_die()

    def delete(self, key: str) -> None:
        self.maybe_die()
        self.stored.pop(key, None)

    # -- the wire; whoever calls says how a request that was sent is marked as such

    def exchange(self, request: Request, sent: Any, *, mortal: bool) -> Response:
        if mortal:
            self.maybe_die()
        if any(begin <= self.clock.passed < end for begin, end in self.outages):
            if self.dice.random() < 0.5:
                raise ConnectionRefusedError
            return DOWN
        setattr(sent, "sent" if isinstance(sent, transport.Exchange) else "value", True)
        said = self._answered(request)
        if mortal:
            self.maybe_die()
        return Response(said.status, {"date": formatdate(self.clock(), usegmt=True)}, said.body, self.clock())

    def _answered(self, request: Request) -> Response:
        if request.method == "POST":
            return self._order(dict(request.payload or {}))
        return self._history() if "request-history" in request.url else self._poll(request.url.removeprefix(SERVED))

    def _order(self, inputs: dict[str, Any]) -> Response:
        how = self.dice.choice(("late", "reset", "reset before", "500", "no URL", "429")) if self.happens() else "good"
        if how == "429":
            return answer({"error": "slow down"}, 429)
        if how == "reset before":
            raise ConnectionResetError
        name = f"request{len(self.orders):04d}"
        self.orders[name] = Order(self.clock(), inputs, self.dice.uniform(5, 120), self.dice.random() < 0.1)
        if how == "late":
            self.clock.sleep(READ_TIMEOUT)
        if how in ("late", "reset"):
            raise ConnectionResetError
        if how == "500":
            return answer({"error": "Server error"}, 500)
        url = {} if how == "no URL" else {"poll_url": f"{SERVED}{name}"}
        return answer({**url, "request_id": name, "status": "QUEUED"})

    def _poll(self, name: str) -> Response:
        if self.happens():
            how = self.dice.choice(("502", "429", "404", "reset", "late"))
            if how in ("reset", "late"):
                self.clock.sleep(READ_TIMEOUT if how == "late" else 0)
                raise ConnectionResetError
            return {"502": DOWN, "429": answer({"error": "slow down"}, 429), "404": GONE}[how]
        order = self.orders.get(name)
        if order is None:
            return GONE
        if self.clock() < order.created + order.lasts:
            return PROCESSING
        return answer({"status": "FAILED", "error": "nobody in it"}) if order.fails else COMPLETED

    def _history(self) -> Response:
        if self.history == "none":
            return answer({"error": "no such page"}, 404)
        if self.happens():
            return self.dice.choice((DOWN, answer({"error": "slow down"}, 429)))
        late = 45.0 if self.history == "late" else 0.0
        rows = [
            {
                "request_id": name,
                "request_body": order.inputs,
                "model_created": datetime.fromtimestamp(order.created, UTC).isoformat(),
                "latency_ms": 1000 * order.lasts if self.clock() >= order.created + order.lasts else None,
            }
            for name, order in reversed(self.orders.items())
            if self.clock() >= order.created + (order.lasts if self.history == "only what has ended" else late)
        ]
        return answer({"data": rows})

    def client(self, ahead: float = 0.0) -> VirtualClient:
        return _Client(self, ahead)

    def aclient(self, ahead: float = 0.0) -> VirtualAsyncClient:
        return _AsyncClient(self, ahead)


class _Client(VirtualClient):
    _service: Segmind

    def _exchange(self, request: Request) -> Response:
        sent = transport._current.get()
        assert sent is not None
        return self._service.exchange(request, sent, mortal=True)


class _AsyncClient(VirtualAsyncClient):
    _service: Segmind

    async def _exchange(self, request: Request, sent: Any) -> Response:
        return self._service.exchange(request, sent, mortal=False)  # a triggerer's successor waits as it would


@dataclass
class Told:
    """What a task told whoever looks at it: results and errors of its attempts."""

    delivered: str | None = None
    errors: list[str] = field(default_factory=list)
    killed: int = 0
    killed_last: bool = False

    @property
    def last(self) -> str:
        """Return the newest error."""
        return self.errors[-1] if self.errors else ""


def play(world: World, segmind: Segmind, retries: int) -> Told:
    """Try a task until it ends, as a scheduler would."""
    told = Told()
    for number in range(1, retries + 2):
        ti = TaskInstance(max_tries=retries, try_number=number)
        context: Any = {"ti": ti, "task_state_store": segmind}
        told.killed_last = False
        try:
            told.delivered = _attempt(world, context)["request_id"]
        except Crash:
            told.killed += 1
            told.killed_last = True
        except AirflowFailException as error:
            told.errors.append(str(error))
            break
        except Exception as error:  # noqa: BLE001 - as Airflow takes it
            told.errors.append(f"{type(error).__name__}: {error}")
        else:
            break
        segmind.clock.sleep(segmind.dice.choice((1.0, 60.0, 300.0)))
    return told


def _attempt(world: World, context: Any) -> Any:
    def task() -> BodySwapOperator:
        return BodySwapOperator(task_id="task", **INPUTS, max_outage=world.service.dice.choice((None, 20.0)))  # type: ignore[attr-defined]

    try:
        return task().execute(context)
    except TaskDeferred as deferred:
        event = world.event(deferred.trigger)
        return task().resume_execution(deferred.method_name, {"event": event}, context)


@contextmanager
def storm(seed: int) -> Iterator[tuple[World, Segmind]]:
    with pytest.MonkeyPatch.context() as patch:
        segmind = Segmind(Clock(), seed)
        world = World(patch, segmind)
        time = SimpleNamespace(time=segmind.clock, strftime=lambda *_: "then", gmtime=lambda *_: None)
        for module in ("place", "recovery"):
            patch.setattr(f"airflow_provider_segmind.orders.{module}.time", time)
        patch.setattr(history, "SETTLED", SETTLED)
        patch.setattr(history, "PATIENCE", PATIENCE)
        patch.setattr("random.random", segmind.dice.random)
        yield world, segmind


def seeds() -> range:
    first, _, last = SEEDS.partition("-")
    return range(int(first), int(last) + 1)


@pytest.mark.parametrize("retries", [0, 3])
def test_no_storm_loses_an_order_without_its_id_in_an_error_or_pays_twice(retries: int) -> None:
    lost, delivered = [], 0
    for seed in seeds():
        with storm(seed) as (world, segmind):
            told = play(world, segmind, retries)
        live = [name for name, order in segmind.orders.items() if not order.fails]
        assert len(live) <= 1, f"seed {seed}: paid twice"
        delivered += told.delivered is not None
        # A killed attempt has no error, and nobody can name what no history tells.
        if told.killed_last or segmind.history == "none" or "The request history did not answer now" in told.last:
            continue
        said, record = "\n".join(told.errors), json.dumps(segmind.stored)
        for name, order in segmind.orders.items():
            if name != told.delivered and name not in said and not (order.fails and name in record):
                lost.append(f"seed {seed}, history {segmind.history}, {told.killed} killed: {name}: {said}")
    assert not lost, "\n".join(lost)
    assert delivered
