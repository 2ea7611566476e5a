"""Airflow's own components are killed, frozen or locked out. Each disturbs every task, so these are played alone."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from airflow_provider_segmind.emulator import Fault
from tests.faults.case import Case
from tests.faults.from_workers import NAMED, UNKNOWN, hold_back
from tests.faults.kind import HAS_STORE
from tests.faults.play import scenario

STORED = Path(__file__).resolve().parents[1] / "provider" / "stored" / "trigger_kwargs.jsonl"


@scenario("worker killed between answer and record", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=4))
    case.order().until_charged()
    with case.world.frozen("api-server"):
        time.sleep(6)
        case.kill_worker(supervisor=True)
    # Airflow's own store is behind its API server; a memory is not.
    assert case.record()["state"] == ("intent" if HAS_STORE else "submitted")
    case.delivered()
    return "delivered: the retry finds the order"


@scenario("API server frozen for 20 s between answer and record", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=4))
    case.order().until_charged()
    with case.world.frozen("api-server"):
        time.sleep(20)
    case.delivered()
    return "delivered"


@scenario("API server killed between answer and record, back after 10 s", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=4))
    case.order().until_charged()
    case.world.kill("api-server")
    time.sleep(10)
    case.world.restart("api-server")
    case.delivered()
    return "delivered"


@scenario("triggerer killed and restarted while waiting", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=12)
    case.order().until_polled()
    case.world.kill("triggerer")
    case.world.restart("triggerer")
    case.delivered()
    return "delivered"


@scenario("triggerer killed for good; a second one takes over", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=20)
    case.order().until_polled()
    second = case.world.airflow.add_component("triggerer-2", "triggerer", "--skip-serve-logs")
    second.start()
    case.world.airflow.wait_healthy(60)
    case.world.kill("triggerer")
    case.delivered()
    second.stop()
    case.world.restart("triggerer")
    return "delivered by the second"


@scenario("scheduler and its workers killed while deferred", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=8)
    case.order().until_polled()
    case.world.kill("scheduler")
    case.world.restart("scheduler")
    case.delivered()
    return "delivered"


@scenario("scheduler and its workers killed between acceptance and answer", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=25))
    case.order().until_charged()
    case.world.kill("scheduler")
    case.world.restart("scheduler")
    case.delivered()
    return "delivered: the retry finds the order in the request history"


@scenario("scheduler alone killed between acceptance and answer; its worker lives on", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=20))
    case.order().until_charged()
    case.world.kill("scheduler", everything=False)
    case.world.restart("scheduler")
    case.delivered()
    return "delivered: the attempt of the new scheduler finds the order in the request history"


@scenario("scheduler alone killed between intent and POST; its worker lives on", charges=(0, 1), alone=True)
def _(case: Case) -> str:
    # The worker would still send when the service is back. By then Airflow has given the task to another attempt, and
    # what is left of this one cannot write to the store any more; or it was ended.
    hold_back(case, 35)
    case.order().until_intent()
    case.world.kill("scheduler", everything=False)
    case.world.restart("scheduler")
    if case.end() == "success":
        assert len(case.emulator.charges) == 1
        return "delivered by the worker that lived on"
    case.failed(*UNKNOWN)
    return NAMED


@contextmanager
def locked(case: Case) -> Iterator[None]:
    """Lock everybody else out of the metadata database."""
    with closing(sqlite3.connect(case.world.airflow.sqlite_path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@scenario("metadata database locked for 10 s between acceptance and record", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=3))
    case.order().until_charged()
    with locked(case):
        time.sleep(10)
    case.delivered()
    return "delivered"


@scenario("metadata database locked for 10 s while waiting", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=4)
    case.order().until_polled()
    with locked(case):
        time.sleep(10)
    case.delivered()
    return "delivered"


@scenario("trigger row written by an older version of the package", charges=1, alone=True)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=10)
    case.order().until_polled()
    case.until_deferred()
    case.world.kill("triggerer")
    oldest = json.loads(STORED.read_text().splitlines()[0])["kwargs"]
    assert "request_id" not in oldest
    trigger_id = case.row()["trigger_id"]
    with closing(sqlite3.connect(case.world.airflow.sqlite_path, timeout=30)) as connection, connection:
        (stored,) = connection.execute("SELECT kwargs FROM trigger WHERE id = ?", (trigger_id,)).fetchone()
        now = json.loads(stored)
        known = now.get("__var", now)  # Airflow 3.1 wraps each dict
        older = {name: known.get(name, value) for name, value in oldest.items()}
        said = json.dumps({**now, "__var": older} if known is not now else older)
        connection.execute("UPDATE trigger SET kwargs = ? WHERE id = ?", (said, trigger_id))
    case.world.restart("triggerer")
    case.delivered()
    return "delivered"
