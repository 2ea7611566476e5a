"""A run of the pipeline: what it is given, how far each photograph is, and what became of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from demo.airflow_rest import RUN_ENDED, AirflowRestError, Json
from demo.bucket import Bucket
from demo.local_airflow import LocalAirflow
from demo.pictures import Order, Photograph, fetch

DAG_ID = "body_swap_pipeline"
ASSET = "photographs"
GROUP = "photograph"
STEPS = ("check", "swap", "store", "compare", "approve", "publish", "settle")
READING_SECONDS = 2.0
"""No person answers sooner, and Airflow 3.3.2 can lose an answer within the same second."""
_WAITS = ("awaiting_input", "deferred")  # how an approval waits in Airflow 3.3, and before


@dataclass
class Passage:
    """
    One photograph's way through the pipeline.

    :param photograph: the scene.
    :param index: its number among the run's mapped tasks.
    """

    photograph: Photograph
    index: int
    states: dict[str, str | None] = field(default_factory=dict)
    """State of the task instance of each step."""
    seconds: float = 0.0
    """From the first to the last of its tasks."""
    deferred_seconds: float = 0.0
    """How long the triggerer did the waiting, as far as it was seen."""
    request_id: str = ""
    cost: float | None = None
    before: bytes | None = None
    after: bytes | None = None
    published: str = ""
    outcome: str = ""
    why: str = ""
    """Why it was rejected, or the end of the log of the task that failed."""

    @property
    def over(self) -> bool:
        """Whether its last task has ended."""
        return self.states.get("settle") in ("success", "failed", "upstream_failed")

    @property
    def settled(self) -> bool:
        """Whether it was published or rejected: both are as it should be."""
        return self.states.get("settle") == "success"


@dataclass
class Run:
    """
    One run of the DAG.

    :param run_id: the run.
    :param passages: its photographs, in the order of their numbers.
    """

    run_id: str
    passages: list[Passage]
    state: str = "queued"
    reference: bytes | None = None
    asked: dict[tuple[int, int], float] = field(default_factory=dict)
    """Since when an attempt of an approval waits for a person's answer, by photograph and number of the attempt."""
    approved: set[tuple[int, int]] = field(default_factory=set)
    """The attempts that were answered. One that loses its answer is followed by another that asks again."""


def start(airflow: LocalAirflow, bucket: Bucket, order: Order, timeout: float = 60.0) -> Run:
    """
    Put the photographs where the pipeline looks for them, and tell Airflow that they are there.

    :param airflow: a healthy Airflow that can see the example DAGs.
    :param bucket: the pipeline's bucket.
    :param order: the photographs and the person.
    :param timeout: seconds until the run has begun.
    """
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    if isinstance(order.person, bytes):
        bucket.put("person.png", order.person)
    urls = [photograph.name for photograph in order.photographs if photograph.data is None]
    if urls:
        conf = {"photographs": urls, "person": order.person, "select_character": order.select_character}
        return Run(airflow.trigger(DAG_ID, conf), _passages(order.photographs))
    for photograph in order.photographs:
        bucket.put(f"inbox/{photograph.name}", photograph.data or b"")
    airflow.update_asset(ASSET)
    runs: list[Json] = []

    def begun() -> bool:
        runs.extend(airflow.call("GET", f"dags/{DAG_ID}/dagRuns")["dag_runs"])
        return bool(runs)

    airflow.wait_until("A run for the new photographs", begun, timeout)
    # The pipeline takes them by name.
    return Run(runs[0]["dag_run_id"], _passages(sorted(order.photographs, key=lambda found: found.name)))


def _passages(photographs: Iterable[Photograph]) -> list[Passage]:
    return [Passage(photograph, index) for index, photograph in enumerate(photographs)]


def watch(airflow: LocalAirflow, run: Run, timeout: float, on_progress: Callable[[Run], None]) -> None:
    """
    Wait until the run is over, and approve each picture, as a person does in Airflow's UI.

    :param timeout: seconds for all of it.
    :param on_progress: called a few times a second.
    :raises AirflowTimeoutError: it still goes on.
    """
    last = time.monotonic()

    def over() -> bool:
        nonlocal last
        now = time.monotonic()
        _update(airflow, run, now - last)
        last = now
        on_progress(run)
        return run.state in RUN_ENDED

    airflow.wait_until("The end of the pipeline", over, timeout)


def _update(airflow: LocalAirflow, run: Run, passed: float) -> None:
    run.state = airflow.run_state(DAG_ID, run.run_id)
    instances = airflow.task_instances(DAG_ID, run.run_id)
    for passage in run.passages:
        own = {ti["task_id"].removeprefix(f"{GROUP}."): ti for ti in instances if ti["map_index"] == passage.index}
        passage.states = {step: own[step]["state"] if step in own else None for step in STEPS}
        passage.seconds = _seconds(own.values())
        if passage.states["swap"] == "deferred":
            passage.deferred_seconds += passed
        question = (passage.index, own["approve"]["try_number"] if "approve" in own else 0)
        if passage.states["approve"] in _WAITS and question not in run.approved:
            _approve(airflow, run, question)


def _approve(airflow: LocalAirflow, run: Run, question: tuple[int, int]) -> None:
    if time.monotonic() - run.asked.setdefault(question, time.monotonic()) < READING_SECONDS:
        return
    try:
        airflow.answer(DAG_ID, run.run_id, f"{GROUP}.approve", "Approve", question[0])
    except AirflowRestError as error:
        if error.status not in (404, 409):  # not there yet, or answered in the UI meanwhile
            raise
    else:
        run.approved.add(question)


def _seconds(instances: Iterable[Json]) -> float:
    times = [
        datetime.fromisoformat(ti[name]) for ti in instances for name in ("start_date", "end_date") if ti.get(name)
    ]
    return (max(times) - min(times)).total_seconds() if times else 0.0


def collect(airflow: LocalAirflow, bucket: Bucket, run: Run, order: Order, bill: Callable[[list[str]], Any]) -> None:
    """
    Bring home what the run left behind: request ids, costs, pictures, or the reason against one.

    :param bill: tells what requests cost.
    """
    run.reference = order.person if isinstance(order.person, bytes) else fetch(order.person)
    for passage in run.passages:
        photograph = passage.photograph
        passage.before = photograph.data or fetch(photograph.name)

        def said(step: str, key: str = "return_value", index: int = passage.index) -> Any:
            try:
                return airflow.xcom(DAG_ID, run.run_id, f"{GROUP}.{step}", key, index)
            except AirflowRestError:
                return None

        passage.request_id = said("swap", "request_id") or ""
        passage.published = said("publish") or ""
        passage.outcome = said("settle") or "failed"
        passage.why = _why(airflow, run, passage, said)
        if passage.published:
            passage.after = bucket.get(passage.published)
    costs = bill([passage.request_id for passage in run.passages if passage.request_id])
    for passage in run.passages:
        passage.cost = costs.get(passage.request_id) if passage.request_id else 0.0


def _why(airflow: LocalAirflow, run: Run, passage: Passage, said: Callable[..., Any]) -> str:
    for step in ("check", "compare"):
        report = said(step, "report") or {}
        if report.get("verdict") == "fail":
            return "; ".join(
                f"{found['name']}: {found['why']}" for found in report["checks"] if found["verdict"] == "fail"
            )
    for step, state in passage.states.items():
        if state == "failed":
            log = airflow.task_log(DAG_ID, run.run_id, f"{GROUP}.{step}", map_index=passage.index)
            tail = [line for line in log.splitlines() if "::group::" not in line and "::endgroup::" not in line][-8:]
            return f"Task {step!r} failed. The end of its log:\n" + "\n".join(tail)
    return ""


def facts(run: Run) -> str:
    """Return what a program wants to know about the run, as JSON."""
    rows = [
        {
            "title": passage.photograph.title,
            "outcome": passage.outcome,
            "why": passage.why,
            "steps": passage.states,
            "request_id": passage.request_id,
            "cost": passage.cost,
            "seconds": round(passage.seconds, 1),
            "published": passage.published,
        }
        for passage in run.passages
    ]
    return json.dumps({"run_id": run.run_id, "state": run.state, "photographs": rows}, indent=2) + "\n"
