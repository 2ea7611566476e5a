"""What the kernel says of this process, and how late its event loop is."""

from __future__ import annotations

import asyncio
import gc
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
        self.base = resident_kib()
        self.samples = [self.base]
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while True:
            self.samples.append(resident_kib())
            time.sleep(SAMPLE)

    def report(self) -> dict[str, Any]:
        """
        Return seconds of CPU and wall, and KiB above what there was before.

        ``growth`` is what the second half of the time added to the peak of the first.
        """
        half = len(self.samples) // 2 + 1
        return {
            "cpu": cpu_seconds() - self.before,
            "wall": time.monotonic() - self.started,
            "memory": max(self.samples) - self.base,
            "growth": max(0.0, max(self.samples[half:], default=0.0) - max(self.samples[:half])),
        }


class Lag:
    """
    A task that sleeps and notes how late it wakes, in seconds.

    Two things make it late that no trigger can help: that the kernel ran somebody else on this core, and that Python
    looked through all objects of the process for garbage, Airflow's own above all. Both are told by those who know
    (``schedstat``, ``gc.callbacks``) and are left out of ``own``, not of ``late``.
    """

    def __init__(self) -> None:
        self.late: list[float] = []
        self.own: list[float] = []
        self.collections: list[float] = []
        self._collected = self._since = 0.0
        self._schedstat = os.open("/proc/self/schedstat", os.O_RDONLY)
        gc.callbacks.append(self._collecting)
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def _collecting(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._since = time.monotonic()
            return
        seconds = time.monotonic() - self._since
        self._collected += seconds
        if info["generation"] == 2:
            self.collections.append(seconds)

    def _excused(self) -> float:
        """Return the seconds so far that were the kernel's or the collector's."""
        return int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9 + self._collected

    async def _watch(self) -> None:
        while True:
            excused, wished = self._excused(), time.monotonic() + NAP
            await asyncio.sleep(NAP)
            late = time.monotonic() - wished
            self.late.append(late)
            self.own.append(max(0.0, late - (self._excused() - excused)))

    def report(self) -> dict[str, Any]:
        """Return percentiles in milliseconds."""
        self._task.cancel()
        gc.callbacks.remove(self._collecting)
        os.close(self._schedstat)
        return {
            "lag_p99": 1000 * percentile(self.late, 0.99),
            "lag_max": 1000 * max(self.late, default=0.0),
            "own_p99": 1000 * percentile(self.own, 0.99),
            "own_max": 1000 * max(self.own, default=0.0),
            "collection_max": 1000 * max(self.collections, default=0.0),
        }
