"""A run of the pipeline: what it is given, what a person answers, and what became of each photograph."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from demo.airflow_rest import AirflowRest, AirflowRestError, Json
from demo.bucket import Bucket
from demo.pictures import Order, fetch, file_name

DAG_ID = "body_swap_pipeline"
ASSET = "photographs"
GROUP = "photograph"
STEPS = ("check", "swap", "store", "compare", "approve", "publish", "settle")
READING_SECONDS = 6.0
"""No person answers sooner, and Airflow 3.3.2 can lose an answer that comes before the process that asked has ended."""
_ASKS = ("awaiting_input", "deferred")  # how an approval waits in Airflow 3.3, and before
_NOW = {
    "running": "running on a worker",
    "deferred": "deferred: in the triggerer, no worker held",
    "awaiting_input": "waits for a person, who is this demo",
    "failed": "FAILED",
    "up_for_retry": "failed, will be retried",
    "upstream_failed": "not run",
}


@dataclass(frozen=True)
class Passage:
    """What became of a photograph."""

    title: str
    settled: bool  # published or rejected: both are as it should be
    outcome: str
    why: str  # it was rejected, or the end of the log of the task that failed
    request_id: str
    seconds: float  # from the first to the last of its tasks
    before: bytes
    after: bytes | None


def start(airflow: AirflowRest, bucket: Bucket, order: Order) -> str:
    """Put the photographs where the pipeline looks for them, tell Airflow, and return the id of the run."""
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    if isinstance(order.person, bytes):
        bucket.put("person.png", order.person)
    if urls := [scene for scene in order.scenes.values() if isinstance(scene, str)]:
        return airflow.trigger(DAG_ID, {"photographs": urls, "person": order.person})
    for title, scene in order.scenes.items():
        bucket.put(f"inbox/{file_name(title)}.png", fetch(scene))
    before = _runs(airflow)
    airflow.update_asset(ASSET)
    airflow.wait_until("A run for the new photographs", lambda: _runs(airflow) - before, 60)
    (run_id,) = _runs(airflow) - before
    return run_id


def _runs(airflow: AirflowRest) -> set[str]:
    return {str(run["dag_run_id"]) for run in airflow.call("GET", f"dags/{DAG_ID}/dagRuns")["dag_runs"]}


def play(
    airflow: AirflowRest,
    run_id: str,
    timeout: float,
    answer: Callable[[int], str] = lambda index: "Approve",
    on_progress: Callable[[list[Json]], None] = lambda instances: None,
    *,
    dag_id: str = DAG_ID,
    task_id: str = f"{GROUP}.approve",
) -> str:
    """Give an answer about each photograph, as a person does in Airflow's UI, and return the state of the run's end."""
    asked: dict[tuple[int, int], float] = {}
    answered: set[tuple[int, int]] = set()

    def look(instances: list[Json]) -> None:
        for ti in instances:
            # An attempt that lost its answer is followed by one that asks again.
            index, question = ti["map_index"], (ti["map_index"], ti["try_number"])
            if ti["task_id"] != task_id or ti["state"] not in _ASKS or question in answered:
                continue
            if time.monotonic() - asked.setdefault(question, time.monotonic()) > READING_SECONDS:
                try:
                    airflow.answer(dag_id, run_id, task_id, answer(index), index)
                    answered.add(question)
                except AirflowRestError as error:
                    if error.status not in (404, 409):  # not there yet, or answered in the UI meanwhile
                        raise
        on_progress(instances)

    return airflow.wait_for_run(dag_id, run_id, timeout, look)


def progress(titles: Sequence[str]) -> Callable[[list[Json]], None]:
    """Return a function for :func:`play` that prints a line for each photograph that is elsewhere than before."""
    shown: dict[str, str] = {}
    began = time.monotonic()

    def show(instances: list[Json]) -> None:
        for index, title in enumerate(titles):
            states = _states(instances, index)
            rejected = "skipped" in states.values()
            step = next((step for step in STEPS if states.get(step) not in ("success", "skipped")), "")
            now = f"{step}: {_NOW.get(states.get(step) or '', 'waiting for a worker')}" if step else "done"
            if rejected:  # what is left to do with it is to put it aside
                now = "rejected, in quarantine" if states.get("settle") == "success" else "rejected"
            if shown.get(title) != now:
                shown[title] = now
                print(f"  {time.monotonic() - began:5.1f} s  {title:16}  {now}", flush=True)

    return show


def _states(instances: list[Json], index: int) -> dict[str, str]:
    return {ti["task_id"].removeprefix(f"{GROUP}."): ti["state"] for ti in instances if ti["map_index"] == index}


def collect(airflow: AirflowRest, bucket: Bucket, run_id: str, order: Order) -> list[Passage]:
    """Bring home what the run left behind of each photograph."""
    instances = airflow.task_instances(DAG_ID, run_id)
    passages = []
    for index, (title, scene) in enumerate(order.scenes.items()):
        said = partial(_xcom, airflow, run_id, index)
        own = [ti for ti in instances if ti["map_index"] == index]
        times = [datetime.fromisoformat(ti[name]) for ti in own for name in ("start_date", "end_date") if ti[name]]
        states, published = _states(instances, index), said("publish")
        reasons = [_rejection(said(step, "report")) for step in ("check", "compare")]
        reasons += [_failure(airflow, run_id, index, step) for step in STEPS if states.get(step) == "failed"]
        passages.append(
            Passage(
                title=title,
                settled=states.get("settle") == "success",
                outcome=said("settle") or "failed",
                why=next(filter(None, reasons), ""),
                request_id=said("swap", "request_id") or "",
                seconds=(max(times) - min(times)).total_seconds() if times else 0.0,
                before=fetch(scene),
                after=bucket.get(published) if published else None,
            )
        )
    return passages


def _xcom(airflow: AirflowRest, run_id: str, index: int, step: str, key: str = "return_value") -> Any:
    try:
        return airflow.xcom(DAG_ID, run_id, f"{GROUP}.{step}", key, index)
    except AirflowRestError:
        return None


def _rejection(report: Json | None) -> str:
    """Return why a check rejected a picture, empty if it did not."""
    return "; ".join(report["findings"]) if report and report["verdict"] == "fail" else ""


def _failure(airflow: AirflowRest, run_id: str, index: int, step: str) -> str:
    """Return the end of the log of a step that failed."""
    log = airflow.task_log(DAG_ID, run_id, f"{GROUP}.{step}", map_index=index).splitlines()
    tail = [line for line in log if "::group::" not in line and "::endgroup::" not in line][-8:]
    return "\n".join([f"Task {step!r} failed. The end of its log:", *tail])
