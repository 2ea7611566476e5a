"""What the benchmark of parsing says of its figures."""

from __future__ import annotations

import pytest

from benchmarks.parsing import GOAL, IMPORTS, OURS, goal, section, timed


@pytest.mark.parametrize(("seconds", "met"), [(GOAL, True), (GOAL + 0.001, False)])
def test_it_says_whether_the_goal_is_met_and_how_many_times_dearer_the_others_are(seconds: float, met: bool) -> None:
    found = {OURS: (seconds, 20), "`HttpHook`": (3 * seconds, 200)}
    assert goal(found).met is met
    assert f"| `HttpHook` | {3 * seconds:.3f} | 3.0 x | 200 |" in section(found, 3)


@pytest.mark.slow
def test_importing_our_doors_costs_less_than_the_hook_for_http() -> None:
    ours, theirs = timed(IMPORTS[OURS]), timed(IMPORTS["`HttpHook`"])
    assert ours[1] * 4 < theirs[1]
