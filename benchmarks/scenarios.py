"""At which sizes what is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.plan import Plan
from benchmarks.workload import INTERVAL, durations

LOOPS = ("null", "ours", "own_session", "http_sensor")
BLOCKING = ("sdk", "documented")
FOR_EVER = 1e6
BARE_SECONDS = 3.0


@dataclass(frozen=True)
class Scenario:
    """
    One size at which all variants are compared.

    :param jobs: how many wait at once.
    :param factor: seconds here for each second of a real job, so that a round does not take minutes.
    :param longest: seconds after which every job is done.
    :param patience: seconds after which a variant that is not through is stopped, and counted as far as it came.
    :param rounds: how often each variant runs, in turns.
    :param variants: names of the variants, in the order in which they run.
    :param waiting: whether no job is ever done, to see what only waiting takes.
    """

    name: str
    jobs: int
    factor: float
    longest: float
    patience: float
    rounds: int
    variants: tuple[str, ...]
    waiting: bool = False

    def plan(self, variant: str, seed: int) -> Plan:
        """Return what a variant has to do in one round: the same jobs for all."""
        lasting = durations(self.jobs, seed, factor=self.factor, longest=self.longest)
        if self.waiting:
            lasting = [FOR_EVER] * self.jobs
        plan = Plan(variant, "", self.jobs, INTERVAL * self.factor, self.patience, durations=lasting)
        if variant == "bare":
            return replace(plan, jobs=16, patience=min(BARE_SECONDS, self.patience), durations=[FOR_EVER] * 16)
        return plan


FULL = (
    Scenario("1,000 jobs, time x 0.2", 1000, 0.2, 12.0, 20.0, 3, (*LOOPS, *BLOCKING, "bare")),
    Scenario("5,000 jobs, real time", 5000, 1.0, 36.0, 45.0, 3, LOOPS),
    Scenario("10,000 jobs, only waiting", 10_000, 1.0, 0.0, 90.0, 1, ("null", "ours"), waiting=True),
)
"""Blocking variants stop at 1,000: 5,000 threads of them need minutes of CPU for the first poll of each."""

QUICK = (Scenario("40 jobs, time x 0.02", 40, 0.02, 1.5, 10.0, 1, (*LOOPS, *BLOCKING, "bare")),)
