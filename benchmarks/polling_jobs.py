"""How long the jobs of a benchmark take: the same in the server and in the client that only pretends to wait."""

from __future__ import annotations

import math
import random

MEDIAN, P95 = 35.0, 90.0
LONGEST = 45.0
"""Seconds at which jobs are cut when time is not scaled, so that a round of thousands ends."""


def durations(count: int, factor: float) -> list[float]:
    """
    Return so many durations in seconds, log-normal as a sibling workflow's are.

    :param factor: by which all times are scaled.
    """
    sigma = math.log(P95 / MEDIAN) / 1.645
    dice = random.Random(count)  # noqa: S311 - the same jobs in every round
    drawn = (dice.lognormvariate(math.log(MEDIAN), sigma) for _ in range(count))
    return [min(seconds, LONGEST if factor >= 1 else seconds) * factor for seconds in drawn]
