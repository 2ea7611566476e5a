"""What the benchmarks make of their figures: goals, and the picture."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.goals import goals, ratios
from benchmarks.overhead_patterns import BATCH, LEAST, ONE_TASK, SETTLE, Measured, Pattern
from benchmarks.overhead_report import goals as goals_of_tasks
from benchmarks.plot import Panel, place, svg, ticks
from benchmarks.scenarios import EMULATED, LONG, WAITING, Scenario


def test_a_ratio_is_that_of_each_round_since_rounds_have_different_neighbours() -> None:
    runs = {"ours": [{"per_1000": 1.0}, {"per_1000": 4.0}], "bare": [{"per_1000": 1.0}, {"per_1000": 2.0}]}
    assert ratios(runs, "ours", "bare") == [1.0, 2.0]


@pytest.mark.parametrize(("mib", "met"), [(12.0, True), (12.1, False)])
def test_the_memory_that_is_allowed_grows_with_the_number_of_jobs(mib: float, met: bool) -> None:
    runs = {"ours": [{"memory": mib * 1024}], "null": [{"memory": 1024.0}]}
    (goal,) = goals({Scenario(1000, ("null", "ours"), role=WAITING): runs})
    assert (goal.goal, goal.met) == ("<= 12 MiB", met)


def test_a_batch_that_is_not_through_meets_no_goal() -> None:
    (goal,) = goals({Scenario(100_000, ("batch",), role=LONG): {"batch": [{"memory": 1.0, "good": 99_999}]}})
    assert not goal.met


@pytest.mark.parametrize(("orders", "met"), [(100.0, True), (99.0, False)])
def test_a_batch_may_be_half_as_slow_again_as_a_bare_loop(orders: float, met: bool) -> None:
    runs = {"batch": [{"orders": orders, "asked": 1.0}], "bare": [{"orders": 150.0, "asked": 1.0}]}
    first, second = goals({Scenario(10_000, ("batch", "bare"), role=EMULATED): runs})
    assert (first.met, second.met) == (met, True)


def run(pattern: Pattern, cpu: float) -> Measured:
    return Measured(pattern, 200, 8.0, {"scheduler": cpu}, 0, 0, 0, 0)


def test_a_task_is_compared_with_one_that_only_defers_and_a_batch_with_an_idle_airflow() -> None:
    runs = [run(LEAST, 20.0), run(ONE_TASK, 30.0), run(BATCH, 1.6)]
    task, batch = goals_of_tasks(runs, idle=0.1)
    assert (task.met, batch.met) == (True, True)
    assert task.measured == "1.50 x (0.150 to 0.100)"
    assert f"{0.1 * (8 + SETTLE) / 200:.4f} of it an idle Airflow" in batch.measured


def test_the_picture_has_powers_of_ten_around_all_points_and_names_what_its_lines_are() -> None:
    assert ticks([3.0, 70.0]) == [1.0, 10.0, 100.0]
    assert ticks([10.0]) == [10.0, 100.0]
    assert place(10.0, [1.0, 10.0, 100.0], 200.0, 0.0) == 100.0
    drawn = svg([Panel("KiB & more", {"ours": [(100, 2.0), (1000, 20.0)]})], {"ours": "PixelFlowTrigger"}, "Cost")
    texts = [text.text for text in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own
    assert {"KiB & more", "jobs waited for at once", "PixelFlowTrigger", "100", "1,000"} <= set(texts)
