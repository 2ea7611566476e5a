"""
The fault suite: minutes of killed processes, so it runs only when asked for, with ``make test-faults``.

One Airflow serves all scenarios, since starting one takes half a minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest

from tests.faults.kind import HAS_STORE, WITH_MEMORY
from tests.faults.play import Played, Scenario, play
from tests.faults.table import Table
from tests.faults.world import World

collect_ignore_glob = [] if os.environ.get("FAULTS") else ["test_*.py"]

AT_ONCE = 6
"""Scenarios that disturb only their own task are played together; each has a Segmind of its own."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if not (HAS_STORE or WITH_MEMORY):
        pytest.exit(
            "Before Airflow 3.3 nothing keeps a record of an order but a memory: make test-faults MEMORY=1 …", 2
        )
    with World(tmp_path_factory.mktemp("faults")) as running:
        yield running
        pids = running.airflow.pids
    left = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert not left, f"Airflow was stopped, but these of its processes are still there: {left}"


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """The rows of all scenarios; printed and written into the documentation at the end of a complete run."""
    rows = Table()
    yield rows
    rows.finish()


class Stage:
    """Plays scenarios; the first that disturbs nobody else starts all of its kind."""

    def __init__(self, world: World, scenarios: list[Scenario]) -> None:
        self._world = world
        self._together = [scenario for scenario in scenarios if not scenario.alone]
        self._futures: dict[str, Future[Played]] = {}

    def play(self, scenario: Scenario) -> Played:
        if scenario.alone:
            return play(self._world, scenario)
        if not self._futures:
            pool = ThreadPoolExecutor(AT_ONCE)
            self._futures = {each.fault: pool.submit(play, self._world, each) for each in self._together}
            pool.shutdown(wait=False)
        return self._futures[scenario.fault].result()

    def close(self) -> None:
        """Begin no more; those that are being played end by themselves, each in bounded time."""
        for future in self._futures.values():
            future.cancel()


@pytest.fixture(scope="session")
def stage(world: World, request: pytest.FixtureRequest) -> Iterator[Stage]:
    chosen = [item.callspec.params["scenario"] for item in request.session.items if hasattr(item, "callspec")]
    playing = Stage(world, [each for each in chosen if isinstance(each, Scenario)])
    yield playing
    playing.close()
