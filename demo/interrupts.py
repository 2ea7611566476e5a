"""Ctrl-C and SIGTERM, kept away from the few lines that they must not cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[None]:
    """
    Hold back Ctrl-C and SIGTERM until the block is done, then let them through.

    Without it, an interrupt between the start of a process and the line that remembers it leaves a process
    behind that nobody will stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []

    def remember(signum: int, _frame: FrameType | None) -> None:
        pending.append(signum)

    before = {signum: signal.signal(signum, remember) for signum in _SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if pending:
        signal.raise_signal(pending[0])


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM while the block runs; only for clean-up that is bounded in time."""
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in _SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def raise_on_sigterm() -> None:
    """Make SIGTERM unwind the program just as Ctrl-C does, so that one clean-up serves both."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    # A shell starts background jobs with SIGINT ignored, and then KeyboardInterrupt would never come.
    signal.signal(signal.SIGINT, interrupt)
