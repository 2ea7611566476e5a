"""One real Airflow, and a Segmind for each scenario: what is played together shares neither faults nor ledger."""

from __future__ import annotations

import itertools
import json
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from airflow_provider_segmind.emulator import Emulator
from demo.local_airflow import LocalAirflow
from tests.faults.case import Case
from tests.faults.kind import WITH_MEMORY

DAGS = Path(__file__).with_name("dags")
DAG_IDS = (
    *("swap", "swap_retry_once", "swap_never_retry", "swap_apart", "swap_many", "swap_resubmit", "swap_resumes"),
    "swap_batch",
)
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
EMULATORS = 8

# So that Airflow notices in seconds what it would notice in minutes.
QUICK = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(__file__).with_name("plugins")),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # A scheduler that is busy for longer than this takes itself for dead, and starts all its tasks once more.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "25",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "8",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "4",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
}


class World:
    """
    An Airflow whose components are revived when they die, as a service manager does.

    :param home: directory for everything it writes.
    """

    def __init__(self, home: Path) -> None:
        self._emulators = [Emulator(seed=number) for number in range(EMULATORS)]
        self._free: queue.Queue[int] = queue.Queue()
        self._home = home
        self._reviving = threading.Lock()
        self._lent = itertools.count()
        self.revived: list[str] = []
        """Names of the components that died by themselves."""
        self.airflow: LocalAirflow
        self.memory = home / "memory"
        """The folder of the memory of swaps, if there is one."""

    def __enter__(self) -> Self:
        connections = {}
        for number, emulator in enumerate(self._emulators):
            emulator.start()
            connections[f"AIRFLOW_CONN_SEGMIND_{number}"] = json.dumps(emulator.airflow_connection())
            self._free.put(number)
        memory = {"AIRFLOW__SEGMIND__MEMORY": str(self.memory)} if WITH_MEMORY else {}
        self.airflow = LocalAirflow(self._home, DAGS, {**QUICK, **memory, **connections})
        try:
            self.airflow.start()
            self.airflow.wait_healthy()
            for dag_id in DAG_IDS:
                self.airflow.wait_for_dag(dag_id)
                self.airflow.unpause(dag_id)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for component in self.airflow.components.values():
            component.kill(signal.SIGCONT)
        self.airflow.stop()
        for emulator in self._emulators:
            emulator.stop()

    @contextmanager
    def case(self) -> Iterator[Case]:
        """Lend a Segmind, as new, for one scenario."""
        number = self._free.get(timeout=600)
        emulator = self._emulators[number]
        _wait_for_light(emulator)
        emulator.reset()
        # Segmind never gives an id twice, and a memory knows each; an emulator that is reset begins anew with them.
        emulator._state._ids.seed(f"{number} {next(self._lent)}")
        try:
            yield Case(self, emulator, f"segmind_{number}")
        finally:
            self._free.put(number)

    def revive(self) -> None:
        """Start again what died by itself, but not what a scenario killed."""
        with self._reviving:
            for name, component in self.airflow.components.items():
                if component.started_at and not component.is_alive and not component.expected_dead:
                    self.revived.append(name)
                    component.start()

    def make_whole(self) -> None:
        """Start whatever an earlier scenario left dead."""
        dead = [name for name in COMPONENTS if not self.airflow.components[name].is_alive]
        for name in dead:
            self.airflow.components[name].start()
        if dead:
            self.airflow.wait_healthy(90)

    def kill(self, name: str, *, everything: bool = True) -> None:
        """Kill a component with SIGKILL; `everything`: its workers and their tasks as well."""
        self.airflow.components[name].kill(everything=everything)

    def restart(self, name: str) -> None:
        """Start a killed component again and wait until it reports for duty."""
        self.airflow.components[name].start()
        self.airflow.wait_healthy(90)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop all processes of a component with SIGSTOP for a while; connections to it hang."""
        component = self.airflow.components[name]
        component.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            component.kill(signal.SIGCONT)
            component.expected_dead = False

    @contextmanager
    def without_memory(self) -> Iterator[None]:
        """Put a file in the place of the memory's folder for a while, as a mount that failed leaves it unreadable."""
        # Its mode would not do: whoever runs this may be root.
        away = self.memory.with_name("memory-away")
        self.memory.rename(away)
        self.memory.touch()
        try:
            yield
        finally:
            self.memory.unlink()
            away.rename(self.memory)

    def settle(self, seconds: float) -> None:
        """Wait, reviving."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.revive()
            time.sleep(0.2)


def _wait_for_light(emulator: Emulator) -> None:
    """Wait until an outage that an earlier scenario asked for is over."""
    for _ in range(180):
        try:
            socket.create_connection(("127.0.0.1", emulator.port), timeout=1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise TimeoutError("the emulator stays dark")
