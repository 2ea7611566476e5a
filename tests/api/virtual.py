"""Time that passes only when somebody sleeps, and a Segmind that lives in it: ten minutes of outage take no time."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, TypeVar

from airflow_provider_segmind.api.aclient import AsyncClient, Sent
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.wire import Request, Response
from tests.api.drive import COMPLETED, POLL_URL, PROCESSING, answer, settings

T = TypeVar("T")

GONE = answer({"error": "Request not found"}, 404)
DOWN = answer(b"<html>502 Bad Gateway</html>", 502)
REFUSED = ConnectionRefusedError("no")
FOREIGN = answer({"status": "FAILED", "request_id": "another", "error": "x"})


class Clock:
    """
    The true time, and that of machines whose clocks are not true.

    :param began: seconds since the epoch.
    """

    def __init__(self, began: float = 1_800_000_000.0) -> None:
        self.began = began
        self.passed = 0.0
        """Seconds since then; an epoch's seconds are too many for a loop to add fractions to."""

    def __call__(self) -> float:
        """Return the time."""
        return self.began + self.passed

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += max(0.0, seconds)

    def off_by(self, seconds: float) -> Callable[[], float]:
        """Return the clock of a machine that is ahead."""
        return lambda: self() + seconds


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, lets time pass."""

    clock: Clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.clock.sleep(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, without threads."""

    def __init__(self, clock: Clock) -> None:
        selector = _Selector()
        selector.clock = clock
        self._clock = clock
        super().__init__(selector)

    def time(self) -> float:
        return self._clock.passed

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            done.set_exception(error)
        return done


def run_virtually(clock: Clock, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(work)


class Service:
    """
    A Segmind whose jobs are done some seconds after the beginning.

    :param clock: the true time.
    :param fault: what it answers to a poll at so many seconds since the beginning instead of the truth; an ``OSError``
        is raised.
    :param lasts: seconds after which a job is done, by its id.
    """

    def __init__(
        self,
        clock: Clock,
        fault: Callable[[float], Response | OSError | None] = lambda seconds: None,
        lasts: Callable[[str], float] = lambda request_id: 40.0,
    ) -> None:
        self.clock = clock
        self.fault = fault
        self.lasts = lasts
        self.asked: list[float] = []
        """When it was asked, in seconds since the beginning."""
        self.seen: Counter[str] = Counter()

    def poll(self, request: Request, local: float) -> Response:
        """Answer, as it is seen by a machine with this time."""
        seconds, request_id = self.clock.passed, request.url.rpartition("/")[2]
        self.asked.append(seconds)
        self.seen[request_id] += 1
        said = self.fault(seconds)
        if isinstance(said, OSError):
            raise said
        said = said or (COMPLETED if seconds >= self.lasts(request_id) else PROCESSING)
        return Response(said.status, {"date": formatdate(self.clock(), usegmt=True)}, said.body, local)

    def client(self, ahead: float = 0.0) -> VirtualClient:
        """Return what a worker asks with whose clock is ahead."""
        return VirtualClient(self, ahead)

    def aclient(self, ahead: float = 0.0) -> VirtualAsyncClient:
        """Return what a triggerer asks with."""
        return VirtualAsyncClient(self, ahead)


class VirtualClient(Client):
    """A worker's client without a socket."""

    def __init__(self, service: Service, ahead: float) -> None:
        super().__init__(settings(), None, clock=service.clock.off_by(ahead), sleep=service.clock.sleep)  # type: ignore[arg-type]
        self._service = service

    def _exchange(self, request: Request) -> Response:
        return self._service.poll(request, self.clock())


class VirtualAsyncClient(AsyncClient):
    """A triggerer's client without a socket."""

    def __init__(self, service: Service, ahead: float) -> None:
        super().__init__(settings(), None, clock=service.clock.off_by(ahead))  # type: ignore[arg-type]
        self._service = service

    async def _exchange(self, request: Request, sent: Sent) -> Response:
        return self._service.poll(request, self.clock())


def between(start: float, end: float, said: Response | OSError) -> Callable[[float], Response | OSError | None]:
    """Return a fault that lasts from one second to another."""
    return lambda seconds: said if start <= seconds < end else None


class Triggerer:
    """
    A poller whose clock is ahead.

    :param service: whom it asks.
    :param ahead: seconds.
    """

    def __init__(self, service: Service, ahead: float = 0.0) -> None:
        self.service = service
        self.client = service.aclient(ahead)
        self.poller = Poller(self.clients, clock=self.client.clock)

    async def clients(self, *, refused: Any = None) -> Any:
        """Return the client."""
        return self.client

    def wait(self, timeout: float = 3600.0, number: int = 0, **options: Any) -> Any:
        """Wait for a job until a deadline that a machine with the true time has set."""
        deadline = self.service.clock() + timeout
        return self.poller.wait(f"{POLL_URL[:-3]}{number:03}", **{"deadline": deadline, "clock_offset": 0.0, **options})

    def run(self, *waits: Any) -> list[Any]:
        """Wait for all, and return what became of each."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*waits, return_exceptions=True)

        return run_virtually(self.service.clock, all_of_them())
