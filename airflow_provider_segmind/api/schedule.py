"""
When to ask for which job: one schedule and one request budget for all jobs of a connection. Pure: time is an argument.

A pending job is asked for first when half of them are usually still running, then in steps of a seventh of the usual
duration, at most the poll interval, and in the tail in steps of 8 % of the time it has taken. In a simulation of
400,000 jobs (median 35 s, 95 % below 90 s) that is within 3 % of what dynamic programming finds for as many requests;
a fixed 7 s is 54 % off, and exponential backoff far more, so that is for errors only.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

PRIOR = 35.0
"""Seconds that a job of an unknown workflow is taken to last; it weighs as much as one job that was seen."""
STEPS = 7
SHORTEST = 2.0
"""Seconds below which a step does not go, unless the poll interval itself is shorter."""
LONGEST = 30.0
TAIL = 0.08
QUICK_STEPS = 17.5
QUICK_TAIL = 0.02
"""The same two for the shortest steps, taken when a limit leaves room: 2 s for a job of 35 s, as the SDK does."""
RESERVE = 0.05
"""Share of a limit that is not spent on asking sooner than need be, since orders need some of it, too."""
MEMORY = 0.03
"""Share of what is known that each new job replaces, once there are enough of them."""
MARGIN = 1.01
"""How much wider than exactly even requests are spaced, since a service's minute is not quite ours."""
JITTER = 0.05
RECOVERY = 60.0
"""Seconds in which the pace grows back after a 429."""

K = TypeVar("K")

_Entry = tuple[float, int, K]
"""When, which wish, whose: a plain tuple, since a heap of thousands compares dozens of times for each poll."""


@dataclass(frozen=True, slots=True)
class Wish:
    """
    When a job is to be asked for.

    :param at: as soon as possible after this.
    :param soonest: not before this, even if the budget has nothing else to do; not before ``at`` if left out.
    """

    at: float
    soonest: float = math.inf

    def by(self, deadline: float) -> Wish:
        """Return the same, but not after the deadline."""
        return Wish(min(self.at, deadline), min(self.soonest, deadline))


class Timing:
    """How long jobs of one workflow take: a running mean of logarithms, which is robust against a few long ones."""

    def __init__(self) -> None:
        self._log = math.log(PRIOR)
        self.seen = 0

    @property
    def median(self) -> float:
        """Seconds that a job usually takes."""
        return math.exp(self._log)

    def learn(self, seconds: float) -> None:
        """Take a finished job into account."""
        self.seen += 1
        weight = max(1.0 / (self.seen + 1), MEMORY)
        away = math.log(max(seconds, 0.1)) - self._log
        # Bounded, so that one job that hung for an hour does not make the next hundred wait.
        self._log += weight * max(-1.0, min(1.0, away))

    def first(self, poll_interval: float) -> float:
        """Return the age in seconds at which a job is asked for first."""
        half = self.median / 2
        return half if self.seen else min(half, 2.5 * poll_interval)

    def step(self, age: float, poll_interval: float) -> float:
        """Return the seconds until a job that is this old is asked for again."""
        return self._step(STEPS, TAIL, age, poll_interval)

    def quick_step(self, age: float, poll_interval: float) -> float:
        """Return the seconds before which it is not asked for again even if there is nothing else to do."""
        return self._step(QUICK_STEPS, QUICK_TAIL, age, poll_interval)

    def _step(self, steps: float, tail: float, age: float, poll_interval: float) -> float:
        step = min(max(self.median / steps, SHORTEST), poll_interval)
        return max(step, min(tail * age, LONGEST))


class Budget:
    """
    How many requests may go out, over all jobs.

    :param requests_per_minute: what the account allows; ``None`` for no limit until a 429 shows one.
    """

    def __init__(self, requests_per_minute: float | None) -> None:
        self._limit = None if requests_per_minute is None else requests_per_minute / 60
        self._base = self._limit
        self._factor = 1.0
        self._changed = -math.inf
        self._paused_until = -math.inf
        self._next = -math.inf
        self._interval: float | None = None
        self._last: float | None = None

    @property
    def known(self) -> bool:
        """Whether the account's limit is known, and not only felt."""
        return self._limit is not None

    def ready_at(self, now: float) -> float:
        """Return when the next request may go out; not later than now if it may at once."""
        return max(self._paused_until, self._next if self.rate(now) is not None else -math.inf)

    def rate(self, now: float) -> float | None:
        """Return the requests a second that are allowed, or ``None`` for any number."""
        if self._base is None:
            return None
        factor = min(1.0, self._factor + max(0.0, now - self._changed) / RECOVERY)
        if factor >= 1.0 and self._limit is None:
            self._base = None
            return None
        return self._base * factor

    def spare_at(self, now: float) -> float:
        """Return when a request may go out that need not: never without a limit, or after a 429."""
        rate = self.rate(now)
        if self._limit is None or rate is None or rate < self._limit:
            return math.inf
        last = -math.inf if self._last is None else self._last
        return max(self.ready_at(now), last + MARGIN / (rate * (1 - RESERVE)))

    def spend(self, now: float) -> None:
        """Count a request that goes out now."""
        if self._last is not None:
            gap = max(now - self._last, 1e-4)
            self._interval = gap if self._interval is None else 0.9 * self._interval + 0.1 * gap
        self._last = now
        rate = self.rate(now)
        if rate is not None:
            self._next = max(self._next, now) + MARGIN / rate

    def limited(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """
        Take a 429 into account: pause as a whole, and go on at half the pace.

        :param sent_at: when the refused request was sent; those that were under way when the first was refused tell
            nothing new.
        """
        if sent_at <= self._changed:
            return
        rate = self.rate(now)
        if rate is None:
            rate = self._base = 1.0 / self._interval if self._interval else 1.0
        base = self._base or rate
        self._factor = max(rate / base / 2, 1.0 / 64)
        pause = retry_after if retry_after is not None else min(2.0 / self._factor, 60.0)
        self._paused_until = now + pause
        # The pace grows back from the end of the pause on.
        self._changed = self._paused_until


class _Queue(Generic[K]):
    """Keys by time; one that is put again or dropped leaves an entry behind, which costs nothing until its turn."""

    def __init__(self) -> None:
        self.heap: list[_Entry[K]] = []
        self.entries: dict[K, _Entry[K]] = {}
        self._numbers = 0

    def put(self, key: K, at: float) -> None:
        self._numbers += 1
        entry = (at, self._numbers, key)
        self.entries[key] = entry
        heapq.heappush(self.heap, entry)
        if len(self.heap) > 64 and len(self.heap) > 2 * len(self.entries):
            self.heap = list(self.entries.values())
            heapq.heapify(self.heap)

    def drop(self, key: K) -> None:
        self.entries.pop(key, None)

    def first(self) -> _Entry[K] | None:
        while self.heap:
            entry = self.heap[0]
            if self.entries.get(entry[2]) is entry:
                return entry
            heapq.heappop(self.heap)
        return None


class Schedule(Generic[K]):
    """
    Which job to ask for next, when the budget allows a request: without a limit, the one that is due the longest.

    Where a known limit leaves room, jobs are asked for before they are due, so that results are seen sooner. Then the
    one goes first that could have been asked for the longest, due or not: whoever were preferred for being due would be
    those whose steps are short, and jobs that take unusually long would wait.

    :param requests_per_minute: see :class:`Budget`.
    :param jitter: source of random numbers in [0, 1), which keeps jobs that came together from staying together.
    """

    def __init__(
        self, requests_per_minute: float | None = None, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self.budget = Budget(requests_per_minute)
        self._jitter = jitter
        self._timings: dict[str, Timing] = {}
        self._due: _Queue[K] = _Queue()
        self._soon: _Queue[K] = _Queue()

    def __len__(self) -> int:
        return len(self._due.entries)

    def timing(self, workflow: str) -> Timing:
        """Return what is known about a workflow."""
        return self._timings.setdefault(workflow, Timing())

    def first(self, workflow: str, poll_interval: float, started_at: float) -> Wish:
        """Return when a new job is to be asked for first."""
        first = self.spread(self.timing(workflow).first(poll_interval), JITTER)
        return Wish(started_at + first, started_at + first / 2)

    def again(self, workflow: str, age: float, poll_interval: float, now: float) -> Wish:
        """Return when a job is to be asked for again that is this old and pending."""
        timing, share = self.timing(workflow), self.spread(1.0, 2 * JITTER)
        usual = timing.step(age, poll_interval)
        if self.budget.known:
            # Whoever was asked for early does not come before those who have not been asked for yet.
            usual = max(usual, timing.first(poll_interval) - age)
        quick = timing.quick_step(age, poll_interval)
        return Wish(now + usual * share, now + quick * share)

    def put(self, key: K, wish: Wish) -> None:
        """Have a job asked for, in place of any earlier wish."""
        self._due.put(key, wish.at)
        if self.budget.known:
            self._soon.put(key, min(wish.at, wish.soonest))

    def drop(self, key: K) -> None:
        """Forget a job."""
        self._due.drop(key)
        self._soon.drop(key)

    def next_at(self, now: float) -> float | None:
        """Return when there is something to send, or ``None`` if there are no jobs."""
        due, soon = self._due.first(), self._soon.first()
        if due is None:
            return None
        at = max(due[0], self.budget.ready_at(now))
        return at if soon is None else min(at, max(soon[0], self.budget.spare_at(now)))

    def take(self, now: float) -> K | None:
        """Return the job to ask for now, if there is one and a request may go out; it has to be put again."""
        due, soon = self._due.first(), self._soon.first()
        if due is not None and due[0] <= now and self.budget.ready_at(now) <= now:
            key = due[2] if soon is None or soon[0] > now else soon[2]
        elif soon is not None and soon[0] <= now and self.budget.spare_at(now) <= now:
            key = soon[2]
        else:
            return None
        self.drop(key)
        self.budget.spend(now)
        return key

    def clear(self) -> list[K]:
        """Forget all jobs, and return them."""
        keys = list(self._due.entries)
        self._due, self._soon = _Queue(), _Queue()
        return keys

    def spread(self, seconds: float, share: float) -> float:
        """Return so many seconds, more or less by a share of them."""
        return seconds * (1 + share * (2 * self._jitter() - 1))
