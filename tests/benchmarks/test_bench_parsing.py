"""What the benchmark of parsing says of its figures."""

from __future__ import annotations

import pytest

from benchmarks.parsing import GOAL, IMPORTS, OURS, section, timed


@pytest.mark.parametrize(("seconds", "met"), [(GOAL, ": yes."), (GOAL + 0.001, ": **no**.")])
def test_it_says_whether_the_goal_is_met_and_how_many_times_dearer_the_others_are(seconds: float, met: str) -> None:
    text = section({OURS: (seconds, 20), "`HttpHook`": (3 * seconds, 200)}, 3)
    assert met in text
    assert f"| `HttpHook` | {3 * seconds:.3f} | 3.0 x | 200 |" in text


@pytest.mark.slow
def test_importing_our_doors_costs_less_than_the_hook_for_http() -> None:
    ours, theirs = timed(IMPORTS[OURS]), timed(IMPORTS["`HttpHook`"])
    assert ours[1] * 4 < theirs[1]
