"""What this package believes of the service, as data; docs/service.md is made of it."""

from __future__ import annotations

import functools
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_FILE = Path(__file__).with_name("expectations.toml")
_PAGE = """\
# What we believe of the service

<!-- Made of doctor/expectations.toml by `python -m airflow_provider_segmind.doctor.expectations`: edit that file. -->

This package was built without a key, and reads the service tolerantly where the evidence is thin.
[The doctor](doctor.md) finds out what is true, with a live key and at most one order, and says what follows.

**documented**: Segmind's pages or its SDK say so. **reported**: independent clients do. **inferred**: from something
near. **assumed**: nobody says.
"""


@dataclass(frozen=True)
class Belief:
    """
    One thing that is believed of the service.

    :param says: the belief, as a sentence.
    :param sure: ``documented``, ``reported``, ``inferred`` or ``assumed``.
    :param expected: the values that agree with it.
    :param shown_by: names of the requests that can show it.
    :param follows: what follows for this package, by the value seen; ``otherwise`` for any other.
    :param order: whether only an order can show it.
    :param seen: date, version and result of the runs that have shown it.
    """

    name: str
    topic: str
    says: str
    sure: str
    source: str
    expected: Sequence[str]
    shown_by: Sequence[str]
    follows: Mapping[str, str]
    order: bool = False
    seen: Sequence[Sequence[str]] = ()

    def what_follows(self, seen: str) -> str:
        """Return what follows of a value; empty if it is expected."""
        if seen in self.expected:
            return ""
        return self.follows.get(seen, self.follows["otherwise"]).replace("{seen}", seen)


@functools.cache
def beliefs() -> tuple[Belief, ...]:
    """Return all beliefs, in the order of the file."""
    return tuple(Belief(**one) for one in tomllib.loads(_FILE.read_text(encoding="utf-8"))["belief"])


def page() -> str:
    """Return docs/service.md."""
    parts = [_PAGE]
    for topic, group in groupby(sorted(beliefs(), key=_place), key=lambda belief: belief.topic):
        parts.append(f"\n## {topic}\n\n| What | How sure | Source | Seen |\n|---|---|---|---|\n")
        parts += [_row(belief) for belief in group]
    return "".join(parts)


def _place(belief: Belief) -> int:
    topics = list(dict.fromkeys(one.topic for one in beliefs()))
    return topics.index(belief.topic)


def _row(belief: Belief) -> str:
    seen = "; ".join(", ".join(one) for one in belief.seen) or "never"
    return f"| `{belief.name}`: {belief.says} | {belief.sure} | {belief.source} | {seen} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
