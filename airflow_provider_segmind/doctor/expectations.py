"""What this package believes of the service, as data; a page of the documentation's site is made of it."""

from __future__ import annotations

import functools
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

_FILE = Path(__file__).with_name("expectations.toml")
_OF_AN_ORDER = frozenset(("order", "poll", "history-order", "balance-after", "record", "picture", "picture-later"))
_PAGE = """\
# What we believe of the service

<!-- Made of doctor/expectations.toml: edit that file. -->

This package was built without a key, and reads the service tolerantly where the evidence is thin.
[The doctor](doctor.md) finds out what is true, with a live key and at most one order, and says what follows.

**documented**: Segmind's pages or its SDK say so. **reported**: independent clients do. **inferred**: from something
near. **assumed**: nobody says. A row that the doctor has confirmed ends with "Seen" and the day.
"""


@dataclass(frozen=True)
class Belief:
    """One thing that is believed of the service; expectations.toml says what its fields mean."""

    topic: str
    name: str
    says: str
    sure: str
    source: str
    expected: Sequence[str]
    shown_by: Sequence[str]
    otherwise: str
    follows: Mapping[str, str] = field(default_factory=dict)
    seen: Sequence[Sequence[str]] = ()

    @property
    def order(self) -> bool:
        """Whether only an order can show it."""
        return set(self.shown_by) <= _OF_AN_ORDER

    def what_follows(self, seen: str) -> str:
        """Return what follows of a value; empty if it is expected."""
        if seen in self.expected:
            return ""
        return self.follows.get(seen, self.otherwise).replace("{seen}", seen)


@functools.cache
def beliefs() -> tuple[Belief, ...]:
    """Return all beliefs, in the order of the file."""
    topics = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(Belief(topic, **one) for topic, listed in topics.items() for one in listed)


def page() -> str:
    """Return the site's page ``service.md``."""
    parts = [_PAGE]
    for topic, group in groupby(beliefs(), key=lambda belief: belief.topic):
        parts.append(f"\n## {topic}\n\n| What | How sure | Source |\n|---|---|---|\n")
        parts += [_row(belief) for belief in group]
    return "".join(parts)


def _row(belief: Belief) -> str:
    seen = "".join(f" Seen: {', '.join(one)}." for one in belief.seen)
    return f"| `{belief.name}`: {belief.says} | {belief.sure} | {belief.source}{seen} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
