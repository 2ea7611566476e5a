"""In a thousand worlds full of crashes, outages and late readers nobody pays twice."""

from __future__ import annotations

import pytest

from tests.simulation.outside import play, simulated
from tests.simulation.planted import PLANTED

SWAPS = 1000
EASY = (
    "no claim",
    "a claim after the order rather than before",
    "a create that overwrites",
    "a claim released after an unknown outcome",
    "done noted before the picture is stored",
    "no patience with what another task is sending",
    "an abandoned claim ordered again",
    "no way from a request to its swap",
    "a damaged object taken for none",
    "an outage of the memory taken for its being empty",
)
"""Planted faults that a few worlds are enough to find; ``make test-faults`` looks for all."""
FEW = 100


def test_nobody_pays_twice_and_nothing_paid_for_is_unnamed() -> None:
    seed = swaps = charges = 0
    with simulated():
        while swaps < SWAPS:
            seen = play(seed)
            assert not seen.wrong, f"seed {seed}: {seen.wrong}"
            seed, swaps, charges = seed + 1, swaps + seen.swaps, charges + seen.charges
    assert 0 < charges < swaps, "most swaps are paid for by another task"


def test_a_seed_replays_exactly() -> None:
    with simulated():
        first = [play(seed) for seed in range(20)]
        assert [play(seed) for seed in range(20)] == first
    assert len({seen.trace for seen in first}) == len(first)


@pytest.mark.parametrize("fault", EASY)
def test_a_planted_fault_is_found(fault: str) -> None:
    with simulated(*PLANTED[fault]):
        assert any(play(seed).wrong for seed in range(FEW))
