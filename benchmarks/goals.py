"""What is aimed for in waiting, and whether it is reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.results import Goal

Runs = Mapping[str, list[dict[str, Any]]]


def goals(measured: Mapping[str, Runs]) -> list[Goal]:
    """Compare what was measured at all sizes with what was aimed for."""
    thousand, many, most = measured.values()
    return [*speed(thousand, many), *frugality(many), *calm(many), *size(most)]


def median(runs: Runs, name: str, key: str) -> float:
    """Return the median of one figure of one variant."""
    return float(statistics.median(seen[key] for seen in runs[name]))


def speed(thousand: Runs, many: Runs) -> list[Goal]:
    """CPU for each poll."""
    ratio = statistics.median(
        peer["per_1000"] / own["per_1000"] for peer, own in zip(many["http_sensor"], many["ours"], strict=True)
    )
    cpu, bare = median(many, "ours", "per_1000"), median(thousand, "bare", "per_1000")
    return [
        Goal("CPU per poll at 5,000, HttpSensorTrigger's to ours", ">= 10", f"{ratio:.1f}", ratio >= 10),
        Goal(
            "CPU s per 1000 polls at 5,000",
            "<= 0.20",
            f"{cpu:.3f}, {cpu / bare:.1f} x a bare aiohttp loop at full speed ({bare:.3f})",
            cpu <= 0.20,
        ),
    ]


def frugality(many: Runs) -> list[Goal]:
    """Connections, memory and lookups."""
    opened = max(seen["most_open"] for seen in many["ours"])
    fewer = median(many, "http_sensor", "connections_per_1000") / median(many, "ours", "connections_per_1000")
    kib, null = median(many, "ours", "kib"), median(many, "null", "kib")
    lookups = sorted({seen["lookups"] for seen in many["ours"]})
    peer = round(median(many, "http_sensor", "lookups"))
    return [
        Goal("connections open at 5,000", "<= 16", str(opened), opened <= 16),
        Goal("connections per 1000 polls, HttpSensorTrigger's to ours", ">= 400", f"{fewer:.0f}", fewer >= 400),
        Goal(
            "KiB a waiting job at 5,000",
            "<= 20, <= 1.6 x null",
            f"{kib:.1f}, {kib / null:.2f} x null",
            kib <= 20 and kib <= 1.6 * null,
        ),
        Goal(
            "connection lookups for 5,000 triggers",
            "1",
            f"{', '.join(map(str, lookups))} (HttpSensorTrigger {peer})",
            lookups == [1],
        ),
    ]


def calm(many: Runs) -> list[Goal]:
    """How late the loop is."""
    p99, own99 = median(many, "ours", "lag_p99"), median(many, "ours", "own_p99")
    worst, own = max(seen["lag_max"] for seen in many["ours"]), max(seen["own_max"] for seen in many["ours"])
    collection = max(seen["collection_max"] for seen in many["ours"])
    null = max(seen["lag_max"] for seen in many["null"])
    return [
        Goal("loop lag p99 ms at 5,000", "< 10", f"{p99:.1f}; own {own99:.1f}", p99 < 10),
        Goal(
            "loop lag max ms at 5,000",
            "never > 100",
            f"{worst:.0f}; own {own:.0f} (null trigger {null:.0f}; longest garbage collection {collection:.0f})",
            worst <= 100,
        ),
    ]


def size(most: Runs) -> list[Goal]:
    """How many fit into one process."""
    (seen,) = most["ours"]
    mib, growth = seen["memory"] / 1024, seen["growth"] / 1024
    at_seven = seen["per_1000"] / 1000 * seen["jobs"] / 7
    return [
        Goal("MiB more for 10,000 waiting jobs", "<= 200", f"{mib:.0f}", mib <= 200),
        Goal("MiB that the second half of the wait added", "flat: <= 5", f"{growth:.1f}", growth <= 5),
        Goal(
            "a core's share for 10,000 jobs, each asked for every 7 s",
            "< 30 %",
            f"{100 * at_seven:.0f} %; measured {100 * seen['share']:.0f} % at {seen['rate']:.0f} polls a second",
            at_seven < 0.3,
        ),
    ]
