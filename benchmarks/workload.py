"""What all variants are given: the same jobs, which end at the same times."""

from __future__ import annotations

import math
import random

MEDIAN, P95 = 35.0, 90.0
"""Seconds that a swap is taken to last (the service publishes neither)."""
SIGMA = math.log(P95 / MEDIAN) / 1.645
INTERVAL = 7.0
"""Seconds between polls, as documented."""


def durations(count: int, seed: int, *, factor: float = 1.0, longest: float = math.inf) -> list[float]:
    """Return how many seconds each job lasts; ``factor`` scales time, and no job lasts longer than ``longest``."""
    source = random.Random(seed)  # noqa: S311 - a simulation
    return [min(source.lognormvariate(math.log(MEDIAN), SIGMA) * factor, longest) for _ in range(count)]
