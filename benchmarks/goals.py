"""What is aimed for, and whether it is reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.results import Goal
from benchmarks.scenarios import EMULATED, LONG, MAIN, WAITING, Scenario

TASK, TASK_GOAL = "CPU s a swap, `BodySwapOperator` mapped, to an operator that only defers once", 1.5
BATCH, BATCH_GOAL = "CPU s a swap, `BodySwapBatchOperator`", 0.008
Runs = Mapping[str, list[dict[str, Any]]]


def goals(measured: Mapping[Scenario, Runs]) -> list[Goal]:
    """Compare what was measured of waiting, at all sizes, with what was aimed for."""
    by_role = {scenario.role: (scenario, runs) for scenario, runs in measured.items() if scenario.role}
    parts = {MAIN: polls, WAITING: waiting, LONG: long_batch, EMULATED: batch}
    return [goal for role, part in parts.items() if role in by_role for goal in part(*by_role[role])]


def median(runs: Runs, name: str, key: str) -> float:
    """Return the median of one figure of one variant."""
    return float(statistics.median(seen[key] for seen in runs[name]))


def ratios(runs: Runs, above: str, below: str, key: str = "per_1000") -> list[float]:
    """Return how many times one variant's figure is another's, least first; each within its round."""
    return sorted(one[key] / other[key] for one, other in zip(runs[above], runs[below], strict=True))


def polls(scenario: Scenario, runs: Runs) -> list[Goal]:
    """CPU and connections for each poll, and how late the loop is."""
    jobs = f"{scenario.jobs:,} jobs"
    peer, bare = ratios(runs, "http_sensor", "ours"), ratios(runs, "ours", "bare")
    p99, worst = median(runs, "ours", "own_p99"), median(runs, "ours", "own_max")
    null = max(seen["own_max"] for seen in runs["null"])
    opened = max(seen["most_open"] for seen in runs["ours"])
    lookups = sorted({seen["lookups"] for seen in runs["ours"]})
    kib, idle = median(runs, "ours", "kib"), median(runs, "null", "kib")
    return [
        Goal(f"CPU a poll at {jobs} over TLS, HttpSensorTrigger's to ours", ">= 12 x", times(peer), middle(peer) >= 12),
        Goal("the same, ours to a bare aiohttp loop at full speed", "<= 1.6 x", times(bare), middle(bare) <= 1.6),
        Goal(
            f"loop lag at {jobs}, p99 / max, own",
            "<= 4 / 10 ms",
            f"{p99:.1f} / {worst:.0f} ms (a trigger that does nothing: at most {null:.0f})",
            p99 <= 4 and worst <= 10,
        ),
        Goal(
            f"memory of a waiting job, of {scenario.jobs:,}",
            "<= 12 KiB",
            f"{kib:.1f} KiB (a trigger that does nothing: {idle:.1f})",
            kib <= 12,
        ),
        Goal(f"connections open at {jobs}", "<= 16", str(opened), opened <= 16),
        Goal(f"connection lookups for {jobs}", "1", ", ".join(map(str, lookups)), lookups == [1]),
    ]


def waiting(scenario: Scenario, runs: Runs) -> list[Goal]:
    """How many fit into one process."""
    mib, null = (median(runs, name, "memory") / 1024 for name in ("ours", "null"))
    limit = 120 * scenario.jobs / 10_000
    measured = f"{mib:.0f} MiB (triggers that do nothing: {null:.0f})"
    return [Goal(f"memory of {scenario.jobs:,} waiting", f"<= {limit:.0f} MiB", measured, mib <= limit)]


def long_batch(scenario: Scenario, runs: Runs) -> list[Goal]:
    """What one large batch takes until its end."""
    mib, limit = median(runs, "batch", "memory") / 1024, 150 * scenario.jobs / 100_000
    all_good = all(seen["good"] == scenario.jobs for seen in runs["batch"])
    through = "" if all_good else ", not through"
    return [
        Goal(
            f"memory of a batch of {scenario.jobs:,}, to its end",
            f"<= {limit:.0f} MiB",
            f"{mib:.0f} MiB{through}",
            mib <= limit and all_good,
        )
    ]


def batch(scenario: Scenario, runs: Runs) -> list[Goal]:
    """Requests a second of a batch, to what a loop reaches that does nothing else."""
    rows = {"orders": "orders a second, on a worker", "asked": "polls a second, in the triggerer"}
    return [
        Goal(
            f"a batch of {scenario.jobs:,} on the emulator: {what}, the bare loop's to ours",
            "<= 1.5 x",
            f"{times(slower)} ({median(runs, 'batch', key):.0f} a second)",
            middle(slower) <= 1.5,
        )
        for key, what in rows.items()
        for slower in [ratios(runs, "bare", "batch", key)]
    ]


def middle(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def times(values: list[float]) -> str:
    """Return a ratio in all rounds."""
    spread = f" ({values[0]:.2f}-{values[-1]:.2f})" if len(values) > 1 else ""
    return f"{middle(values):.2f} x{spread}"
