"""The processes of one task are killed, at each stage of an order."""

from __future__ import annotations

import json
import time

from airflow_provider_segmind.emulator import Fault
from tests.faults.case import Case
from tests.faults.kind import WITH_MEMORY
from tests.faults.play import scenario

UNKNOWN = (
    "AirflowFailException: OutcomeUnknownError: An earlier attempt of this task ended while it ordered workflow",
    "so the order may have been accepted and billed. It is not sent again.",
    "Look there yourself; then clear the task, which orders anew, or set on_unknown_outcome='resubmit': "
    "either may pay a second time.",
)
NOT_IN_HISTORY = "The request history has no request with these inputs at that time, which does not prove anything."
NAMED = "fails for good: `OutcomeUnknownError: An earlier attempt of this task ended while it ordered …`"


def hold_back(case: Case, seconds: float) -> None:
    """Let the next order wait so long between its intent and its POST."""
    # A memory is asked before that, and for it the pictures are read, which the same service has here.
    if WITH_MEMORY:
        case.emulator.script(Fault("429", seconds=seconds))
    else:
        case.dark_until = time.monotonic() + seconds
        case.emulator.outage(seconds)


def kill_before_the_post(case: Case, *, supervisor: bool, dag_id: str = "swap", task_id: str = "swap") -> str:
    hold_back(case, 20)
    case.order(dag_id).until_intent(task_id)
    if WITH_MEMORY:
        case.until("the refused POST", lambda: any(each.status == 429 for each in case.emulator.requests))
    else:
        time.sleep(max(0.0, case.dark_until - 1.5 - time.monotonic()))
    case.kill_worker(supervisor=supervisor, task_id=task_id)
    case.failed(*UNKNOWN, NOT_IN_HISTORY, task_id=task_id)
    assert case.record(task_id)["state"] == "intent"
    return NAMED


@scenario("worker killed between intent and POST", charges=0)
def _(case: Case) -> str:
    return kill_before_the_post(case, supervisor=False)


@scenario("worker and its supervisor killed between intent and POST", charges=0)
def _(case: Case) -> str:
    return kill_before_the_post(case, supervisor=True)


@scenario("worker of a submit with a sensor behind it killed between intent and POST", charges=0)
def _(case: Case) -> str:
    return kill_before_the_post(case, supervisor=False, dag_id="swap_apart", task_id="submit")


def kill_before_the_answer(case: Case, *, supervisor: bool, dag_id: str = "swap", task_id: str = "swap") -> None:
    case.emulator.script(Fault("hang-after", seconds=25))
    case.order(dag_id).until_charged()
    case.kill_worker(supervisor=supervisor, task_id=task_id)


@scenario("worker killed between acceptance and answer", charges=1)
def _(case: Case) -> str:
    kill_before_the_answer(case, supervisor=False)
    case.delivered()
    return "delivered: the retry finds the order in the request history"


@scenario("worker and its supervisor killed between acceptance and answer", charges=1)
def _(case: Case) -> str:
    kill_before_the_answer(case, supervisor=True)
    case.delivered()
    return "delivered: the retry finds the order in the request history"


@scenario("worker of a submit with a sensor behind it killed between acceptance and answer", charges=1)
def _(case: Case) -> str:
    kill_before_the_answer(case, supervisor=True, dag_id="swap_apart", task_id="submit")
    case.delivered()
    return "delivered: the retry finds the order in the request history"


@scenario("worker killed between acceptance and answer; no request history", charges=1)
def _(case: Case) -> str:
    case.emulator.set(history=False)
    kill_before_the_answer(case, supervisor=False)
    case.failed(*UNKNOWN, "The request history could not help: Segmind has no request history at this address.")
    return NAMED


@scenario("worker killed between acceptance and answer; API down for 12 s when the retry looks", charges=1)
def _(case: Case) -> str:
    kill_before_the_answer(case, supervisor=False)
    case.emulator.outage(12)
    case.delivered()
    assert case.row()["try_number"] == 2, "the retry did not wait for the history"
    return "delivered: the retry waits, and finds the order in the request history"


@scenario("worker killed between acceptance and answer; no request history; on_unknown_outcome='resubmit'", charges=2)
def _(case: Case) -> str:
    case.emulator.set(history=False)
    kill_before_the_answer(case, supervisor=False, dag_id="swap_resubmit")
    assert case.delivered()["request_id"] == case.emulator.charges[1].request_id
    return "delivered by the second order, as the author accepted"


def until_it_resumes(case: Case) -> None:
    """Order a swap, and wait until its worker is at work again after the deferral."""
    # So many outputs that the trigger's event leaves them out and the worker asks again, which hangs.
    output = {
        "keyname": "body_swap_image",
        "value": {"data": f"{case.emulator.url}/outputs/{'x' * 200}", "type": "image"},
    }
    case.emulator.script(
        Fault("completed-bad-output", body=json.dumps([output] * 100)), Fault("hang-after", on="poll", seconds=25)
    )
    case.order("swap_resumes").until("the resume", lambda: case.row().get("state") == "running" and _has_polls(case, 2))


@scenario("worker killed while it resumes", charges=1)
def _(case: Case) -> str:
    until_it_resumes(case)
    case.kill_worker()
    case.delivered()
    return "delivered by the retry"


@scenario("worker and its supervisor killed while it resumes", charges=1)
def _(case: Case) -> str:
    until_it_resumes(case)
    case.kill_worker(supervisor=True)
    case.delivered()
    return "delivered by the retry"


def _has_polls(case: Case, count: int) -> bool:
    return sum("/workflows/request/" in request.path for request in case.emulator.requests) >= count
