"""How good the schedule is, in simulated time: nothing here depends on how fast the machine is."""

from __future__ import annotations

import pytest

from benchmarks.candidates import front
from benchmarks.schedule import CASES, REPEATS, UNLIMITED, compare
from benchmarks.simulation import Account, Case, through_schedule


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.limit}-{case.jobs}-{case.within:g}")
def test_under_a_limit_results_are_seen_about_as_soon_as_with_the_best_schedule_known(case: Case) -> None:
    seen = compare(case, REPEATS[case.jobs])
    assert seen.refused == 0
    assert seen.ratio <= 1.15, seen.best
    # Whoever waits longest waits no longer than it has to, and nobody longer than one turn of all.
    assert seen.longest <= 1.15 * seen.best[2] + 3
    assert seen.overdue <= 1.1


def test_without_a_limit_it_is_near_the_best_schedule_with_as_many_requests() -> None:
    seen = through_schedule(UNLIMITED, seed=1)
    assert seen.mean <= 1.05 * front(seen.per_job)


def test_the_simulated_service_counts_in_a_sliding_minute_and_by_the_clock() -> None:
    account = Account(2)
    assert [account.accepts(at) for at in (50.0, 70.0, 80.0, 111.0, 121.0, 130.5)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert account.refused == 2
