"""One scenario's run of a DAG, seen from outside: the metadata database, the logs, the emulator's ledger."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil
import requests

from airflow_provider_segmind.emulator import Emulator
from demo.airflow_rest import AirflowRestError
from tests.faults.kind import HAS_STORE, WITH_MEMORY

if TYPE_CHECKING:
    from tests.faults.world import World

ENDED = ("success", "failed", "upstream_failed", "skipped")
# Below its line in the log an exception is followed by its causes; the first is the one that ended the attempt.
_ERRORS = re.compile(r"^.* error .*\n  (\w+: .*)$", re.MULTILINE)


class Case:
    """
    One scenario.

    :param world: the Airflow.
    :param emulator: the Segmind of this scenario alone.
    :param conn_id: the connection to it.
    """

    def __init__(self, world: World, emulator: Emulator, conn_id: str) -> None:
        self.world = world
        self.emulator = emulator
        self.conn_id = conn_id
        self.dag_id = self.run_id = ""
        self.dark_until = 0.0
        """The monotonic time at which an outage ends that the scenario asked for."""
        # A memory knows a swap by its pictures and words, and all scenarios show the same pictures.
        self.words = f"the woman of {uuid.uuid4().hex[:8]}"

    def twin(self) -> Case:
        """Return a case that orders the same swaps of the same Segmind in a run of its own."""
        other = Case(self.world, self.emulator, self.conn_id)
        other.words = self.words
        return other

    def order(self, dag_id: str = "swap", people: list[int] | None = None, **conf: Any) -> Case:
        """Start a run of a DAG that orders a swap, or one for each of the people."""
        self.dag_id = dag_id
        conf = {
            "conn": self.conn_id,
            "words": self.words,
            "scene": self.emulator.sample("scene"),
            "people": [self.emulator.sample("person", number) for number in people or [0]],
            **conf,
        }
        self.run_id = f"fault-{uuid.uuid4().hex[:8]}"
        self.insist(lambda: self.world.airflow.trigger(dag_id, conf, self.run_id))
        return self

    def insist(self, request: Callable[[], object]) -> None:
        """Make a request to Airflow's API again where SQLite, busy with several scenarios, made it fail."""
        for pause in (1, 2, 4, 8, 0):
            try:
                request()
            except AirflowRestError as error:
                if error.status == requests.codes.conflict:  # it had been done
                    return
                if error.status < requests.codes.server_error or not pause:
                    raise
                time.sleep(pause)
            else:
                return

    # --- what is seen ---

    def rows(self, task_id: str = "swap") -> list[dict[str, Any]]:
        """Return the task instances of this run, past Airflow."""
        for _ in range(60):
            try:
                return self.world.airflow.metadata(
                    "SELECT map_index, state, pid, try_number, max_tries, next_method, trigger_id FROM task_instance "
                    "WHERE dag_id = ? AND run_id = ? AND task_id = ? ORDER BY map_index",
                    self.dag_id,
                    self.run_id,
                    task_id,
                )
            except sqlite3.OperationalError:  # locked, on purpose
                time.sleep(0.5)
        raise RuntimeError("the metadata database stays locked")

    def row(self, task_id: str = "swap") -> dict[str, Any]:
        """Return the only task instance, empty before there is one."""
        return next(iter(self.rows(task_id)), {})

    def record(self, task_id: str = "swap") -> dict[str, Any]:
        """Return what the task state store, or in its place the memory, holds of the order."""
        if not HAS_STORE:
            owner = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": task_id, "map_index": -1}
            folder = hashlib.sha256(json.dumps(owner, sort_keys=True).encode()).hexdigest()[:32]
            path = self.world.memory / "tasks" / folder / "segmind_order.json"
            return dict(json.loads(path.read_text())) if path.exists() else {}
        found = self.world.airflow.metadata(
            "SELECT value FROM task_state_store WHERE dag_id = ? AND run_id = ? AND task_id = ? AND key = ?",
            self.dag_id,
            self.run_id,
            task_id,
            "segmind_order",
        )
        return dict(json.loads(found[0]["value"])) if found else {}

    def remembered(self) -> list[dict[str, Any]]:
        """Return what the memory has of this run's own orders, in the order of its claims."""
        found = [json.loads(path.read_text()) for path in self.world.memory.glob("swaps/*/[0-9a-f]*.json")]
        mine = [record for record in found if record["owner"]["run_id"] == self.run_id]
        return sorted(mine, key=lambda record: float(record["order"]["at"]))

    def results(self) -> dict[int, dict[str, Any]]:
        """Return what the tasks returned, by map index."""
        found = self.world.airflow.metadata(
            "SELECT map_index, value FROM xcom WHERE dag_id = ? AND run_id = ? AND task_id = 'swap' AND key = ?",
            self.dag_id,
            self.run_id,
            "return_value",
        )
        return {row["map_index"]: _plain(row["value"]) for row in found}

    def log(self, try_number: int | None = None, task_id: str = "swap", map_index: int = -1) -> str:
        """Return the log of one attempt, or of all of them."""
        tries = [try_number] if try_number else range(1, max(row["try_number"] for row in self.rows(task_id)) + 1)
        texts = []
        for number in tries:
            try:
                texts.append(self.world.airflow.task_log(self.dag_id, self.run_id, task_id, number, map_index))
            except (AirflowRestError, requests.RequestException) as error:
                texts.append(f"(no log of try {number}: {error})")
        return "\n".join(texts)

    def error(self, task_id: str = "swap", map_index: int = -1) -> str:
        """Return the error with which the last attempt ended, as the task's log shows it."""
        found = _ERRORS.findall(self.log(task_id=task_id, map_index=map_index))
        return str(found[-1]) if found else ""

    def story(self) -> str:
        """Return all that helps to understand a scenario that went wrong."""
        if not self.run_id:
            return "No run was started."
        charges = [charge.request_id for charge in self.emulator.charges]
        lines = [f"{self.dag_id} {self.run_id}", f"charges: {charges}"]
        for task_id in ("submit", "swap"):
            for row in self.rows(task_id)[:4]:
                lines += [f"{task_id}: {row}", self.log(task_id=task_id, map_index=row["map_index"])]
        return "\n".join(lines)

    # --- waiting ---

    def until(self, what: str, condition: Callable[[], object], timeout: float = 60.0, every: float = 0.1) -> None:
        """Wait for something, reviving what died by itself."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {timeout:.0f} s")
            self.world.revive()
            time.sleep(every)

    def until_intent(self, task_id: str = "swap") -> None:
        """Wait until an order may be sent: it is on record, and claimed if there is a memory."""

        def intended() -> bool:
            claimed = not WITH_MEMORY or any(record["state"] == "claimed" for record in self.remembered())
            return claimed and self.record(task_id).get("state") == "intent"

        self.until("the intent", intended)

    def until_charged(self, count: int = 1, timeout: float = 60.0) -> None:
        self.until(f"charge {count}", lambda: len(self.emulator.charges) >= count, timeout, every=0.02)

    def until_deferred(self) -> None:
        self.until("the deferral", lambda: self.row().get("state") == "deferred")

    def until_polled(self, times: int = 1) -> None:
        """Wait until the triggerer has asked for the newest job."""
        self.until("a poll", lambda: any(job.polls >= times for job in self.emulator.jobs.values()))

    def end(self, timeout: float = 150.0) -> str:
        """Wait until every task of the run has ended; return the state of the last one."""

        def ended() -> bool:
            rows = self.rows()
            return bool(rows) and all(row["state"] in ENDED for row in rows)

        self.until("the end", ended, timeout, every=0.3)
        return str(self.rows()[-1]["state"])

    # --- faults ---

    def kill_worker(self, *, supervisor: bool = False, task_id: str = "swap") -> None:
        """Kill the process that runs the task, and with it the process that supervises it if that is asked for."""
        row = self.row(task_id)
        assert row.get("state") == "running", f"there is no worker to kill: {row}"
        process = psutil.Process(row["pid"])
        parent = process.ppid()
        if supervisor:
            # First, or it would report the death of its child.
            os.kill(parent, signal.SIGKILL)
        os.kill(row["pid"], signal.SIGKILL)

    # --- what must be true in the end ---

    def delivered(self, timeout: float = 150.0) -> dict[str, Any]:
        """Wait for the end; the result must be that of a job that was paid for."""
        state = self.end(timeout)
        assert state == "success", f"{state}: {self.error()}"
        result = self.results()[-1]
        assert result["status"] == "COMPLETED"
        assert result["request_id"] in {charge.request_id for charge in self.emulator.charges}
        return result

    def failed(self, *words: str, task_id: str = "swap", timeout: float = 150.0) -> str:
        """Wait for the end; the task must have failed with an error that says these words."""
        state = self.end(timeout)
        error = self.error(task_id)
        assert state in ("failed", "upstream_failed"), f"{state}, not failed; {error}"
        assert all(word in error for word in words), f"{words} are not all in: {error}"
        return error


def _plain(value: Any) -> Any:
    decoded = json.loads(value) if isinstance(value, str) else value
    return json.loads(decoded) if isinstance(decoded, str) else decoded
