"""
Wait for thousands of jobs in different ways, and compare: ``python -m benchmarks --only polling``.

A server over TLS and each variant have processes and, if there are two, cores of their own. Variants take turns, so
that whatever else the machine does falls on all of them; so read the ratios.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import results
from benchmarks.arena import Arena
from benchmarks.goals import median
from benchmarks.plot import Panel, Point, svg
from benchmarks.scenarios import EMULATED, LONG, WAITING, Scenario

Runs = dict[str, list[dict[str, Any]]]
"""What each variant's rounds brought."""

NAMES = {
    "null": "null trigger: sleeps, then fires",
    "ours": "**PixelFlowTrigger**",
    "own_session": "a trigger with a session of its own",
    "http_sensor": "HttpSensorTrigger",
    "bare": "bare aiohttp, 16 at a time, as fast as it goes",
    "batch": "**BodySwapBatchTrigger**",
}


EXPLANATION = """\
Medians of interleaved rounds, least and greatest in brackets. Net: less what the null trigger, which
fires the same event, takes in the same round.
Own lag: without what the kernel gave to other processes on the same core, and without garbage collections, which look
through all objects of Airflow's process."""


def run(arena: Arena, scenario: Scenario) -> Runs:
    """Run all variants of a scenario in turns."""
    runs: Runs = {name: [] for name in scenario.variants}
    for turn in range(scenario.rounds):
        for name in scenario.variants:
            seen = arena.run(scenario.plan(name, seed=turn + 1))
            late = seen.pop("late")
            seen["seen"], seen["late"] = len(late), statistics.fmean(late) / scenario.factor if late else 0.0
            runs[name].append(seen)
            note = f"{seen['polls']} polls, {seen['cpu']:.2f} CPU s"
            print(f"{scenario.name}, round {turn + 1}, {name}: {note}", file=sys.stderr, flush=True)
    derive(runs, scenario)
    return runs


def derive(runs: Runs, scenario: Scenario) -> None:
    """Add what follows from the figures: net of what Airflow takes for a trigger that does nothing."""
    for name, rounds in runs.items():
        in_loop = name not in ("bare", "null") and "null" in runs
        for turn, seen in enumerate(rounds):
            # In the same round, so that both had the same jobs and about the same neighbours.
            net = seen["cpu"] - (runs["null"][turn]["cpu"] if in_loop else 0.0)
            polls = max(seen["polls"], 1)
            seen["per_1000"] = net / polls * 1000
            seen["connections_per_1000"] = seen["connections"] / polls * 1000
            seen["per_job"] = seen["polls"] / scenario.jobs
            seen["kib"] = seen["memory"] / scenario.jobs
            seen["share"] = net / seen["wall"]
            seen["rate"] = seen["polls"] / seen["wall"]


def figures(runs: Runs) -> str:
    """Return a table of medians."""

    def cell(name: str, key: str, digits: int) -> str:
        values = [seen[key] for seen in runs[name] if key in seen]
        nothing = not values or (name == "null" and key in ("per_1000", "connections_per_1000", "late", "most_open"))
        return "-" if nothing else f"{statistics.median(values):.{digits}f}"

    def row(name: str) -> list[str]:
        no_ratio = name == "null" or "ours" not in runs
        ratio = "-" if no_ratio else f"{median(runs, name, 'per_1000') / median(runs, 'ours', 'per_1000'):.1f}"
        cpu = "-" if name == "null" else results.spread([seen["per_1000"] for seen in runs[name]], 3)
        through = "all" if all(seen.get("good", 0) == seen["jobs"] for seen in runs[name]) else "no"
        return [
            NAMES[name],
            cpu,
            ratio,
            cell(name, "connections_per_1000", 1),
            cell(name, "most_open", 0),
            cell(name, "kib", 1),
            f"{cell(name, 'lag_p99', 1)} / {cell(name, 'lag_max', 0)}",
            f"{cell(name, 'own_p99', 1)} / {cell(name, 'own_max', 0)}",
            cell(name, "collection_max", 0),
            cell(name, "late", 2) if name != "bare" else "-",
            "-" if name == "bare" else through,
        ]

    head = (
        "variant",
        "CPU s per 1000 polls, net",
        "x ours",
        "connections per 1000 polls",
        "most open",
        "KiB a job",
        "loop lag p99 / max ms",
        "own lag p99 / max ms",
        "longest collection ms",
        "done to seen, mean s",
        "through",
    )
    return results.table(head, [row(name) for name in runs])


def measure(scenarios: Sequence[Scenario]) -> dict[Scenario, Runs]:
    """Run all scenarios."""
    with Arena() as arena:
        return {scenario: run(arena, scenario) for scenario in scenarios}


def section(measured: Mapping[Scenario, Runs], before: str) -> str:
    """
    Return all tables.

    :param before: the load of the machine before.
    """
    parts = [
        "## Waiting for many jobs at once",
        f"{results.machine()} Load average before and after: {before}, {results.load()}; each variant is about 1.",
        EXPLANATION,
        *(f"### {one.name}\n\n{figures(runs)}" for one, runs in measured.items() if one.role != EMULATED),
    ]
    return "\n\n".join(parts)


def growth(measured: Mapping[Scenario, Runs]) -> str:
    """Draw how the cost grows with the number of jobs."""
    sizes = sorted(
        ((one.jobs, runs) for one, runs in measured.items() if one.role not in (WAITING, LONG, EMULATED)),
        key=lambda size: size[0],
    )
    limits = [runs["bare"] for _, runs in sizes if "bare" in runs]
    floor = statistics.median(seen["per_1000"] for runs in limits for seen in runs)

    def lines(key: str) -> dict[str, Sequence[Point]]:
        names = ("ours", "http_sensor", "own_session")
        known: dict[str, Sequence[Point]] = {
            name: [(jobs, median(runs, name, key)) for jobs, runs in sizes if name in runs] for name in names
        }
        return {name: points for name, points in known.items() if points}

    idle = [(jobs, median(runs, "null", "kib")) for jobs, runs in sizes]
    panels = (
        Panel("CPU s per 1,000 polls", lines("per_1000") | {"limit": [(jobs, floor) for jobs, _ in sizes]}),
        Panel("memory, KiB a job", lines("kib") | {"limit": idle}),
        Panel("polls a job", lines("per_job")),
        Panel("from done to seen, mean s", lines("late")),
    )
    names = {name: NAMES[name].strip("*") for name in lines("kib")}
    names["limit"] = "limit: bare aiohttp loop; a trigger that only sleeps"
    return svg(panels, names, "What waiting costs, by the number of jobs")
