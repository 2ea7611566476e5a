"""Runs of the example DAG, from the order to the picture on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from demo.airflow_rest import RUN_ENDED, AirflowRestError, Json
from demo.local_airflow import LocalAirflow
from demo.pictures import Pair, fetch

DAG_ID = "body_swap"
TASKS = ("submit", "wait", "use")


@dataclass
class Swap:
    """
    One run of the DAG and what is known about it.

    :param pair: the order.
    :param run_id: the DAG run.
    """

    pair: Pair
    run_id: str
    began: float = field(default_factory=time.monotonic)
    state: str = "queued"
    tasks: dict[str, str | None] = field(default_factory=dict)
    deferred_seconds: float = 0.0
    """How long the triggerer did the waiting, as far as it was seen."""
    seconds: float = 0.0
    request_id: str = ""
    image_url: str = ""
    cost: float | None = None
    before: Path | None = None
    reference: Path | None = None
    after: Path | None = None
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the run is over and its picture is there."""
        return self.state == "success" and self.after is not None


def order(airflow: LocalAirflow, pairs: list[Pair]) -> list[Swap]:
    """
    Start one run for each order.

    :param airflow: a healthy Airflow that can see the example DAGs.
    :param pairs: the orders.
    :returns: the swaps, in the same order.
    """
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    return [
        Swap(
            pair,
            airflow.trigger(
                DAG_ID,
                {
                    "character_image": pair.character_image,
                    "reference_character_image": pair.reference_character_image,
                    "select_character": pair.select_character,
                },
            ),
        )
        for pair in pairs
    ]


def watch(airflow: LocalAirflow, swaps: list[Swap], timeout: float, on_progress: Callable[[list[Swap]], None]) -> None:
    """
    Wait until every swap is over, keeping each up to date.

    :param airflow: where they run.
    :param swaps: the swaps.
    :param timeout: seconds for all of them.
    :param on_progress: called a few times a second.
    :raises AirflowTimeoutError: one is still going on.
    """
    last = time.monotonic()

    def over() -> bool:
        nonlocal last
        now = time.monotonic()
        for swap in swaps:
            if swap.state not in RUN_ENDED:
                _update(airflow, swap, now - last)
        last = now
        on_progress(swaps)
        return all(swap.state in RUN_ENDED for swap in swaps)

    airflow.wait_until("The end of all swaps", over, timeout)


def _update(airflow: LocalAirflow, swap: Swap, passed: float) -> None:
    swap.state = airflow.run_state(DAG_ID, swap.run_id)
    swap.tasks = {ti["task_id"]: ti["state"] for ti in airflow.task_instances(DAG_ID, swap.run_id)}
    swap.seconds = time.monotonic() - swap.began
    if swap.tasks.get("wait") == "deferred":
        swap.deferred_seconds += passed


def collect(
    airflow: LocalAirflow, swaps: list[Swap], bill: Callable[[list[str]], dict[str, float]], folder: Path
) -> None:
    """
    Bring home what the runs left behind: request ids, costs, pictures, or the reason for a failure.

    :param airflow: where they ran.
    :param swaps: the swaps; each is completed.
    :param bill: tells what requests cost.
    :param folder: where the pictures go.
    """
    for number, swap in enumerate(swaps, start=1):
        _read_results(airflow, swap)
        swap.before = _fetch(swap, swap.pair.character_image, folder / f"swap-{number}-before")
        swap.reference = _fetch(swap, swap.pair.reference_character_image, folder / f"swap-{number}-reference")
        if swap.image_url:
            swap.after = _fetch(swap, swap.image_url, folder / f"swap-{number}-after")
        if swap.state != "success":
            swap.reason = _reason(airflow, swap)
    costs = bill([swap.request_id for swap in swaps if swap.request_id])
    for swap in swaps:
        swap.cost = costs.get(swap.request_id)


def _fetch(swap: Swap, source: str, target: Path) -> Path | None:
    try:
        return fetch(source, target)
    except OSError as error:
        swap.reason = f"No picture from {source}: {error}"
        return None


def _read_results(airflow: LocalAirflow, swap: Swap) -> None:
    run = airflow.call("GET", f"dags/{DAG_ID}/dagRuns/{swap.run_id}")
    swap.seconds = _seconds_between(run, swap.seconds)
    try:
        swap.request_id = airflow.xcom(DAG_ID, swap.run_id, "submit", "request_id")
        swap.image_url = airflow.xcom(DAG_ID, swap.run_id, "wait")["image_url"]
    except (AirflowRestError, TypeError, KeyError):
        # A swap that failed has not left all of them, and its state already says so.
        return


def _seconds_between(run: Json, fallback: float) -> float:
    if not run.get("start_date") or not run.get("end_date"):
        return fallback
    began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (ended - began).total_seconds()


def _reason(airflow: LocalAirflow, swap: Swap) -> str:
    for ti in airflow.task_instances(DAG_ID, swap.run_id):
        if ti["state"] == "failed":
            log = airflow.task_log(DAG_ID, swap.run_id, ti["task_id"], ti["try_number"])
            tail = [line for line in log.splitlines() if "::group::" not in line and "::endgroup::" not in line][-8:]
            return f"Task {ti['task_id']!r} failed. The end of its log:\n" + "\n".join(tail)
    return f"The run ended as {swap.state!r}; tasks: {swap.tasks}"
