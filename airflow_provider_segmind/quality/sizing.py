"""How many checks can run at the same time on this machine or in this container."""

from __future__ import annotations

import math
import os
from pathlib import Path

MEMORY_EACH = 350 * 2**20
"""Bytes per process that checks pictures of 12 million pixels in any format; see benchmarks/results.md."""
_MOST = 4


def worker_count(root: Path = Path("/")) -> int:
    """
    Return how many processes fit: 1 to 4, one per core and per 350 MiB of free memory.

    :param root: the folder with ``/proc`` and ``/sys``.
    """
    free = _free_memory(root)
    by_memory = _MOST if free is None else free // MEMORY_EACH
    return max(1, min(_MOST, _cores(root), by_memory))


def _cores(root: Path) -> int:
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quota = _words(root / "sys/fs/cgroup/cpu.max")
    if len(quota) == 2 and all(word.isdigit() for word in quota):
        return min(cores, math.ceil(int(quota[0]) / int(quota[1])))
    return cores


def _free_memory(root: Path) -> int | None:
    """Return the free bytes of the machine and of its container, whichever is less; ``None`` if unknown."""
    found = []
    words = _words(root / "proc/meminfo")
    if "MemAvailable:" in words:
        found.append(int(words[words.index("MemAvailable:") + 1]) * 1024)
    # In a container, MemAvailable is still the whole machine's. Only cgroups version 2 is supported.
    group = root / "sys/fs/cgroup"
    limit, used, stat = (_words(group / name) for name in ("memory.max", "memory.current", "memory.stat"))
    if limit and used and limit[0].isdigit():
        # Files read long ago count as used, but are freed when memory is needed.
        cached = int(stat[stat.index("inactive_file") + 1]) if "inactive_file" in stat else 0
        found.append(max(0, int(limit[0]) - int(used[0]) + cached))
    return min(found, default=None)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
