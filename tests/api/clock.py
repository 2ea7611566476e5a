"""Time that passes at once: a clock for whoever blocks, and an event loop for whoever awaits."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_segmind.api.aclient import AsyncClient
from airflow_provider_segmind.api.wire import Answer, Request


class Clock:
    """Tells the time, and lets whatever is slept pass at once."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.slept.append(seconds)
        self.ahead += seconds

    async def asleep(self, seconds: float) -> None:
        """Let so many seconds pass on an event loop."""
        self.sleep(seconds)
        await asyncio.sleep(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time leaps to the next timer, unless a request is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self._under_way = 0
        self._select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._leap  # type: ignore[attr-defined]

    def time(self) -> float:
        """Return seconds since some point."""
        return super().time() + self.ahead

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Have timers wait for the real time, since something else than they is waited for."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _leap(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0 or self._under_way:
            return self._select(timeout)
        events = self._select(0)
        if not events:
            self.ahead += timeout
        return events


def now() -> float:
    """Return seconds since the epoch, by the running loop."""
    return time.time() + leapt()


def leapt() -> float:
    """Return how many seconds the running loop was spared."""
    loop = asyncio.get_running_loop()
    return loop.ahead if isinstance(loop, LeapingLoop) else 0.0


class LeapingClient(AsyncClient):
    """A client whose requests hold the loop's time, and whose answers can be kept on their way."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, clock=now, **more)
        self.open = asyncio.Event()
        self.open.set()
        self.held = asyncio.Event()

    async def send(self, request: Request) -> Answer:
        """Send a request in real time."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, LeapingLoop):
            return await super().send(request)
        with loop.busy():
            answer = await super().send(request)
        self.held.set()
        await self.open.wait()
        return answer


def leaping(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Have a test run on an event loop whose time leaps."""

    @functools.wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.run(test(*args, **fixtures))  # type: ignore[arg-type]

    return run
