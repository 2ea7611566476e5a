"""The service refuses, resets, goes away, forgets."""

from __future__ import annotations

import time

from airflow_provider_segmind.emulator import Fault
from tests.faults.case import Case
from tests.faults.from_workers import NOT_IN_HISTORY
from tests.faults.kind import WITH_MEMORY
from tests.faults.play import scenario

SENT = "AirflowFailException: OutcomeUnknownError: The order was sent but its answer never came"


@scenario("connection reset before the order is taken", charges=0)
def _(case: Case) -> str:
    case.emulator.script(Fault("drop-before"))
    case.order().failed(SENT, NOT_IN_HISTORY)
    return "fails for good: `OutcomeUnknownError: The order was sent but its answer never came …`"


@scenario("connection reset after the order is taken", charges=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("drop-after"))
    case.order().delivered()
    return "delivered: the same attempt finds the order in the request history"


@scenario("connection reset after the order is taken; no request history", charges=1)
def _(case: Case) -> str:
    case.emulator.set(history=False)
    case.emulator.script(Fault("drop-after"))
    case.order().failed(SENT, "The request history could not help")
    return "fails for good: `OutcomeUnknownError: The order was sent but its answer never came …`"


@scenario("answer 500 after the order is taken", charges=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("500-after"))
    case.order().delivered()
    return "delivered: the same attempt finds the order in the request history"


@scenario("two tasks order the same in the same minute, and both answers are lost", charges=2, charges_with_memory=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("drop-after", times=2))
    case.order("swap_many", [1, 1]).end()
    ids = {charge.request_id for charge in case.emulator.charges}
    seen = {result["request_id"] for result in case.results().values()}
    errors = " ".join(case.error(map_index=row["map_index"]) for row in case.rows() if row["state"] == "failed")
    assert all(one in seen or one in errors for one in ids), f"{ids} are not all in {seen} or in: {errors}"
    if WITH_MEMORY:
        assert seen == ids, case.story()
        return "ordered once, delivered to both"
    return "each is delivered, or both request ids are in the error"


@scenario("connection reset at a poll, three times in a row", charges=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("drop-before", on="poll", times=3))
    case.order().delivered()
    return "delivered; the trigger waits it out"


@scenario("429 storm: six swaps, 4 requests in 4 s allowed", charges=6)
def _(case: Case) -> str:
    case.emulator.set(requests_per_minute=4, rate_window=4.0)
    case.order("swap_many", list(range(6))).end(240)
    assert len(case.results()) == 6, case.story()
    assert any(request.status == 429 for request in case.emulator.requests), "there was no storm"
    return "all delivered, later"


@scenario("API down for 15 s at the order", charges=1)
def _(case: Case) -> str:
    case.emulator.outage(15)
    case.order().delivered()
    return "delivered; the worker waits it out"


@scenario("API down for 60 s at the order", charges=1)
def _(case: Case) -> str:
    case.emulator.outage(60)
    case.order().delivered()
    assert case.row()["try_number"] > 1
    return "delivered; nothing was sent, so a retry orders"


@scenario("API down for 60 s while waiting", charges=1)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=20)
    case.order().until_polled()
    case.emulator.outage(60)
    case.delivered()
    return "delivered; the trigger waits it out"


@scenario("API down for 90 s while waiting; no retries", charges=1)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=20)
    case.order("swap_never_retry").until_polled()
    case.emulator.outage(90)
    case.delivered()
    return "delivered; the trigger waits it out"


@scenario("record expired", charges=1)
def _(case: Case) -> str:
    case.emulator.set(job_seconds=60)
    case.order().until_polled()
    case.emulator.script(Fault("expired"))
    case.failed("AirflowFailException: JobExpiredError:", case.emulator.charges[0].request_id)
    return "fails for good: `JobExpiredError`, with the request id"


@scenario("record expired while the worker is dead", charges=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("hang-after", seconds=25))
    case.order().until_charged()
    case.emulator.set(record_seconds=0.0)
    case.kill_worker()
    case.failed("OutcomeUnknownError: An earlier attempt", case.emulator.charges[0].request_id)
    return "fails for good: `OutcomeUnknownError`, with the request id"


@scenario("job FAILED; retries=1", charges=2)
def _(case: Case) -> str:
    case.emulator.script(Fault("will-fail"))
    case.order("swap_retry_once").delivered()
    return "delivered by the second order, which the task's `retries` allow"


@scenario("job FAILED; retries=0", charges=1)
def _(case: Case) -> str:
    case.emulator.script(Fault("will-fail"))
    case.order("swap_never_retry").failed("JobFailedError")
    assert case.emulator.charges[0].request_id in case.error()
    return "fails with `JobFailedError`, with the request id"


@scenario("job FAILED behind a sensor that has retries", charges=1)
def _(case: Case) -> str:
    began = time.monotonic()
    case.emulator.script(Fault("will-fail"))
    case.order("swap_apart").failed("AirflowFailException: JobFailedError")
    assert time.monotonic() - began < 120
    return "fails for good with `JobFailedError`: asking again cannot help"
