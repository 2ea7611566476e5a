"""
Ways to choose whom to ask next, which the poller's schedule is compared with.

All know exactly how long jobs take, which the schedule has to learn. None asks for a job twice within :data:`FLOOR`
seconds, the official SDK's step: under an ample limit one would otherwise send hundreds of requests a job.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from benchmarks.simulation import Pick, share_done

FLOOR = 2.0
GRID = 0.5
"""Seconds between the ages at which the dynamic program may ask."""
HORIZON = 600.0


def earliest_due(first: float, step: Callable[[float], float]) -> Pick:
    """Ask at the age of ``first``, then in steps that may depend on the age; whoever is due longest goes first."""

    def pick(now: float, waiting: Sequence[int], starts: Sequence[float], asked: Sequence[float | None]) -> int | None:
        best, earliest = None, now
        for number in waiting:
            last = asked[number]
            due = starts[number] + (first if last is None else last + step(last))
            if due <= earliest:
                best, earliest = number, due
        return best

    return pick


def greedy(now: float, waiting: Sequence[int], starts: Sequence[float], asked: Sequence[float | None]) -> int | None:
    """Ask whoever is most likely to be done since it was asked last."""
    best, most = None, 0.0
    for number in waiting:
        age, last = now - starts[number], asked[number]
        if last is None:
            likely = share_done(age)
        elif age - last < FLOOR:
            continue
        else:
            before = share_done(last)
            likely = (share_done(age) - before) / (1 - before + 1e-12)
        if likely > most:
            best, most = number, likely
    return best


def fixed(seconds: float) -> Pick:
    """Ask every so many seconds."""
    return earliest_due(seconds, lambda age: seconds)


def growing(first: float, step: float, tail: float) -> Pick:
    """Wait first, then step evenly, then in proportion to the age."""
    return earliest_due(first, lambda age: max(step, tail * age))


def candidates(jobs: int) -> dict[str, Pick]:
    """Return all of them by name; for very many jobs only those that were the best among few."""
    named: dict[str, Pick] = {"greedy on P(done)": greedy, "round robin, or fixed 2 s": fixed(FLOOR)}
    named |= {f"fixed {seconds:g} s": fixed(seconds) for seconds in (3.5, 5, 7, 10)}
    grid = itertools.product((8.75, 17.5, 25.0), (2.0, 3.5, 5.0, 8.0), (0.0, 0.08))
    if jobs > 100:
        grid = itertools.product((8.75, 17.5), (2.0, 5.0), (0.08,))
    return named | {
        f"first {first:g} s, then {step:g} s or {tail:g} t": growing(first, step, tail) for first, step, tail in grid
    }


def front(requests: float) -> float:
    """
    Return the mean delay of the best schedule for one job with so many requests on average, by dynamic programming.

    The price of a request is varied until the schedule that is best at this price sends so many.
    """
    cheap, dear = 0.01, 20.0
    more, fewer = _best_at(cheap), _best_at(dear)
    for _ in range(12):
        price = (cheap * dear) ** 0.5
        found = _best_at(price)
        if found[0] > requests:
            cheap, more = price, found
        else:
            dear, fewer = price, found
    # Between two neighbours any mixture can be had, by tossing a coin for each job.
    share = (requests - fewer[0]) / (more[0] - fewer[0]) if more[0] > fewer[0] else 0.0
    return fewer[1] + share * (more[1] - fewer[1])


_AGES = [GRID * index for index in range(int(HORIZON / GRID) + 1)]
_SHARES = [share_done(age) for age in _AGES]
_AREAS = list(
    itertools.accumulate((GRID * (one + next_) / 2 for one, next_ in itertools.pairwise(_SHARES)), initial=0.0)
)


def _best_at(price: float) -> tuple[float, float]:
    """Return requests and mean delay of the schedule that costs least, if a request costs so many seconds of delay."""
    last = len(_AGES) - 1
    cost, following = [0.0] * (last + 1), [last] * (last + 1)
    for here in range(last - 1, -1, -1):
        best = float("inf")
        # From an age on at which nearly all are done, steps no longer matter; before, none exceeds two minutes.
        for there in range(here + 1, min(last, here + int(120 / GRID)) + 1):
            waited = _AREAS[there] - _AREAS[here] - _SHARES[here] * (_AGES[there] - _AGES[here])
            total = price * (1 - _SHARES[here]) + waited + cost[there]
            if total < best:
                best, following[here] = total, there
        cost[here] = best
    requests, late, here = 0.0, 0.0, 0
    while here < last:
        there = following[here]
        requests += 1 - _SHARES[here]
        late += _AREAS[there] - _AREAS[here] - _SHARES[here] * (_AGES[there] - _AGES[here])
        here = there
    return requests, late
