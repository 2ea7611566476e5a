"""Virtual time, and threads of work that take turns at each step: the same seed gives the same turns."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

BEGAN = 1_800_000_000.0
"""Seconds since the epoch at which every world begins."""


class Killed(BaseException):
    """The process of this thread of work is killed; it is no ``Exception``, so that nothing catches it."""


class EndlessError(Exception):
    """Some work does not end."""


class Work(greenlet):
    """
    A thread of work in a process of its own, which can be killed at each step.

    :param name: for the trace.
    :param mortal: how likely it is killed at a step.
    """

    def __init__(self, name: str, body: Callable[[], None], mortal: float = 0.0) -> None:
        super().__init__(body)
        self.name = name
        self.mortal = mortal
        self.killed = False
        """Whether it was killed; then it takes no further step, even while it cleans up."""
        self.doomed = False
        """Whether it is to be killed at its next step."""
        self.of: Any = None
        """The attempt or the trigger that it runs."""


class Hub:
    """
    Gives turns by virtual time.

    :param rng: decides how long each step takes, and who is killed.
    :param stalls: how likely a process stands still for long at a step, and acts late on what it read.
    """

    MOST_STEPS = 100_000

    def __init__(self, rng: random.Random, stalls: float) -> None:
        self.rng = rng
        self.stalls = stalls
        self.now = BEGAN
        self.steps = 0
        self.kills = 0
        self.main = getcurrent()
        self.healed = False
        """Whether nothing is killed or slow any more."""
        self.trace: list[str] = []
        """What happened, line by line."""
        self._heap: list[tuple[float, int, Callable[[], Any]]] = []
        self._next = 0

    def clock(self) -> float:
        """Return the time in seconds since the epoch."""
        return self.now

    def at(self, moment: float, do: Callable[[], Any]) -> None:
        """Have something done at a moment."""
        self._next += 1
        heapq.heappush(self._heap, (moment, self._next, do))

    def start(self, work: Work, delay: float = 0.0) -> None:
        """Begin some work."""
        work.parent = self.main
        self.at(self.now + delay, work.switch)

    def run(self) -> None:
        """Give turns until nothing is left to do."""
        while self._heap:
            self.now, _, do = heapq.heappop(self._heap)
            do()

    def sleep(self, seconds: float) -> None:
        """Let time pass for the work that is running."""
        work = getcurrent()
        assert isinstance(work, Work)
        if not work.killed:
            moment = self.now + max(0.0, seconds)
            if self._heap and self._heap[0][0] <= moment:
                self.at(moment, work.switch)
                self.main.switch()
            else:
                self.now = moment  # nobody else has anything to do before
        if work.killed or work.doomed:
            work.killed = True
            raise Killed

    def step(self, what: str) -> None:
        """Take a step before or after something is read or written: others have turns, and the process can die."""
        work = getcurrent()
        assert isinstance(work, Work)
        self.steps += 1
        if self.steps > self.MOST_STEPS:
            raise EndlessError(f"{work.name} is still at {what}")
        self.trace.append(f"{self.now:.3f} {work.name} {what}")
        rng = self.rng
        seconds = 0.002 + 0.2 * rng.random() ** 3
        if not self.healed:
            if work.mortal and rng.random() < work.mortal:
                work.killed = True
                self.kills += 1
                raise Killed
            if self.stalls and rng.random() < self.stalls:
                seconds = rng.choice((3.0, 30.0, 100.0, 450.0, 1000.0, 5000.0)) * (0.5 + rng.random())
        self.sleep(seconds)
