"""A day of polling in milliseconds: the schedule takes the time as an argument."""

from __future__ import annotations

import pytest

from airflow_provider_segmind.api.schedule import PRIOR, Budget, DueTime, Schedule, Timing
from benchmarks.simulation import Case, through_schedule


def test_without_a_limit_it_takes_fewer_requests_and_finds_results_sooner_than_every_seven_seconds() -> None:
    """Simulated with the same jobs: a fixed 7 s takes 7.4 requests a job and is 3.5 s late on average."""
    seen = through_schedule(Case(None, 3000, within=7200), seed=1)
    assert seen.per_job < 6.8
    assert seen.mean < 3.3


def test_a_limit_that_nobody_told_is_found_with_few_refusals() -> None:
    seen = through_schedule(Case(120, 200), seed=1, told=False)
    assert 0 < seen.refused < 200
    assert seen.per_job < 10


def test_under_a_tight_limit_whoever_waits_longest_goes_first() -> None:
    schedule: Schedule[str] = Schedule(60, jitter=lambda: 0.5)
    for name, due in (("late", 3.0), ("later", 5.0), ("first", 1.0)):
        schedule.put(name, DueTime(due))
    taken = []
    now = 10.0
    while len(schedule):
        now = max(now, schedule.next_at(now) or 0.0)
        taken.append((schedule.take(now), now))
    assert taken == [("first", 10.0), ("late", pytest.approx(11.01)), ("later", pytest.approx(12.02))]


def test_one_job_that_is_done_does_not_make_the_others_wait_longer_than_the_poll_interval() -> None:
    """What little is known of a workflow then says 21 s, half of which the others once waited for."""
    schedule: Schedule[str] = Schedule(jitter=lambda: 0.5)
    schedule.timing("workflow").learn(1.0)
    assert schedule.again("workflow", 2.5, 1.0, now=100.0).at == pytest.approx(101.0)


def test_nothing_is_taken_before_its_time_or_before_the_budget_allows() -> None:
    schedule: Schedule[str] = Schedule(60, jitter=lambda: 0.5)
    assert schedule.next_at(0.0) is None
    assert schedule.take(0.0) is None
    schedule.put("a", DueTime(5.0))
    schedule.put("b", DueTime(5.0))
    assert schedule.take(4.9) is None
    assert schedule.take(5.0) == "a"
    assert schedule.take(5.5) is None
    assert schedule.next_at(5.5) == pytest.approx(6.01)


@pytest.mark.parametrize("limit", [None, 60])
def test_a_job_that_is_put_again_or_dropped_leaves_nothing_behind(limit: float | None) -> None:
    schedule: Schedule[int] = Schedule(limit)
    for turn in range(50):
        for number in range(10):
            schedule.put(number, DueTime(float(turn + number), turn))
    assert len(schedule) == 10
    assert len(schedule._due.heap) <= 64
    assert len(schedule._soon.heap) <= (64 if limit else 0)
    for number in range(10):
        schedule.drop(number)
    schedule.drop(99)
    assert schedule.take(1e9) is None
    assert schedule._due.heap == schedule._soon.heap == []


def test_all_can_be_forgotten_at_once() -> None:
    schedule: Schedule[str] = Schedule(60)
    schedule.put("a", DueTime(1.0))
    schedule.put("b", DueTime(2.0))
    assert schedule.clear() == ["a", "b"]
    assert schedule.next_at(9.0) is None
    assert schedule.take(9.0) is None


class TestRoom:
    """What a known limit leaves is spent on asking sooner, but for a part that orders need."""

    WISH = DueTime(at=20.0, soonest=5.0)

    def test_a_job_is_asked_for_before_it_is_due(self) -> None:
        schedule: Schedule[str] = Schedule(60)
        schedule.put("a", self.WISH)
        schedule.put("b", self.WISH)
        assert schedule.take(4.9) is None
        assert schedule.take(5.0) == "a"
        # Not after 1.01 s, as it could be if it were due.
        assert schedule.next_at(5.0) == pytest.approx(5 + 1.01 / 0.95)
        assert schedule.take(6.01) is None
        assert schedule.take(6.1) == "b"

    def test_whoever_waits_longest_goes_first_due_or_not(self) -> None:
        schedule: Schedule[str] = Schedule(60)
        schedule.put("due", DueTime(10.0, 9.0))
        schedule.put("early", DueTime(30.0, 8.0))
        schedule.put("after an error", DueTime(8.5))
        assert [schedule.take(at) for at in (10.0, 12.0, 14.0)] == ["early", "after an error", "due"]

    def test_who_may_not_be_asked_sooner_waits_for_its_time(self) -> None:
        schedule: Schedule[str] = Schedule(60)
        schedule.put("a", DueTime(20.0))
        schedule.put("b", DueTime(10.0))
        assert schedule.next_at(0.0) == 10.0
        assert schedule.take(19.0) == "b"
        assert schedule.take(21.0) == "a"

    def test_without_a_limit_and_after_a_429_nobody_is(self) -> None:
        for schedule in (Schedule[str](None), Schedule[str](60)):
            schedule.budget.limited(0.0, 0.0, 1.0)
            schedule.put("a", self.WISH)
            assert schedule.take(10.0) is None
            assert schedule.next_at(10.0) == 20.0

    def test_a_deadline_comes_before_any_wish(self) -> None:
        assert self.WISH.by(10.0) == DueTime(10.0, 5.0)
        assert self.WISH.by(3.0) == DueTime(3.0, 3.0)

    def test_whoever_was_asked_early_does_not_come_before_those_who_were_not_asked_yet(self) -> None:
        schedule: Schedule[str] = Schedule(60, jitter=lambda: 0.5)
        first = schedule.first("swap", 7.0, 100.0)
        assert first == DueTime(100 + PRIOR / 2, 100 + PRIOR / 4)
        again = schedule.again("swap", PRIOR / 4, 7.0, first.soonest)
        assert again == DueTime(first.at, first.soonest + 2.0)


class TestTiming:
    def test_an_unknown_workflow_is_asked_for_after_half_the_usual_time_or_a_few_intervals(self) -> None:
        timing = Timing()
        assert timing.median == pytest.approx(PRIOR)
        assert timing.first(7.0) == pytest.approx(PRIOR / 2)
        assert timing.first(0.1) == pytest.approx(0.25)

    @pytest.mark.parametrize("truth", [8.0, 120.0])
    def test_it_learns_within_twenty_jobs(self, truth: float) -> None:
        timing = Timing()
        for _ in range(20):
            timing.learn(truth)
        assert timing.median == pytest.approx(truth, rel=0.25)
        assert timing.first(7.0) == pytest.approx(timing.median / 2)

    def test_steps_are_a_seventh_within_bounds_and_grow_in_the_tail(self) -> None:
        timing = Timing()
        assert timing.step(0, 7.0) == pytest.approx(PRIOR / 7)
        assert timing.step(100, 7.0) == pytest.approx(8.0)
        assert timing.step(3600, 7.0) == 30.0
        assert timing.step(0, 1.0) == 1.0
        assert timing.quick_step(0, 7.0) == pytest.approx(2.0)
        assert timing.quick_step(200, 7.0) == pytest.approx(4.0)
        for _ in range(50):
            timing.learn(5.0)
        assert timing.step(0, 7.0) == 2.0


class TestBudget:
    def test_without_a_limit_requests_go_at_once(self) -> None:
        budget = Budget(None)
        budget.spend(1.0)
        budget.spend(1.0)
        assert budget.ready_at(1.0) <= 1.0
        assert budget.rate(1.0) is None

    def test_a_limit_spaces_requests_evenly(self) -> None:
        budget = Budget(120)
        budget.spend(10.0)
        assert budget.ready_at(10.0) == pytest.approx(10.505)

    def test_a_429_pauses_as_asked_halves_the_pace_and_lets_it_grow_back(self) -> None:
        budget = Budget(60)
        budget.spend(10.0)
        budget.limited(10.1, 10.0, 20.0)
        assert budget.ready_at(10.1) == 30.1
        assert budget.rate(30.1) == pytest.approx(0.5)
        assert budget.rate(45.1) == pytest.approx(0.75)
        assert budget.rate(500.0) == 1.0

    def test_refusals_that_were_under_way_together_count_once(self) -> None:
        budget = Budget(60)
        for _ in range(16):
            budget.limited(10.0, 9.9, 5.0)
        assert budget.rate(15.0) == pytest.approx(0.5)

    def test_without_a_wish_the_pause_grows_with_each_refusal(self) -> None:
        budget = Budget(60)
        budget.limited(10.0, 10.0, None)
        first = budget.ready_at(10.0) - 10.0
        again = budget.ready_at(10.0) + 1
        budget.limited(again, again, None)
        assert budget.ready_at(again) - again > first

    def test_a_limit_that_nobody_told_is_taken_from_what_was_sent_and_forgotten_in_time(self) -> None:
        budget = Budget(None)
        budget.limited(0.0, 0.0, 1.0)
        assert budget.rate(1.0) == pytest.approx(0.5)
        budget = Budget(None)
        for tenth in range(100):
            budget.spend(tenth / 10)
        budget.limited(10.0, 9.9, 10.0)
        assert budget.rate(20.0) == pytest.approx(5.0, rel=0.05)
        assert budget.rate(49.0) is not None
        assert budget.rate(50.1) is None
