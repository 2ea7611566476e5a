"""Count requests until a caller takes the counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """
    Requests since the counts were last taken.

    :param polls: requests for a job's state.
    :param rate_limited: 429 answers to any request.
    """

    polls: int = 0
    rate_limited: int = 0

    def take(self) -> Traffic:
        """Return the counts and reset them."""
        taken = Traffic(self.polls, self.rate_limited)
        self.polls = self.rate_limited = 0
        return taken
