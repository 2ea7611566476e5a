"""
What Airflow itself costs for N swaps, by the way they are written: ``python -m benchmarks.overhead``.

SWAPS=8 ROUNDS=1 is a smoke test; PATTERNS="peer batch" runs those only. Only a complete run, of 200 swaps and three
rounds at least, renews results.md.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.overhead_patterns import PATTERNS, WARM_UP, Measured, Pattern
from benchmarks.overhead_report import section
from benchmarks.overhead_stage import Stage, as_json
from benchmarks.results import RESULTS, write
from demo.interrupts import raise_on_sigterm

FULL_SWAPS = 200
FULL_ROUNDS = 3


def measure(patterns: Sequence[Pattern], swaps: int, rounds: int) -> tuple[list[Measured], float]:
    """Run patterns in turns, and return all runs, with the CPU of a second in which nothing is to be done."""
    runs: list[Measured] = []
    with ExitStack() as opening:
        home = Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="segmind-overhead-")))
        # Two that run side by side, so that all patterns can be interleaved; each counts its own processes only.
        stages = {
            preloaded: opening.enter_context(Stage(home / f"preloaded-{preloaded}", swaps, preloaded=preloaded))
            for preloaded in sorted({pattern.preloaded for pattern in patterns})
        }
        for stage in stages.values():
            for pattern in (WARM_UP, *patterns):
                stage.prepare(pattern)
            stage.run(WARM_UP)
        idle = stages[False].idle(10.0)
        for number in range(rounds):
            # Each round begins with another pattern, so that none is always the one after the dearest.
            for pattern in (*patterns[number % len(patterns) :], *patterns[: number % len(patterns)]):
                runs.append(stages[pattern.preloaded].run(pattern))
                print(json.dumps(as_json(runs[-1])), file=sys.stderr, flush=True)
    return sorted(runs, key=lambda run: patterns.index(run.pattern)), idle


def main() -> None:
    """Run every pattern in every round, and print and keep what came of it."""
    raise_on_sigterm()
    swaps = int(os.environ.get("SWAPS") or FULL_SWAPS)
    rounds = int(os.environ.get("ROUNDS") or FULL_ROUNDS)
    wanted = os.environ.get("PATTERNS", "").split()
    patterns = [pattern for pattern in PATTERNS if pattern.dag_id in wanted or not wanted]
    text = section(*measure(patterns, swaps, rounds))
    print(f"\n{text}")
    if swaps >= FULL_SWAPS and rounds >= FULL_ROUNDS and not wanted:
        write("overhead", text)
        print(f"Written into {RESULTS}.")


if __name__ == "__main__":
    main()
