"""Faults at random points of a long run: the points, what happens at each, and what was seen in the end."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil

from airflow_provider_segmind.emulator import Fault
from tests.faults.case import ENDED, Case

SCRIPTED = {
    "connection reset before acceptance": (8, [Fault("drop-before")]),
    "connection reset after acceptance": (8, [Fault("drop-after")]),
    "answer 500 after acceptance": (4, [Fault("500-after")]),
    "answer 8 s late": (6, [Fault("hang-after", seconds=8)]),
    "429 at the order, 5 times": (3, [Fault("429", times=5)]),
    "429 at the poll, 15 times": (2, [Fault("429", on="poll", times=15)]),
    "502 at the poll, 15 times": (3, [Fault("502-html", on="poll", times=15)]),
    "connection reset at the poll, 15 times": (2, [Fault("drop-before", on="poll", times=15)]),
}
KILLS = {
    "worker killed": 14,
    "worker and its supervisor killed": 5,
    "triggerer killed and restarted": 2,
    "scheduler and its workers killed and restarted": 1,
    "scheduler alone killed and restarted": 1,
    "API server killed and restarted": 1,
    "API server frozen for 5 s": 1,
    "Segmind down for 6 s": 2,
}


@dataclass
class Storm:
    """
    Faults at points that a seed decides; a point is a number of charges, so that they spread over the whole run.

    :param case: the run, with its emulator.
    :param seed: decides the points, and who is hit.
    :param swaps: how many swaps the run orders.
    """

    case: Case
    seed: int
    swaps: int
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - repeatable on purpose
        names = [name for name, (count, _) in SCRIPTED.items() for _ in range(count)]
        names += [name for name, count in KILLS.items() for _ in range(count)]
        points = [(self._dice.uniform(0.02, 0.9) * self.swaps, name) for name in names]
        self._plan = sorted(points, reverse=True)

    def rage(self, timeout: float) -> None:
        """Let it happen until the last task has ended."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.case.world.revive()
            charges = len(self.case.emulator.charges)
            while self._plan and self._plan[-1][0] <= charges:
                _, name = self._plan.pop()
                self._strike(name)
            rows = self.case.rows()
            if len(rows) == self.swaps and all(row["state"] in ENDED for row in rows):
                return
            time.sleep(0.2)
        states = Counter(row["state"] for row in self.case.rows())
        raise TimeoutError(f"the storm did not end within {timeout:.0f} s: {dict(states)}, {charges} charges")

    def _strike(self, name: str) -> None:
        world, emulator = self.case.world, self.case.emulator
        if name in SCRIPTED:
            emulator.script(*SCRIPTED[name][1])
        elif name.startswith("worker"):
            if not self._kill_a_worker(supervisor="supervisor" in name):
                return
        elif name == "Segmind down for 6 s":
            emulator.outage(6)
        elif name == "API server frozen for 5 s":
            with world.frozen("api-server"):
                time.sleep(5)
        else:
            component = name.split(" ", maxsplit=1)[0].lower() if not name.startswith("API") else "api-server"
            world.kill(component, everything="alone" not in name)
            time.sleep(self._dice.uniform(0, 3))
            world.airflow.components[component].start()
        self.happened[name] += 1

    def _kill_a_worker(self, *, supervisor: bool) -> bool:
        """Kill the process of a task that runs now, if there is one: a chance that the seed cannot decide."""
        running = [row["pid"] for row in self.case.rows() if row["state"] == "running"]
        self._dice.shuffle(running)
        mine = set(self.case.world.airflow.components["scheduler"].pids)
        for pid in running:
            try:
                if pid in mine:
                    if supervisor:
                        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
                    os.kill(pid, signal.SIGKILL)
                    return True
            except (psutil.Error, ProcessLookupError):
                continue
        return False


@dataclass(frozen=True)
class Seen:
    """
    The reckoning.

    :param orders: charges of each input that was charged.
    :param delivered: request ids of the results.
    :param named: request ids that are in the error, or only in the log, of a task that failed.
    :param lost: request ids of jobs that were paid for and COMPLETED, and that nobody names.
    :param unexplained: map indexes of failed tasks whose error is neither an unknown outcome nor names a job.
    :param failures: how often tasks failed with which kind of error.
    """

    orders: Counter[str]
    delivered: set[str]
    named: set[str]
    lost: set[str]
    unexplained: list[int]
    failures: Counter[str]


def reckon(case: Case) -> Seen:
    """Compare what the service billed and made with what Airflow's tasks returned and said."""
    charges = case.emulator.charges
    delivered = {result["request_id"] for result in case.results().values()}
    named: set[str] = set()
    unexplained, failures = [], Counter[str]()
    ids = {charge.request_id for charge in charges}
    for row in case.rows():
        if row["state"] == "success":
            continue
        log, error = case.log(map_index=row["map_index"]), case.error(map_index=row["map_index"])
        here = {request_id for request_id in ids - delivered if request_id in log}
        named |= here
        failures[": ".join(error.split(": ")[:2])[:80] or str(row["state"])] += 1
        if not here and "OutcomeUnknownError" not in error:
            unexplained.append(row["map_index"])
    completed = {job.request_id for job in case.emulator.jobs.values() if job.status == "COMPLETED"}
    orders = Counter(str(charge.inputs["reference_character_image"]) for charge in charges)
    return Seen(orders, delivered, named, completed - delivered - named, unexplained, failures)
