"""
All benchmarks but that of the checks of pictures, and one table of what was aimed for: ``python -m benchmarks``.

A complete run renews results.md, and the picture in docs/scaling.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import goals, parsing, polling, results, schedule
from benchmarks.results import Goal
from benchmarks.scenarios import FULL, QUICK
from demo.interrupts import raise_on_sigterm

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "scaling.svg"
PARTS = ("parsing", "schedule", "polling", "overhead")


def parse(quick: bool) -> list[Goal]:
    """Measure what importing costs."""
    rounds = 2 if quick else 7
    found = parsing.measure(rounds)
    if not quick:
        results.write("parsing", parsing.section(found, rounds))
    return [parsing.goal(found)]


def simulate(quick: bool) -> list[Goal]:
    """Simulate the schedule."""
    if quick:
        return schedule.measure([case for case in schedule.CASES if case.jobs < 1000], alone=60)[1]
    text, reached = schedule.measure()
    results.write("schedule", text)
    return reached


def poll(quick: bool) -> list[Goal]:
    """Measure what waiting costs."""
    before = results.load()
    measured = polling.measure(QUICK if quick else FULL)
    if not quick:
        results.write("polling", polling.section(measured, before))
        PICTURE.write_text(polling.growth(measured), encoding="utf-8")
    return goals.goals(measured)


def start(quick: bool) -> list[Goal]:
    """Measure what Airflow itself costs, which takes PostgreSQL and minutes."""
    if quick:
        rows = ((goals.TASK, f"<= {goals.TASK_GOAL} x"), (goals.BATCH, f"<= {goals.BATCH_GOAL}"))
        return [Goal(what, goal, "only by make bench", None) for what, goal in rows]
    # Only here, since it needs the packages of PostgreSQL.
    from benchmarks import overhead, overhead_report
    from benchmarks.overhead_patterns import BATCH, LEAST, ONE_TASK

    patterns = (LEAST, ONE_TASK, BATCH)
    return overhead_report.goals(*overhead.measure(patterns, overhead.FULL_SWAPS, overhead.FULL_ROUNDS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the results."""
    raise_on_sigterm()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller runs, for a first look; write nothing")
    parser.add_argument("--only", choices=PARTS, help="one part; the table of goals is not renewed")
    options = parser.parse_args(arguments)
    began, rows = time.monotonic(), []
    for name, part in zip(PARTS, (parse, simulate, poll, start), strict=True):
        if options.only in (None, name):
            rows += part(options.quick)
    kind = "Smaller runs, one round: a first look, no measurement." if options.quick else "Three rounds, interleaved."
    seconds = time.monotonic() - began
    text = f"## Goals\n\n{kind} {results.machine()} {seconds / 60:.0f} minutes.\n\n{results.goals_table(rows)}"
    print(text)
    if not options.quick and options.only is None:
        results.write("goals", text)
        print(f"\nWritten into {results.RESULTS}.")


if __name__ == "__main__":
    main()
