"""
Polling in simulated time: a service that limits requests, and two ways to drive a schedule through it.

Nothing here waits or sends, so an hour of a thousand jobs takes a second.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_segmind.api.schedule import MARGIN, DueTime, Schedule
from benchmarks.workload import INTERVAL, MEDIAN, SIGMA, durations

NETWORK = (0.02, 0.3)
"""Seconds that a request takes to arrive, least and most: it makes even requests arrive unevenly."""


class Account:
    """
    A service that refuses requests above a limit, both in a sliding minute and in minutes by the clock.

    :param limit: requests a minute; ``None`` for any number.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._sliding: deque[float] = deque()
        self._minutes: dict[int, int] = {}
        self.refused = 0
        self.requests = 0

    def accepts(self, at: float) -> bool:
        """Count a request that arrives now; whether it is answered."""
        self.requests += 1
        while self._sliding and self._sliding[0] <= at - 60:
            self._sliding.popleft()
        minute = self._minutes.get(int(at // 60), 0)
        if self._limit is not None and (len(self._sliding) >= self._limit or minute >= self._limit):
            self.refused += 1
            return False
        self._sliding.append(at)
        self._minutes[int(at // 60)] = minute + 1
        return True


@dataclass(frozen=True)
class Case:
    """
    So many jobs under such a limit.

    :param limit: requests a minute; ``None`` for any number.
    :param jobs: how many are in flight.
    :param within: seconds within which they are ordered; 0 is all at once, the hardest for a limit.
    """

    limit: float | None
    jobs: int
    within: float = 0.0

    @property
    def spacing(self) -> float:
        """Seconds between two requests that keep the limit."""
        return 0.0 if self.limit is None else MARGIN * 60 / self.limit

    def draw(self, seed: int) -> tuple[list[float], list[float]]:
        """Return when each job is ordered, in that order, and how long it lasts."""
        source = random.Random(seed)  # noqa: S311 - a simulation
        return sorted(source.uniform(0, self.within) for _ in range(self.jobs)), durations(self.jobs, seed)


@dataclass
class Outcome:
    """
    What polling in some way came to.

    :param late: seconds from done to seen of each job.
    :param requests: how many were sent, and how many of them refused.
    :param overdue: seconds that a job had to wait at most beyond the time at which it wished to be asked for.
    """

    late: list[float]
    requests: int
    refused: int = 0
    overdue: float = 0.0

    @property
    def mean(self) -> float:
        """Seconds from done to seen, on average."""
        return sum(self.late) / len(self.late)

    @property
    def per_job(self) -> float:
        """Requests for each job."""
        return self.requests / len(self.late)


Pick = Callable[[float, Sequence[int], Sequence[float], Sequence[float | None]], int | None]
"""Told the time, who is waited for, the ages and the ages when last asked: whom to ask now, or nobody."""


def through_schedule(case: Case, seed: int, *, told: bool = True) -> Outcome:
    """
    Poll as the poller does, with the schedule that it has, which knows nothing of these jobs before.

    :param told: whether the schedule knows the limit.
    """
    starts, lasting = case.draw(seed)
    source = random.Random(seed + 1000)  # noqa: S311 - a simulation
    account = Account(case.limit)
    schedule: Schedule[int] = Schedule(case.limit if told else None, jitter=source.random)
    timing = schedule.timing("swap")
    coming = deque(enumerate(starts))
    now, late, overdue = 0.0, [], 0.0
    due: dict[int, float] = {}
    while coming or len(schedule):
        at = schedule.next_at(now)
        while coming and (at is None or coming[0][1] <= at):
            number, start = coming.popleft()
            wish = schedule.first("swap", INTERVAL, start)
            due[number] = wish.at
            schedule.put(number, wish)
            at = schedule.next_at(now)
        now = max(now, at or 0.0)
        taken = schedule.take(now)
        if taken is None:
            continue
        number = taken
        overdue = max(overdue, now - due[number])
        if not account.accepts(now + source.uniform(*NETWORK)):
            schedule.budget.limited(now, now, None)
            schedule.put(number, DueTime(now))
        elif lasting[number] <= (age := now - starts[number]):
            late.append(age - lasting[number])
            timing.learn(age)
        else:
            wish = schedule.again("swap", age, INTERVAL, now)
            due[number] = wish.at
            schedule.put(number, wish)
    return Outcome(late, account.requests, account.refused, overdue)


def through_slots(case: Case, seed: int, pick: Pick, *, idle: float = 0.25) -> Outcome:
    """
    Poll whom ``pick`` says, each time that the limit allows a request.

    :param idle: seconds after which it is asked again if it said nobody.
    """
    starts, lasting = case.draw(seed)
    asked: list[float | None] = [None] * case.jobs
    waiting = list(range(case.jobs))
    now, requests, late = 0.0, 0, []
    while waiting:
        number = pick(now, waiting, starts, asked)
        if number is None:
            now += max(idle, case.spacing)
            continue
        requests += 1
        age = now - starts[number]
        if lasting[number] <= age:
            late.append(age - lasting[number])
            waiting.remove(number)
        else:
            asked[number] = age
        now += case.spacing
    return Outcome(late, requests)


def share_done(age: float) -> float:
    """Return the share of jobs that last no longer than this."""
    index = age * 10
    if index >= len(_DONE) - 1:
        return 1.0
    return _DONE[int(index)] if index > 0 else 0.0


def _lognormal(seconds: float) -> float:
    return 0.0 if seconds <= 0 else 0.5 * (1 + math.erf(math.log(seconds / MEDIAN) / SIGMA / math.sqrt(2)))


_DONE = [_lognormal(tenth / 10) for tenth in range(20_000)]
