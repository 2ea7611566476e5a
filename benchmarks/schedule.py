"""
Compare the poller's schedule with others, in simulated time: ``python -m benchmarks --only schedule``.

How late a result is seen is what a schedule can be good at; how many requests the account allows is what limits it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks import results
from benchmarks.candidates import candidates, front
from benchmarks.results import Goal
from benchmarks.simulation import Case, Outcome, through_schedule, through_slots

CASES = tuple(
    Case(limit, jobs, within) for within in (0.0, 60.0) for limit in (60, 120, 1000) for jobs in (7, 100, 1000)
)
ROOMY = Case(1000, 7)
"""A limit so ample that it is the schedule's own shortest step that holds it back."""
UNLIMITED = Case(None, 2000, 7200.0)
REPEATS = {7: 60, 100: 4, 1000: 1}
"""So that each case is a few hundred jobs at least."""


@dataclass(frozen=True)
class Compared:
    """
    One case, and how the schedule did in it.

    :param late: mean seconds from done to seen.
    :param requests: for each job.
    :param refused: requests that the service refused; none should be.
    :param longest: seconds from done to seen of the job that was seen last.
    :param overdue: share of one turn of all jobs, at the limit, that a job waited beyond its time at most.
    :param best: the best other way, its mean and its longest.
    """

    case: Case
    late: float
    requests: float
    refused: int
    longest: float
    overdue: float
    best: tuple[float, str, float]

    @property
    def ratio(self) -> float:
        """How much later than with the best other way results are seen."""
        return self.late / self.best[0]


def mean(outcomes: Iterable[Outcome]) -> float:
    """Return the mean delay over several runs."""
    return statistics.fmean(outcome.mean for outcome in outcomes)


def compare(case: Case, repeats: int) -> Compared:
    """Simulate the schedule and all candidates with the same jobs."""
    seeds = range(1, repeats + 1)
    ours = [through_schedule(case, seed) for seed in seeds]
    others = []
    for name, pick in candidates(case.jobs).items():
        runs = [through_slots(case, seed, pick) for seed in seeds]
        others.append((mean(runs), name, max(max(run.late) for run in runs)))
    return Compared(
        case,
        mean(ours),
        statistics.fmean(run.per_job for run in ours),
        sum(run.refused for run in ours),
        max(max(run.late) for run in ours),
        max(run.overdue for run in ours) / (case.spacing * case.jobs),
        min(others),
    )


def row(one: Compared) -> list[str]:
    """Return one line of the table."""
    case, (best, name, longest) = one.case, one.best
    return [
        f"{case.limit:g}",
        str(case.jobs),
        "at once" if not case.within else f"within {case.within:g} s",
        f"{one.late:.2f}",
        f"{one.longest:.0f}",
        f"{one.requests:.1f}",
        str(one.refused),
        f"{best:.2f}",
        f"{longest:.0f}",
        name,
        f"{one.ratio:.2f}",
    ]


def measure(cases: Sequence[Case] = CASES, alone: int = 300) -> tuple[str, list[Goal]]:
    """
    Simulate, and return the table with what was aimed for.

    :param alone: how often the case with an ample limit is repeated.
    """
    compared = [compare(case, REPEATS[case.jobs]) for case in cases]
    free = through_schedule(UNLIMITED, 1)
    at_best = front(free.per_job)
    roomy = [through_schedule(ROOMY, seed) for seed in range(1, alone + 1)]
    roomy_best = front(statistics.fmean(run.per_job for run in roomy))
    worst, refused = max(one.ratio for one in compared), sum(one.refused for one in compared)
    goals = [
        Goal(
            "mean delay from done to seen, without a limit, to the best for as many requests",
            "<= 1.05 x",
            f"{free.mean / at_best:.3f} x ({free.per_job:.1f} requests a job, {free.mean:.2f} s)",
            free.mean <= 1.05 * at_best,
        ),
        Goal("the same under a limit, to the best found", "<= 1.15 x", f"{worst:.2f} x at worst", worst <= 1.15),
        Goal(
            "the same of 7 jobs at 1,000 a minute, to the best for as many requests",
            "<= 1.15 x",
            f"{mean(roomy) / roomy_best:.3f} x ({mean(roomy):.2f} s)",
            mean(roomy) <= 1.15 * roomy_best,
        ),
        Goal("429s of our own making", "0", str(refused), refused == 0),
    ]
    head = ("limit a minute", "jobs", "ordered", "s from done to seen", "longest", "requests a job", "429s")
    table = results.table((*head, "best other", "its longest", "which", "ratio"), [row(one) for one in compared])
    return f"## Schedule, in simulated time\n\n{table}", goals
