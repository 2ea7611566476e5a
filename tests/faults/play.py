"""What a scenario is, and how one is played."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.case import Case
from tests.faults.kind import WITH_MEMORY
from tests.faults.world import World


@dataclass(frozen=True)
class Scenario:
    """
    One fault, and what it may cost.

    :param fault: what goes wrong, in the words of the table.
    :param charges: bills that are expected; several where chance decides, and either is right.
    :param act: plays it, checks all but the bills, and returns the outcome in the words of the table.
    :param alone: whether it disturbs every task, not only its own.
    :param charges_with_memory: bills that are expected where a memory of swaps takes what is paid for; by default the
        same.
    :param of_memory: whether it needs a memory.
    """

    fault: str
    charges: int | tuple[int, ...]
    act: Callable[[Case], str]
    alone: bool = False
    charges_with_memory: int | tuple[int, ...] | None = None
    of_memory: bool = False

    @property
    def expected(self) -> tuple[int, ...]:
        """The bills of which any number is right in this run."""
        bills = self.charges
        if WITH_MEMORY and self.charges_with_memory is not None:
            bills = self.charges_with_memory
        return bills if isinstance(bills, tuple) else (bills,)


@dataclass(frozen=True)
class Played:
    """
    What came of a scenario.

    :param scenario: which.
    :param charges: bills in the emulator's ledger.
    :param outcome: in the words of the table; of an error the traceback as well.
    :param error: what the scenario could not show.
    """

    scenario: Scenario
    charges: int
    outcome: str
    error: str = ""

    @property
    def good(self) -> bool:
        return not self.error and self.charges in self.scenario.expected


SCENARIOS: list[Scenario] = []


def scenario(
    fault: str,
    *,
    charges: int | tuple[int, ...],
    alone: bool = False,
    charges_with_memory: int | tuple[int, ...] | None = None,
    of_memory: bool = False,
) -> Callable[[Callable[[Case], str]], None]:
    """Return a decorator that makes a scenario of a function, if this run can play it."""

    def register(act: Callable[[Case], str]) -> None:
        if WITH_MEMORY or not of_memory:
            SCENARIOS.append(Scenario(fault, charges, act, alone, charges_with_memory, of_memory))

    return register


def play(world: World, scenario: Scenario) -> Played:
    """Play a scenario with an emulator of its own; an error becomes part of what is returned."""
    began = time.monotonic()
    if scenario.alone:
        world.make_whole()
    with world.case() as case:
        try:
            outcome, error = scenario.act(case), ""
        except Exception as problem:  # noqa: BLE001 - reported by the test of this scenario
            outcome = f"NOT AS EXPECTED: {type(problem).__name__}: {problem}".split("\n")[0]
            error = f"{traceback.format_exc()}\n{case.story()}"
        played = Played(scenario, len(case.emulator.charges), outcome, error)
    print(f"\n{time.monotonic() - began:5.0f} s  {scenario.fault}: {outcome}\n{error}")  # noqa: T201
    return played
