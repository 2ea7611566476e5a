"""What this machine's clock is worth: the service's is the one clock that all machines see."""

from __future__ import annotations

from functools import lru_cache

from airflow_provider_segmind.api.refusals import moment_of
from airflow_provider_segmind.api.wire import Response

NOTHING = 2.0
"""Seconds of a difference that mean nothing: an answer takes a moment, and its time is in whole seconds."""
UNKNOWN = -120.0
"""Stands for an offset that nobody knows: such a clock may have set a deadline so much too early."""
GARBAGE = 86_400.0
"""Seconds of a difference with which an answer does not tell the time."""


def clock_offset(response: Response, known: float | None) -> float | None:
    """
    Return by how many seconds this machine's clock is ahead of the service's.

    :param known: what was known before, which stays if the answer has no time that can be true.
    """
    moment = _date(response.headers.get("date", ""))
    if moment is None or abs(response.at - moment) > GARBAGE:
        return known
    offset = response.at - moment
    return offset if abs(offset) > NOTHING else 0.0


def known_offset(offset: float | None) -> float:
    """Return by how many seconds a clock is ahead of the service's, if that is known, and else what is safe."""
    return UNKNOWN if offset is None else offset


@lru_cache(maxsize=16)
def _date(text: str) -> float | None:
    """Read a time; the answers of a second have the same, and a triggerer reads hundreds of them."""
    return moment_of(text)
