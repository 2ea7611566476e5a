"""What a scenario is, and how one is played."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.case import Case
from tests.faults.world import World


@dataclass(frozen=True)
class Scenario:
    """
    One fault, and what it may cost.

    :param fault: what goes wrong, in the words of the table.
    :param charges: bills that are expected; several where chance decides, and either is right.
    :param act: plays it, checks all but the bills, and returns the outcome in the words of the table.
    :param alone: whether it disturbs every task, not only its own.
    """

    fault: str
    charges: int | tuple[int, ...]
    act: Callable[[Case], str]
    alone: bool = False


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
        expected = self.scenario.charges
        return not self.error and self.charges in (expected if isinstance(expected, tuple) else (expected,))


SCENARIOS: list[Scenario] = []


def scenario(
    fault: str, *, charges: int | tuple[int, ...], alone: bool = False
) -> Callable[[Callable[[Case], str]], None]:
    """Return a decorator that makes a scenario of a function."""

    def register(act: Callable[[Case], str]) -> None:
        SCENARIOS.append(Scenario(fault, charges, act, alone))

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
