"""What a person reads at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from demo.swaps import Swap

_HEAD = ("", "swap", "state", "cost", "seconds", "deferred", "picture")
_RIGHT = frozenset({"cost", "seconds", "deferred"})


LEGEND = (
    "seconds: from the first to the last task of the DAG run; deferred: of these, how many the\n"
    "  triggerer did the waiting and no worker was held."
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


def table(swaps: Sequence[Swap]) -> str:
    """
    Set out all swaps, one a line, with a total.

    :param swaps: the swaps, collected.
    :returns: several lines of plain text.
    """
    rows = [
        (
            str(number),
            swap.pair.title,
            swap.state,
            dollars(swap.cost),
            f"{swap.seconds:.1f}",
            f"{swap.deferred_seconds:.1f}",
            short(swap.after) if swap.after else "none",
        )
        for number, swap in enumerate(swaps, start=1)
    ]
    known = [swap.cost for swap in swaps if swap.cost is not None]
    total = ("", "total", "", dollars(sum(known)), "", "", "")
    lines = [_HEAD, *rows, total] if len(rows) > 1 and known else [_HEAD, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    rule = "  ".join("-" * width for width in widths)
    text = [_line(line, widths) for line in lines]
    text.insert(1, rule)
    if lines[-1] is total:
        text.insert(-1, rule)
    return "\n".join(f"  {line.rstrip()}" for line in text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.rjust(width) if name in _RIGHT else cell.ljust(width)
        for cell, width, name in zip(cells, widths, _HEAD, strict=True)
    )
