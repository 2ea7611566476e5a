"""The rate limit. Pure: the time is passed in."""

from __future__ import annotations

from collections import deque


class RateWindow:
    """A sliding minute of requests."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def take(self, now: float, limit: int | None, seconds: float) -> float:
        """
        Count one request and return 0, or do not count it and return the seconds until one is allowed.

        :param now: The time, in seconds since the epoch.
        :param limit: Requests in a window; None: no limit.
        :param seconds: Length of the window.
        """
        if limit is None:
            return 0.0
        times = self._times
        while times and times[0] <= now - seconds:
            times.popleft()
        if len(times) < limit:
            times.append(now)
            return 0.0
        # With a limit lowered while running, more than the oldest must leave before one may enter.
        return max(0.001, times[len(times) - limit] + seconds - now) if limit > 0 else seconds
