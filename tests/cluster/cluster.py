"""Airflow as a team runs it: CeleryExecutor, Redis, PostgreSQL, two workers, two triggerers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from celery import Celery

from airflow_provider_segmind.emulator import Emulator, Fault
from demo.airflow_settings import LOOPBACK
from demo.child import Child
from demo.local_airflow import LocalAirflow
from tests.cluster.broker import Broker
from tests.cluster.postgres import Postgres
from tests.cluster.preload import preload

DAGS = Path(__file__).with_name("dags")
WORKERS = ("worker-1", "worker-2")
TRIGGERERS = ("triggerer", "triggerer-2")
SLOTS = 4
"""Tasks that a worker runs at once."""
HANG = 25.0
"""Seconds that an order's answer is withheld; less than the connection's timeout of 30."""

# docs/scaling.md says what each is for.
CELERY = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": str(len(WORKERS) * SLOTS),
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
    "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
    "AIRFLOW__CELERY__TASK_ACKS_LATE": "True",
    "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "300",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "60",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
}


class Cluster:
    """
    All of it, in a ``with`` statement; nothing of it is left afterwards.

    :param home: directory for logs and results.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.emulator = Emulator(credits=100_000.0)
        self.postgres = Postgres(home / "postgres.log")
        self.broker = Broker(home / "redis.log")
        self.airflow: LocalAirflow
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.emulator)
            opening.enter_context(self.postgres)
            opening.enter_context(self.broker)
            self.airflow = opening.enter_context(self._make_airflow())
            self.airflow.wait_healthy(240)
            self.airflow.add_component("triggerer-2", "triggerer", "--skip-serve-logs").start()
            self.airflow.wait_healthy(60)
            self.airflow.wait_until("Both Celery workers", self._workers_answer, 120)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _make_airflow(self) -> LocalAirflow:
        env = {
            **CELERY,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.postgres.url,
            "AIRFLOW__CELERY__BROKER_URL": self.broker.url,
            "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(self.emulator.airflow_connection()),
            "PYTHONDONTWRITEBYTECODE": "",
            # Celery warns about root and goes on; this says that it is meant.
            "C_FORCE_ROOT": "1",
        }
        airflow = LocalAirflow(self.home / "airflow", DAGS, env)
        preload(airflow.home)
        for name in WORKERS:
            airflow.add_component(
                name, *("celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{name}@{LOOPBACK}")
            )
        return airflow

    def _workers_answer(self) -> bool:
        with Celery(broker=self.broker.url) as celery:
            return len(celery.control.ping(timeout=2.0)) == len(WORKERS)

    def make_whole(self) -> None:
        """Start what an earlier test killed."""
        dead = [child for child in self.airflow.components.values() if not child.is_alive]
        for child in dead:
            child.start()
        if dead:
            self.airflow.wait_healthy(240)
            self.airflow.wait_until("Both Celery workers", self._workers_answer, 120)

    # --- what is seen ---

    def rows(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Return the instances of a task, in the order of their map indexes."""
        return self.postgres.query(
            "SELECT map_index, state, pid, try_number, trigger_id FROM task_instance"
            " WHERE dag_id = %s AND run_id = %s AND task_id = %s ORDER BY map_index",
            *(dag_id, run_id, task_id),
        )

    def results(self, dag_id: str, run_id: str, task_id: str) -> list[Any]:
        """Return what the instances of a task returned."""
        found = self.postgres.query(
            "SELECT value FROM xcom WHERE dag_id = %s AND run_id = %s AND task_id = %s AND key = 'return_value'",
            *(dag_id, run_id, task_id),
        )
        return [json.loads(row["value"]) if isinstance(row["value"], str) else row["value"] for row in found]

    def triggers(self) -> dict[str, set[int]]:
        """Return the ids of the triggers that each triggerer has, by the component's name."""
        jobs = self.postgres.query("SELECT id, start_date FROM job WHERE job_type = 'TriggererJob' ORDER BY start_date")
        rows = self.postgres.query("SELECT id, triggerer_id FROM trigger")
        found: dict[str, set[int]] = {}
        for name in TRIGGERERS:
            # They are started one after the other, so the first job since a triggerer's start is its own.
            start = self.airflow.components[name].started_at
            own = next((job["id"] for job in jobs if job["start_date"].timestamp() >= start), None)
            found[name] = {row["id"] for row in rows if own and row["triggerer_id"] == own}
        return found

    def lost_resumes(self, run_id: str) -> int:
        """Return how many resumes of a run Airflow itself lost."""
        sql = "SELECT count(*) AS n FROM log WHERE event = 'state mismatch' AND run_id = %s AND extra LIKE %s"
        return int(self.postgres.query(sql, run_id, "%state attribute is queued%")[0]["n"])

    # --- what is done to it ---

    def until(self, what: str, condition: Callable[[], object], timeout: float, every: float = 0.5) -> None:
        """Wait for something; fail early if a component died by itself, or no run is left to bring it about."""

        def happened() -> bool:
            if condition():
                return True
            if not self.postgres.query("SELECT id FROM dag_run WHERE end_date IS NULL"):
                raise RuntimeError(f"{what}: the run ended before that")
            return False

        self.airflow.wait_until(what, happened, timeout, every)

    def withhold_answers(self, after: int) -> None:
        """Take orders, but answer none for a while once so many were answered."""
        self.emulator.script(Fault("hang-after", times=None, after=after, seconds=HANG))

    def kill_a_worker_that_waits_for_answers(self, run_id: str) -> tuple[Child, int]:
        """
        Kill a worker, with all that it runs, while its tasks have paid for orders of which they do not know.

        The answers to orders are withheld until nobody orders any more. So what is killed is never between intent
        and order, where only a person can find out what happened.

        :param run_id: the run whose tasks count.
        :returns: the worker, and how many tasks died with it.
        """
        charges, since = len(self.emulator.charges), time.monotonic()
        while time.monotonic() - since < HANG / 5:
            time.sleep(0.2)
            if len(self.emulator.charges) > charges:
                charges, since = len(self.emulator.charges), time.monotonic()
        running = {
            row["pid"]
            for row in self.postgres.query(
                "SELECT pid FROM task_instance WHERE run_id = %s AND state = 'running' AND pid IS NOT NULL", run_id
            )
        }
        workers = [self.airflow.components[name] for name in WORKERS]
        victim = max(workers, key=lambda child: len(running & set(child.pids)))
        died = len(running & set(victim.pids))
        victim.kill()
        self.emulator.clear_faults()
        return victim, died
