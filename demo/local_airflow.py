"""A real Airflow on this machine, driven by a program: each component a process that can be killed."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from demo.airflow_rest import AirflowRest
from demo.airflow_settings import LOOPBACK, airflow_environment, free_port
from demo.child import Child

# The log servers of scheduler and triggerer bind every interface and cannot be told otherwise. All processes
# share one disk here, so nobody needs them, and without them nothing listens outside loopback.
_COMMANDS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_JOB_TYPES = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}


class LocalAirflow(AirflowRest):
    """
    API server, scheduler, DAG processor and triggerer, each in a session and with a log file of its own.

    Use it in a ``with`` statement, or call :meth:`stop` whatever happens, also after a start that failed half-way.

    What it writes is in ``home``, also its metadata database, unless one is there already or ``env`` has another URL.
    Its variables win over the ones made here. Secrets belong there: a command line can be read by every user.
    """

    def __init__(self, home: Path, dags_folder: Path, env: Mapping[str, str] | None = None) -> None:
        port = free_port()
        super().__init__(f"http://{LOOPBACK}:{port}")
        self.home = home.absolute()
        self.home.mkdir(parents=True, exist_ok=True)
        self.sqlite_path = self.home / "airflow.db"
        self.env = airflow_environment(self.home, dags_folder.absolute(), port, env or {})
        self.components = {name: self._child(name, *command) for name, command in _COMMANDS.items()}
        self._migrate = self._child("db-migrate", "db", "migrate")

    def _child(self, name: str, *arguments: str) -> Child:
        command = (sys.executable, "-m", "airflow", *arguments)
        return Child(name, command, self.env, self.home / "components" / f"{name}.log")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the metadata database and start all components, without waiting until they are ready."""
        if not self.sqlite_path.exists():
            self._migrate.start()
            self._migrate.wait(120)
        for component in self.components.values():
            component.start()

    def stop(self, grace: float = 4.0) -> None:
        """End everything that was started within some seconds, and leave no process behind."""
        # The triggerer of Airflow 3.3 takes ten seconds to notice that its own child is gone: not worth waiting for.
        api_server = self.components["api-server"]
        others = [child for child in (self._migrate, *self.components.values()) if child is not api_server]
        deadline = time.monotonic() + grace
        for child in others:
            child.ask_to_stop()
        for child in others:
            child.stop(max(0.0, deadline - time.monotonic()))
        # Last, since tasks and triggers that come to their end report it there.
        api_server.stop(max(2.0, deadline - time.monotonic()))
        self.session.close()

    def check(self) -> None:
        """Raise :class:`~demo.child.ChildDiedError` if a component ended that was not killed or stopped on purpose."""
        for component in self.components.values():
            component.check()

    @property
    def pids(self) -> list[int]:
        """Ids of all processes: components, executor workers, task processes, trigger runners."""
        return [pid for child in (self._migrate, *self.components.values()) for pid in child.pids]

    def add_component(self, name: str, *arguments: str) -> Child:
        """Have one more component in ``components``, by what follows ``airflow`` in its command, and return it."""
        self.components[name] = self._child(name, *arguments)
        return self.components[name]

    def wait_healthy(self, timeout: float = 120.0) -> None:
        """Wait until every component that should run has reported for duty since its latest start, or say which not."""
        deadline = time.monotonic() + timeout
        unready = ["api-server"]

        def healthy() -> bool:
            unready[:] = self._unready()
            return not unready

        try:
            # The first call to the task API builds it for seconds; tasks should not have to wait for that.
            health = f"{self.url}/execution/health"
            self.wait_until("The API server", lambda: self.session.get(health, timeout=30).ok, timeout)
            self.wait_until("A healthy Airflow", healthy, deadline - time.monotonic())
        except TimeoutError as error:
            tails = "\n".join(self.components[name].describe("is not ready") for name in unready)
            raise TimeoutError(f"{error} {tails}") from error

    def _unready(self) -> list[str]:
        """Compare starts with Airflow's own job records: a killed component's record stays "running"."""
        jobs = self.call("GET", "jobs", params={"limit": 100, "order_by": "-id", "job_state": "running"})["jobs"]
        unready = []
        for prefix, job_type in _JOB_TYPES.items():
            alive = [job for job in jobs if job["job_type"] == job_type and job["latest_heartbeat"]]
            starts = [datetime.fromisoformat(job["start_date"]).timestamp() for job in alive]
            wanted = [
                (child.started_at, name)
                for name, child in self.components.items()
                if name.startswith(prefix) and not child.expected_dead
            ]
            # The n-th youngest component needs n jobs that began after it did.
            for count, (started_at, name) in enumerate(sorted(wanted, reverse=True), start=1):
                if sum(start >= started_at for start in starts) < count:
                    unready.append(name)
        return unready

    def metadata(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Read rows from the metadata database past Airflow, without writing to it; it must be SQLite."""
        with closing(sqlite3.connect(f"{self.sqlite_path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]
