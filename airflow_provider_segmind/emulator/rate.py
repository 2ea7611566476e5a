"""The rate limit. Pure: the time is an argument."""

from __future__ import annotations

from collections import deque


class RateWindow:
    """A sliding window of requests."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def take(self, now: float, limit: int | None, seconds: float) -> float:
        """Count a request and return 0; over the limit, count nothing and return the seconds until one is allowed."""
        if limit is None:
            return 0.0
        times = self._times
        while times and times[0] <= now - seconds:
            times.popleft()
        if len(times) < limit:
            times.append(now)
            return 0.0
        # If the limit was lowered at run time, several requests must leave the window before one may enter.
        return max(0.001, times[len(times) - limit] + seconds - now) if limit > 0 else seconds
