"""Compare this machine's clock with the service's, the one clock that all machines see; say times in messages."""

from __future__ import annotations

import time
from functools import lru_cache

from airflow_provider_segmind.api.refusals import moment_of
from airflow_provider_segmind.api.wire import Response

NOTHING = 2.0
"""Seconds of difference that are ignored: an answer takes a moment, and its time is in whole seconds."""
UNKNOWN = -120.0
"""Assumed offset in seconds of an unknown clock: it may have set a deadline this much too early."""
GARBAGE = 86_400.0
"""Largest plausible difference in seconds; beyond it, the answer's time is ignored."""


def clock_offset(response: Response, known: float | None) -> float | None:
    """Return the seconds by which this machine's clock is ahead of the service's; ``known`` if no valid time came."""
    told = _date(response.headers.get("date", ""))
    if told is None or abs(response.at - told) > GARBAGE:
        return known
    offset = response.at - told
    return offset if abs(offset) > NOTHING else 0.0


def known_offset(offset: float | None) -> float:
    """Return the seconds by which a clock is ahead of the service's; a safe value if unknown."""
    return UNKNOWN if offset is None else offset


@lru_cache(maxsize=16)
def _date(text: str) -> float | None:
    """Parse a time; cached, since a triggerer reads hundreds of answers in the same second."""
    return moment_of(text)


def moment(at: float) -> str:
    """Return a time, in seconds since the epoch, as text for messages."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
