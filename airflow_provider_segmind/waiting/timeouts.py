"""Airflow's ``execution_timeout`` in a task that runs an event loop, and may be paying while it rings."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

GRACE = 5.0
"""Seconds in which what is under way may come to its end: an answer that is on its way names a paid job."""


@contextmanager
def timeout_told(tell: Callable[[BaseException], None]) -> Iterator[None]:
    """
    Have the timeout told inside the running loop.

    Airflow raises it wherever the process is just then. In an event loop that may be a callback, where asyncio logs it
    and goes on, or a task that nobody looks at.

    :param tell: is given the exception that Airflow would have raised.
    """
    airflows: Any = signal.getsignal(signal.SIGALRM)
    if not callable(airflows) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def ring() -> None:
        try:
            airflows(signal.SIGALRM, None)
        except BaseException as error:  # noqa: BLE001 - Airflow's own is no Exception
            tell(error)

    signal.signal(signal.SIGALRM, lambda *_: void(loop.call_soon_threadsafe(ring)))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, airflows)


async def until_timeout(work: Coroutine[Any, Any, T], stop: Callable[[Exception], None]) -> T:
    """
    Run a coroutine and return its result.

    At the task's timeout have it stop, cancel it a few seconds later, and raise the timeout.

    :param work: the coroutine.
    :param stop: has it begin nothing more.
    """
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
    """Return nothing: the handler of a signal must not."""
