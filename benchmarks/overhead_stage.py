"""A real Airflow on PostgreSQL with the LocalExecutor, and one run of a pattern on it, measured from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from airflow_provider_segmind.emulator import Emulator
from benchmarks.overhead_patterns import SETTLE, Measured, Pattern
from benchmarks.overhead_peer import WAIT
from demo.local_airflow import LocalAirflow
from tests.cluster.postgres import Postgres
from tests.cluster.preload import preload

ROOT = Path(__file__).resolve().parents[1]
DAGS = Path(__file__).with_name("overhead_dags")
ENDED = ("success", "failed", "upstream_failed", "skipped")

SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "120",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}

# Without retries a task starts twice only to resume; some of those that are lost never start again.
_RESUMED = (
    "SELECT count(*) AS n FROM ("
    "SELECT task_id, map_index FROM log WHERE event = 'running' AND run_id = %s GROUP BY 1, 2 HAVING count(*) > 1"
    " UNION SELECT task_id, map_index FROM log WHERE event = 'state mismatch' AND run_id = %s) AS resumed"
)


class Stage:
    """
    PostgreSQL, Airflow and an emulator, in a ``with`` statement; nothing is left of them.

    :param home: directory for everything that is written.
    :param swaps: how many swaps each run has.
    :param preloaded: whether the provider is imported once, before the processes of tasks are forked.
    """

    def __init__(self, home: Path, swaps: int, *, preloaded: bool = False) -> None:
        self.home = home
        self.preloaded = preloaded
        self.swaps = swaps
        self.emulator = Emulator(credits=1e9, job_seconds=WAIT)
        self.postgres = Postgres(home / "postgres.log")
        self.airflow: LocalAirflow
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.emulator)
            opening.enter_context(self.postgres)
            env = {
                **SETTINGS,
                "PYTHONPATH": str(ROOT),
                # Otherwise each task would compile this package anew, which no installed one has to.
                "PYTHONDONTWRITEBYTECODE": "",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.postgres.url,
                "OVERHEAD_SEGMIND": self.emulator.url,
                "OVERHEAD_SWAPS": str(self.swaps),
                "OVERHEAD_RESULTS": self.home.as_uri(),
                "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(self.emulator.airflow_connection()),
            }
            if self.preloaded:
                preload(self.home / "airflow")
            self.airflow = opening.enter_context(LocalAirflow(self.home / "airflow", DAGS, env))
            self.airflow.wait_healthy(240)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def prepare(self, pattern: Pattern) -> None:
        """Make sure that a pattern's DAG is known and may run."""
        self.airflow.wait_for_dag(pattern.dag_id, 120)
        self.airflow.unpause(pattern.dag_id)

    def idle(self, duration: float) -> float:
        """Return the processor time for each second in which nothing is to be done."""
        before = self._cpu()
        time.sleep(duration)
        return sum(self._since(before).values()) / duration

    def run(self, pattern: Pattern, timeout: float = 900.0) -> Measured:
        """
        Run a pattern once.

        :raises RuntimeError: it ordered more or fewer swaps than it should.
        """
        self.emulator.reset()
        before = self._cpu()
        run_id = self.airflow.trigger(pattern.dag_id)
        # Seldom asked, since the API server's time for the answer is counted.
        self.airflow.wait_until("the run's end", lambda: self._ended(run_id), timeout, every=0.5)
        time.sleep(SETTLE)
        cpu = self._since(before)
        charges = len(self.emulator.charges)
        if pattern.orders and charges != self.swaps:
            raise RuntimeError(f"{pattern.dag_id} was charged {charges} times for {self.swaps} swaps.")
        run = self.postgres.query(
            "SELECT extract(epoch FROM end_date - queued_at)::float AS wall FROM dag_run WHERE run_id = %s", run_id
        )[0]
        starts = self._count("SELECT count(*) AS n FROM log WHERE event = 'running' AND run_id = %s", run_id)
        mismatch = "SELECT count(*) AS n FROM log WHERE event = 'state mismatch' AND run_id = %s"
        failed = "SELECT count(*) AS n FROM task_instance WHERE run_id = %s AND state <> 'success'"
        return Measured(
            pattern=pattern,
            swaps=self.swaps,
            wall=run["wall"],
            cpu=cpu,
            starts=starts,
            resumes=self._count(_RESUMED, run_id, run_id),
            lost=self._count(mismatch, run_id),
            failed=self._count(failed, run_id),
        )

    def _ended(self, run_id: str) -> bool:
        return self._count("SELECT count(*) AS n FROM dag_run WHERE run_id = %s AND end_date IS NOT NULL", run_id) == 1

    def _count(self, sql: str, *run_ids: str) -> int:
        return int(self.postgres.query(sql, *run_ids)[0]["n"])

    def _cpu(self) -> dict[str, float]:
        taken = {name: cpu_seconds(child.pids) for name, child in self.airflow.components.items()}
        server = self.postgres.server
        if server and server.pid:
            # Its processes each have a session of their own.
            backends = psutil.Process(server.pid).children(recursive=True)
            taken["postgres"] = cpu_seconds([server.pid, *(process.pid for process in backends)])
        return taken

    def _since(self, before: dict[str, float]) -> dict[str, float]:
        return {name: taken - before.get(name, 0.0) for name, taken in self._cpu().items()}


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds of the live processes of a component, and of their children that have ended."""
    total = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # it has ended, and counts for its parent now
            taken = psutil.Process(pid).cpu_times()
            total += taken.user + taken.system + taken.children_user + taken.children_system
    return total


def as_json(measured: Measured) -> dict[str, Any]:
    """Return a run as one line of the raw data."""
    return {
        "pattern": measured.pattern.dag_id,
        "preloaded": measured.pattern.preloaded,
        "wall": round(measured.wall, 2),
        "cpu": {name: round(seconds, 2) for name, seconds in measured.cpu.items()},
        "starts": measured.starts,
        "resumes": measured.resumes,
        "lost": measured.lost,
        "failed": measured.failed,
    }
