"""At which sizes what is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.plan import Plan
from benchmarks.workload import INTERVAL, durations

LOOPS = ("null", "ours", "own_session", "http_sensor")
FOR_EVER = 1e6
BARE_SECONDS = 3.0
MAIN, WAITING, LONG, EMULATED = "main", "waiting", "long", "emulated"


@dataclass(frozen=True)
class Scenario:
    """
    One size at which all variants are compared.

    :param jobs: how many wait at once.
    :param variants: names of the variants, in the order in which they run.
    :param rounds: how often each variant runs, in turns.
    :param role: for which goals it is; those without one only show how the cost grows.
    :param factor: seconds here for each second of a real job, so that a round does not take minutes.
    :param longest: seconds after which every job is done.
    :param patience: seconds after which a variant that is not through is stopped, and counted as far as it came.
    """

    jobs: int
    variants: tuple[str, ...] = LOOPS
    rounds: int = 1
    role: str = ""
    factor: float = 1.0
    longest: float = 30.0
    patience: float = 38.0

    @property
    def name(self) -> str:
        """What it is, for the tables."""
        scaled = "" if self.factor == 1 else f", time x {self.factor:g}"
        kinds = {
            WAITING: f"{self.jobs:,} jobs, only waiting",
            LONG: f"One batch of {self.jobs:,}",
            EMULATED: f"A batch of {self.jobs:,} on the emulator",
        }
        return kinds.get(self.role, f"{self.jobs:,} jobs") + scaled

    def plan(self, variant: str, seed: int) -> Plan:
        """Return what a variant has to do in one round: the same jobs for all."""
        lasting = durations(self.jobs, seed, factor=self.factor, longest=self.longest)
        if self.role == WAITING:
            lasting = [FOR_EVER] * self.jobs
        plan = Plan(variant, "", self.jobs, INTERVAL * self.factor, self.patience, durations=lasting)
        if self.role == EMULATED:
            return replace(plan, emulated=True, durations=[])
        if variant == "bare":
            return replace(plan, jobs=16, patience=min(BARE_SECONDS, self.patience), durations=[FOR_EVER] * 16)
        return plan


COMPARED = ("null", "ours", "http_sensor", "bare")
FULL = (
    Scenario(5000, COMPARED, 3, MAIN),
    Scenario(100, ("null", "ours", "http_sensor")),
    Scenario(1000),
    # A session for each of these jobs would be 20,000 open connections.
    Scenario(20_000, ("null", "ours", "http_sensor"), patience=60.0),
    Scenario(10_000, ("null", "ours"), role=WAITING, patience=25.0),
    Scenario(100_000, ("batch",), role=LONG, longest=20.0, patience=120.0),
    Scenario(10_000, ("batch", "bare"), 3, EMULATED),
)

QUICK = (
    Scenario(500, COMPARED, 1, MAIN, factor=0.2, longest=7.2, patience=9.0),
    Scenario(1000, ("null", "ours"), role=WAITING, factor=0.2, patience=5.0),
    Scenario(5000, ("batch",), role=LONG, factor=0.2, longest=4.0, patience=60.0),
    Scenario(500, ("batch", "bare"), 1, EMULATED),
)
TINY = (
    Scenario(40, (*LOOPS, "bare"), 1, MAIN, factor=0.02, longest=1.5, patience=10.0),
    Scenario(40, ("batch", "bare"), 1, EMULATED),
    Scenario(40, ("batch",), 1, LONG, longest=0.0, patience=60.0),
)
"""To see that it runs."""
