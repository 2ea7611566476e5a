"""A day of polling in milliseconds: the schedule takes the time as an argument."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest

from airflow_provider_segmind.api.schedule import PRIOR, Budget, Schedule, Timing


@dataclass
class Account:
    """A service that counts requests in a sliding minute and refuses those above its limit."""

    limit: float | None
    sent: list[float]
    refused: int = 0

    def accepts(self, now: float) -> bool:
        self.sent = [at for at in self.sent if at > now - 60]
        if self.limit is not None and len(self.sent) >= self.limit:
            self.refused += 1
            return False
        self.sent.append(now)
        return True


def durations(count: int, seed: int = 1) -> list[float]:
    """Return durations as swaps are taken to have: median 35 s, 95 % below 90 s."""
    source = random.Random(seed)  # noqa: S311 - a simulation
    sigma = math.log(90 / 35) / 1.645
    return [source.lognormvariate(math.log(35), sigma) for _ in range(count)]


def simulate(
    jobs: list[float], requests_per_minute: float | None, account: Account, within: float = 0.0
) -> tuple[float, float]:
    """Poll jobs that were ordered within so many seconds; return requests per job and the mean delay of detection."""
    source = random.Random(3)  # noqa: S311 - a simulation
    starts = sorted(source.uniform(0, within) for _ in jobs)
    schedule: Schedule[int] = Schedule(requests_per_minute, jitter=source.random)
    timing = schedule.timing("swap")
    for number in range(len(jobs)):
        schedule.put(number, starts[number] + schedule.spread(timing.first(7), 0.05))
    now, requests, late = 0.0, 0, 0.0
    while len(schedule):
        now = max(now, schedule.next_at(now) or 0.0)
        number = schedule.take(now)
        assert number is not None
        requests += 1
        if not account.accepts(now):
            schedule.budget.limited(now, now, None)
            schedule.put(number, now)
        elif jobs[number] <= (age := now - starts[number]):
            late += age - jobs[number]
            timing.learn(age)
        else:
            schedule.put(number, now + schedule.spread(timing.step(age, 7), 0.1))
    return requests / len(jobs), late / len(jobs)


def test_without_a_limit_it_takes_fewer_requests_and_finds_results_sooner_than_every_seven_seconds() -> None:
    """Simulated with the same jobs: a fixed 7 s takes 7.4 requests a job and is 3.5 s late on average."""
    requests, late = simulate(durations(3000), None, Account(None, []), within=7200)
    assert requests < 6.8
    assert late < 3.2


@pytest.mark.parametrize(("limit", "jobs"), [(60, 7), (60, 100), (120, 100), (120, 1000), (1000, 1000)])
def test_an_accounts_limit_is_never_exceeded_by_our_own_doing(limit: float, jobs: int) -> None:
    account = Account(limit, [])
    simulate(durations(jobs), limit, account)
    assert account.refused == 0


def test_a_limit_that_nobody_told_is_found_with_few_refusals() -> None:
    account = Account(120, [])
    requests, _ = simulate(durations(200), None, account)
    assert 0 < account.refused < 200
    assert requests < 10


def test_under_a_tight_limit_whoever_waits_longest_goes_first() -> None:
    schedule: Schedule[str] = Schedule(60, jitter=lambda: 0.5)
    for name, due in (("late", 3.0), ("later", 5.0), ("first", 1.0)):
        schedule.put(name, due)
    taken = []
    now = 10.0
    while len(schedule):
        now = max(now, schedule.next_at(now) or 0.0)
        taken.append((schedule.take(now), now))
    assert taken == [("first", 10.0), ("late", pytest.approx(11.01)), ("later", pytest.approx(12.02))]


def test_nothing_is_taken_before_its_time_or_before_the_budget_allows() -> None:
    schedule: Schedule[str] = Schedule(60, jitter=lambda: 0.5)
    assert schedule.next_at(0.0) is None
    assert schedule.take(0.0) is None
    schedule.put("a", 5.0)
    schedule.put("b", 5.0)
    assert schedule.take(4.9) is None
    assert schedule.take(5.0) == "a"
    assert schedule.take(5.5) is None
    assert schedule.next_at(5.5) == pytest.approx(6.01)


def test_a_job_that_is_put_again_or_dropped_leaves_nothing_behind() -> None:
    schedule: Schedule[int] = Schedule(None)
    for turn in range(50):
        for number in range(10):
            schedule.put(number, float(turn + number))
    assert len(schedule) == 10
    assert len(schedule._heap) <= 64
    for number in range(10):
        schedule.drop(number)
    schedule.drop(99)
    assert schedule.take(1e9) is None
    assert schedule._heap == []


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
