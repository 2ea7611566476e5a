"""What the kernel says of this process, and how late its event loop is."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAP = 0.02
"""Seconds that the task sleeps whose lateness is the loop's lag."""
SAMPLE = 0.1
"""Seconds between two looks at the memory."""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_kib() -> float:
    """Return the memory that this process has resident, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def percentile(values: list[float], share: float) -> float:
    """Return the value that so large a share of the values does not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass
class Usage:
    """CPU and memory since a moment; memory is sampled by a thread, so that a blocked loop cannot hide its peak."""

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.before = cpu_seconds()
        self.base = self.peak = resident_kib()
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, resident_kib())
            time.sleep(SAMPLE)

    def report(self) -> dict[str, Any]:
        """Return seconds of CPU and wall, and KiB above what there was before."""
        return {
            "cpu": cpu_seconds() - self.before,
            "wall": time.monotonic() - self.started,
            "memory": self.peak - self.base,
        }


class Lag:
    """A task that sleeps and notes how late it wakes, in seconds."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            wished = time.monotonic() + NAP
            await asyncio.sleep(NAP)
            self.late.append(time.monotonic() - wished)

    def report(self) -> dict[str, Any]:
        """Return percentiles in milliseconds."""
        self._task.cancel()
        return {
            "lag_p50": 1000 * percentile(self.late, 0.5),
            "lag_p99": 1000 * percentile(self.late, 0.99),
            "lag_max": 1000 * max(self.late, default=0.0),
        }
