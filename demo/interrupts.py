"""Ctrl-C and SIGTERM, kept away from the few lines that they must not cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until the block is done: a process that is started must be remembered, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    with handled(lambda signum, _frame: pending.append(signum)):
        yield
    if pending:
        signal.raise_signal(pending[0])


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Have another handler of Ctrl-C and SIGTERM while the block runs."""
    before = {signum: signal.signal(signum, handler) for signum in _SIGNALS}
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)


def raise_on_sigterm() -> None:
    """Make SIGTERM unwind the program just as Ctrl-C does, so that one clean-up serves both."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # A shell starts background jobs with SIGINT ignored, and then KeyboardInterrupt would never come.
    for signum in _SIGNALS:
        signal.signal(signum, interrupt)
