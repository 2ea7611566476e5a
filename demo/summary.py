"""What a person reads at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from demo.pipeline import Passage

_HEAD = (
    "photograph",
    "check",
    "swap",
    "store",
    "compare",
    "approve",
    "publish",
    "outcome",
    "cost",
    "seconds",
    "deferred",
)
_RIGHT = frozenset({"cost", "seconds", "deferred"})
_WORDS = {"success": "done", "skipped": "-", None: "-"}
_SAID = {"check": "pass", "compare": "pass", "approve": "yes"}

LEGEND = (
    "check: before paying; compare: the result with the photograph; approve: a person, here the demo.\n"
    "  seconds: from the first to the last task; deferred: of these, how many the triggerer did the waiting\n"
    "  and no worker was held."
)


def dollars(amount: float | None) -> str:
    """
    Write an amount of money.

    :param amount: US dollars, or ``None`` if unknown.
    :returns: ``$0.2687``, or ``unknown``.
    """
    return "unknown" if amount is None else f"${amount:.4f}"


def short(path: Path) -> str:
    """
    Write a path as briefly as it can be used from here.

    :param path: any path.
    :returns: relative to the working directory if it is below it.
    """
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def table(passages: Sequence[Passage]) -> str:
    """
    Set out all photographs, one a line, with a total.

    :param passages: the photographs, collected.
    :returns: several lines of plain text.
    """
    rows = [_row(passage) for passage in passages]
    known = [passage.cost for passage in passages if passage.cost is not None]
    total = ("total", *[""] * 7, dollars(sum(known)), "", "")
    lines = [_HEAD, *rows, total] if len(rows) > 1 and known else [_HEAD, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    rule = "  ".join("-" * width for width in widths)
    text = [_line(line, widths) for line in lines]
    text.insert(1, rule)
    if lines[-1] is total:
        text.insert(-1, rule)
    return "\n".join(f"  {line.rstrip()}" for line in text)


def _row(passage: Passage) -> tuple[str, ...]:
    steps = []
    rejected = passage.outcome.startswith("rejected by ")
    for step in _HEAD[1:7]:
        state = passage.states.get(step)
        word = _SAID.get(step, "done") if state == "success" else _WORDS.get(state, str(state))
        steps.append("reject" if rejected and passage.outcome.endswith(step) else word)
    outcome = "quarantine" if rejected else passage.outcome
    times = (f"{passage.seconds:.1f}", f"{passage.deferred_seconds:.1f}")
    return (passage.photograph.title, *steps, outcome, dollars(passage.cost), *times)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.rjust(width) if name in _RIGHT else cell.ljust(width)
        for cell, width, name in zip(cells, widths, _HEAD, strict=True)
    )
