"""Processor time of processes and of all that they started, as the kernel counts it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_UTIME = 13
"""Index of ``utime`` in /proc/…/stat; ``stime`` and both of the children that were waited for come right after it."""


def seconds(pids: Iterable[int]) -> float:
    """
    Return the processor time of processes, and of their children that have ended.

    :param pids: the live processes of a component, all of them: a child counts for its parent only when it is over.
    :returns: seconds, in user mode and in the kernel.
    """
    total = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue  # it has ended, and counts for its parent now
        # The command's name stands in parentheses and may hold anything.
        fields = stat.rpartition(")")[2].split()
        total += sum(int(field) for field in fields[_UTIME - 2 : _UTIME + 2])
    return total / _TICK
