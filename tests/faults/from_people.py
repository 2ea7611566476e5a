"""A person clears, or marks failed."""

from __future__ import annotations

from airflow_provider_segmind.emulator import Fault
from tests.faults.case import Case
from tests.faults.kind import HAS_STORE, WITH_MEMORY
from tests.faults.play import scenario

TAKEN = "a clear takes what is paid for: delivered"


def clear(case: Case, *, ended: bool = False) -> None:
    """Clear the task; one that has ended, only after its run has, or the scheduler may still end the run with it."""
    if ended:
        case.world.airflow.wait_for_run(case.dag_id, case.run_id, 60)
    case.insist(lambda: case.world.airflow.clear_task(case.dag_id, case.run_id, "swap"))


def mark_failed(case: Case) -> None:
    path = f"dags/{case.dag_id}/dagRuns/{case.run_id}/taskInstances/swap"
    case.insist(lambda: case.world.airflow.call("PATCH", path, json={"new_state": "failed"}))


@scenario("task cleared after its success", charges=2, charges_with_memory=1)
def _(case: Case) -> str:
    first = case.order().delivered()["request_id"]
    clear(case, ended=True)
    if WITH_MEMORY:
        case.until("the next attempt", lambda: case.row()["state"] == "success" and case.row()["try_number"] == 2)
        result = case.delivered()
        assert (result["request_id"], result["reused"], result["cost"]) == (first, True, 0), result
        return TAKEN
    case.until("the second order", lambda: len(case.emulator.charges) == 2)
    assert case.delivered()["request_id"] != first
    return "a clear is a new order: delivered twice"


@scenario("task cleared while deferred", charges=2, charges_with_memory=1)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=15)
    case.order().until_polled()
    case.until_deferred()
    clear(case)
    if WITH_MEMORY:
        case.delivered()
        return TAKEN
    case.until_charged(2)
    result = case.delivered()
    assert result["request_id"] == case.emulator.charges[1].request_id
    return "a clear is a new order: the second is delivered"


@scenario("task cleared while its worker orders", charges=(1, 2), charges_with_memory=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=20))
    case.order().until_charged()
    clear(case)
    case.delivered()
    if WITH_MEMORY:
        return "delivered, found in the request history"
    if len(case.emulator.charges) == 1:
        return "Airflow restarted the attempt as a retry: delivered, found in the request history"
    return "Airflow ended the attempt and gave the task new tries: a new order, delivered"


@scenario("marked failed while deferred", charges=1)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=300)
    case.order().until_polled()
    case.until_deferred()
    mark_failed(case)
    request_id = case.emulator.charges[0].request_id
    said = f"A person ended this wait. Segmind cannot cancel: request {request_id} goes on and is billed."
    if HAS_STORE:  # Airflow 3.3 lets a trigger say goodbye, too
        case.until("the trigger's farewell", lambda: said in case.log(), 30, every=1)
    assert case.end() == "failed"
    assert request_id in case.log()
    return "failed; the log names the request, which goes on and is billed"


@scenario("marked failed while deferred, then cleared", charges=2, charges_with_memory=1)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=12)
    case.order().until_polled()
    case.until_deferred()
    mark_failed(case)
    case.end()
    clear(case, ended=True)
    if WITH_MEMORY:
        case.until("the next attempt", lambda: case.row()["state"] not in ("failed", None))
        case.delivered()
        return TAKEN
    case.until_charged(2)
    case.delivered()
    return "a clear is a new order: the second is delivered"


@scenario("marked failed while its worker orders", charges=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=20))
    case.order().until_charged()
    mark_failed(case)
    assert case.end() == "failed"
    said = "This task is being killed. Segmind cannot cancel: an order that was just being sent goes on and is billed."
    case.until("the operator's farewell", lambda: said in case.log(), 40, every=1)
    return "failed; the log says that what was ordered is billed"


@scenario("marked failed while its order waits out a 429", charges=0)
def _(case: Case) -> str:
    case.emulator.script(Fault("429", seconds=1.5))
    case.order()
    case.until("the refused order", lambda: any(each.method == "POST" for each in case.emulator.requests))
    mark_failed(case)
    assert case.end() == "failed"
    ends = ("not running: a person or", "being killed")
    case.until("the worker's end", lambda: any(said in case.log() for said in ends), 40, every=1)
    return "failed; nothing is ordered"
