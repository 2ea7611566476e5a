"""Count requests without telling anybody: whoever wants to know takes the counts now and then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """
    What was sent since the counts were last taken.

    :param polls: questions about a job.
    :param rate_limited: answers that were a 429, whatever was asked.
    """

    polls: int = 0
    rate_limited: int = 0

    def take(self) -> Traffic:
        """Return the counts, and begin anew."""
        taken = Traffic(self.polls, self.rate_limited)
        self.polls = self.rate_limited = 0
        return taken
