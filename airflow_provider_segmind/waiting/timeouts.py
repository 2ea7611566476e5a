"""Airflow's ``execution_timeout`` in a task that runs an event loop and may be placing a paid order at that moment."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

GRACE = 5.0
"""Seconds for running requests to finish: an answer that is on its way names a paid job."""


@contextmanager
def timeout_told(tell: Callable[[BaseException], None]) -> Iterator[None]:
    """Call ``tell`` with the timeout exception inside the running loop."""
    # Airflow raises the exception wherever the process is at that moment. In an event loop this may be a callback,
    # where asyncio only logs it, or a task whose result is never read.
    airflows: Any = signal.getsignal(signal.SIGALRM)
    if not callable(airflows) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def ring() -> None:
        try:
            airflows(signal.SIGALRM, None)
        except BaseException as error:  # noqa: BLE001 - Airflow's timeout is not an Exception
            tell(error)

    signal.signal(signal.SIGALRM, lambda *_: void(loop.call_soon_threadsafe(ring)))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, airflows)


async def until_timeout(work: Coroutine[Any, Any, T], stop: Callable[[Exception], None]) -> T:
    """Run a coroutine and return its result; at the task's timeout call ``stop``, cancel after ``GRACE``, and raise."""
    loop, running = asyncio.get_running_loop(), asyncio.ensure_future(work)
    ended: list[BaseException] = []

    def end(error: BaseException) -> None:
        ended.append(error)
        stop(TimeoutError(str(error)))
        loop.call_later(GRACE, running.cancel)

    with timeout_told(end):
        try:
            await running
        except asyncio.CancelledError:
            if not ended:
                raise
    if ended:
        raise ended[0]
    return running.result()


def void(_: object) -> None:
    """Return nothing, as a signal handler must."""
