"""A million swaps in virtual time, in two processes; and every planted fault is found."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.faults.kind import WITH_MEMORY
from tests.faults.table import Table
from tests.simulation.outside import play, simulated
from tests.simulation.planted import PLANTED
from tests.simulation.world import Outcome

pytestmark = pytest.mark.skipif(WITH_MEMORY, reason="it needs no Airflow, and the run without a memory plays it")

SWAPS = int(os.environ.get("SIMULATED") or 1_000_000)
PROCESSES = 2
SEEDS = 10_000
"""Worlds in which a planted fault must be found."""


def _play_many(first: int, swaps: int) -> tuple[int, int, int, int, list[Outcome]]:
    """Play every second world from a seed on, until there were so many swaps, and return what was seen."""
    seed, done, charges, explained, wrong = first, 0, 0, 0, list[Outcome]()
    with simulated():
        while done < swaps and len(wrong) < 20:
            seen = play(seed)
            done, charges, explained = done + seen.swaps, charges + seen.charges, explained + seen.explained
            wrong += [seen] if seen.wrong else []
            seed += PROCESSES
    return (seed - first) // PROCESSES, done, charges, explained, wrong


def _seeds_to_find(fault: str) -> int | None:
    """Return how many worlds are needed to find a planted fault; ``None`` if it is not found."""
    with simulated(*PLANTED[fault]):
        return next((seed + 1 for seed in range(SEEDS) if play(seed).wrong), None)


def test_of_a_million_swaps_none_is_paid_for_twice_and_none_is_lost_unnamed(table: Table) -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        parts = list(pool.map(_play_many, range(PROCESSES), [SWAPS // PROCESSES] * PROCESSES))
    seconds = time.monotonic() - began
    worlds, swaps, charges, explained = (sum(part[number] for part in parts) for number in range(4))
    wrong = [seen for part in parts for seen in part[4]]
    table.simulated = (
        f"{swaps:,} swaps in {worlds:,} simulated worlds, in {seconds:.0f} s ({swaps / seconds:.0f} a second): "
        f"{charges:,} charges, of which {explained:,} after one that failed, was lost, deleted or refreshed, or sent "
        f"again as its author chose; {len(wrong)} worlds in which a swap was paid for twice, or a charge named nowhere."
    )
    print(f"\n{table.simulated}")  # noqa: T201
    assert not wrong, wrong[:5]
    assert swaps >= SWAPS


def test_every_planted_fault_is_found() -> None:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        needed = dict(zip(PLANTED, pool.map(_seeds_to_find, PLANTED), strict=True))
    for fault, seeds in needed.items():
        print(f"found in {seeds} worlds: {fault}")  # noqa: T201
    assert None not in needed.values()
