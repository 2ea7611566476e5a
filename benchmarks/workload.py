"""What all variants are given: the same jobs, which end at the same times."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

MEDIAN, P95 = 35.0, 90.0
"""Seconds that a swap is taken to last (the service publishes neither)."""
SIGMA = math.log(P95 / MEDIAN) / 1.645
INTERVAL = 7.0
"""Seconds between polls, as documented."""


def durations(count: int, seed: int, *, factor: float = 1.0, longest: float = math.inf) -> list[float]:
    """Return how many seconds each job lasts; ``factor`` scales time, and no job lasts longer than ``longest``."""
    source = random.Random(seed)  # noqa: S311 - a simulation
    return [min(source.lognormvariate(math.log(MEDIAN), SIGMA) * factor, longest) for _ in range(count)]


@dataclass(frozen=True)
class Scenario:
    """
    One size at which all variants are compared.

    :param jobs: how many wait at once.
    :param factor: seconds here for each second of a real job, so that a round does not take minutes.
    :param longest: seconds after which every job is done.
    :param patience: seconds after which a variant that is not through is stopped, and counted as far as it came.
    :param variants: names of the variants.
    """

    name: str
    jobs: int
    factor: float
    longest: float
    patience: float
    variants: tuple[str, ...]

    @property
    def interval(self) -> float:
        """Seconds between polls."""
        return INTERVAL * self.factor
