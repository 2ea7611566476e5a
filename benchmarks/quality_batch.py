"""What a batch of checks costs in one task: one after another, and several at a time."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.many import Pair, check_many, worker_count
from airflow_provider_segmind.quality.report import Report
from benchmarks import results
from benchmarks.quality_cost import in_fresh_process, peak_memory

ALONE = 0


@dataclass(frozen=True)
class Batch:
    """
    What a batch cost.

    :param workers: number of processes; ``ALONE`` for checks in the task's own process.
    :param seconds: for each pair, in each run.
    :param memory: MiB at most in use by the task's own process, in each run.
    """

    workers: int
    seconds: list[float]
    memory: list[float]


def measured(source: Path, result: Path, *, pairs: int = 40, runs: int = 3) -> list[Batch]:
    """
    Check the same pair many times, in turns with different numbers of processes.

    :param source: a picture.
    :param result: another.
    :param pairs: how often.
    :param runs: how many turns.
    """
    counts = dict.fromkeys((ALONE, 1, worker_count()))
    batches = [Batch(count, [], []) for count in counts]
    for _ in range(runs):
        for batch in batches:
            seen = in_fresh_process("benchmarks.quality_batch", source, result, batch.workers, pairs)
            batch.seconds.append(seen["seconds"])
            batch.memory.append(seen["memory"])
    return batches


def table(batches: list[Batch]) -> str:
    """Return what batches cost as a table in Markdown, beside checks in the task's own process."""
    alone = statistics.median(next(batch.seconds for batch in batches if batch.workers == ALONE))
    rows = [
        (
            "none, in the task itself" if batch.workers == ALONE else str(batch.workers),
            results.spread(batch.seconds),
            f"{alone / statistics.median(batch.seconds):.2f}",
            f"{max(batch.memory):.0f}",
        )
        for batch in batches
    ]
    return results.table(("processes", "s for a pair", "times as fast", "MiB of the task itself"), rows)


def _run(source: str, result: str, workers: str, pairs: str) -> dict[str, float]:
    before, after, count = Path(source), Path(result), int(pairs)
    work: Callable[[], int] = (
        (lambda: sum(bool(check_swap(before.read_bytes(), after.read_bytes())) for _ in range(count)))
        if int(workers) == ALONE
        else (lambda: _together(Pair(before.read_bytes, after.read_bytes), count, int(workers)))
    )
    began = time.perf_counter()
    done = work()
    seconds = time.perf_counter() - began
    if done != count:
        raise RuntimeError(f"Only {done} of {count} pairs were checked.")
    return {"seconds": seconds / count, "memory": peak_memory()}


def _together(pair: Pair, count: int, workers: int) -> int:
    return sum(isinstance(seen, Report) for _, seen in check_many([pair] * count, workers=workers))


if __name__ == "__main__":
    print(json.dumps(_run(*sys.argv[1:])))
