"""A limit that threads share, for memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """Limits what this process's threads hold at the same time; who needs more than there is waits for all of it."""

    def __init__(self, size: int) -> None:
        self._all = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold so much while the context is open; wait until it is free."""
        needed = min(size, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify_all()
