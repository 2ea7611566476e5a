"""The rules about money and waiting, without a socket."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    JobTimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.wire import Answer, Failure
from tests.api.drive import (
    ACCEPTED,
    COMPLETED,
    INPUTS,
    KEY,
    LOST,
    PACE,
    POLL_URL,
    PROCESSING,
    QUEUED,
    REFUSED,
    WORKFLOW,
    Driver,
    answer,
    new_auth,
    settings,
)

UNAUTHORIZED = answer({"error": "Missing Authorization or x-api-key in header"}, 401)
BROKEN = answer(b"<html>", 502)
GONE = answer({"error": "Request not found"}, 404)
FULL = answer({"error": "slow down"}, 429, retry_after="20")


def submit(*answers: Answer, auth: flow.Auth | None = None, **extra: Any) -> tuple[Driver, Any]:
    driver = Driver(answers)
    steps = flow.submit(settings(extra=extra), auth or new_auth(), WORKFLOW, INPUTS, pace=PACE)
    return driver, driver.run(steps)


def wait(*answers: Answer, deadline: float = 2000.0, **options: Any) -> tuple[Driver, Any]:
    driver = Driver(answers)
    steps = flow.wait(settings(), new_auth(), POLL_URL, deadline=deadline, clock=driver.clock, pace=PACE, **options)
    return driver, driver.run(steps)


# -- one bill for one order ----------------------------------------------------------------------------


def test_an_accepted_order_is_one_post() -> None:
    driver, job = submit(ACCEPTED)
    assert job.poll_url == POLL_URL
    assert driver.sent == ["POST"]


@pytest.mark.parametrize(
    "lost", [LOST, BROKEN, answer({"error": "x"}, 500), answer(b"{"), answer({"message": "queued"})]
)
def test_an_order_that_may_have_been_accepted_is_never_sent_again(lost: Answer) -> None:
    driver = Driver([lost])
    with pytest.raises(OutcomeUnknownError):
        driver.run(flow.submit(settings(), new_auth(), WORKFLOW, INPUTS, pace=PACE))
    assert driver.sent == ["POST"]


def test_an_order_that_was_never_sent_goes_out_again_after_a_growing_pause() -> None:
    driver, job = submit(REFUSED, REFUSED, REFUSED, ACCEPTED)
    assert job.poll_url == POLL_URL
    assert driver.seconds == [1.0, 2.0, 4.0]


def test_an_order_that_never_gets_through_ends_in_an_error_that_may_be_retried() -> None:
    with pytest.raises(TransportError, match="nothing was sent: connection refused") as error:
        submit(*[REFUSED] * 6)
    assert error.value.retryable


def test_a_429_is_not_accepted_so_the_order_waits_as_asked_and_goes_out_again() -> None:
    driver, job = submit(FULL, ACCEPTED)
    assert job.poll_url == POLL_URL
    assert driver.seconds == [20.5]
    assert "not accepted, not billed" in driver.pauses[0].reason


def test_a_429_without_a_time_backs_off_by_itself() -> None:
    driver, _ = submit(answer({}, 429), answer({}, 429), ACCEPTED)
    assert driver.seconds == [4.0, 8.0]


def test_a_worker_is_not_held_for_ever_by_a_full_account() -> None:
    with pytest.raises(RateLimitError) as error:
        submit(*[answer({}, 429, retry_after="200")] * 3)
    assert error.value.retryable


def test_other_refusals_are_final_at_once() -> None:
    driver = Driver([answer({"error": "Insufficient credits"}, 406)])
    with pytest.raises(SegmindError):
        driver.run(flow.submit(settings(), new_auth(), WORKFLOW, INPUTS, pace=PACE))
    assert driver.sent == ["POST"]


# -- authentication ------------------------------------------------------------------------------------


def test_bearer_comes_first_and_x_api_key_once_after_a_401() -> None:
    driver, _ = submit(UNAUTHORIZED, ACCEPTED)
    assert [request.scheme for request in driver.requests] == ["bearer", "x-api-key"]


def test_what_worked_is_remembered() -> None:
    auth = new_auth()
    submit(UNAUTHORIZED, ACCEPTED, auth=auth)
    driver, _ = submit(ACCEPTED, auth=auth)
    assert [request.scheme for request in driver.requests] == ["x-api-key"]


def test_what_worked_once_and_is_refused_now_is_forgotten() -> None:
    auth = flow.Auth(known="x-api-key")
    with pytest.raises(AuthenticationError):
        submit(UNAUTHORIZED, auth=auth)
    assert auth.known is None


def test_both_refused_is_the_end() -> None:
    with pytest.raises(AuthenticationError, match="bearer and x-api-key"):
        submit(UNAUTHORIZED, UNAUTHORIZED)


@pytest.mark.parametrize("scheme", ["bearer", "x-api-key"])
def test_a_scheme_that_the_connection_sets_is_the_only_one(scheme: str) -> None:
    driver = Driver([UNAUTHORIZED])
    with pytest.raises(AuthenticationError, match=rf"sent as {scheme}\)"):
        driver.run(flow.submit(settings(extra={"auth_scheme": scheme}), new_auth(), WORKFLOW, INPUTS, pace=PACE))
    assert [request.scheme for request in driver.requests] == [scheme]


def test_a_driver_that_gives_nothing_back_is_taken_as_nothing_sent() -> None:
    steps = flow.exchange(settings(), new_auth(), lambda scheme: flow.protocol.credits_request(settings(), scheme))
    next(steps)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == Failure(sent=False, reason="nothing to send")


# -- before anything is sent ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workflow", "inputs", "words"),
    [
        ("body swap", INPUTS, "workflow 'body swap' is not a workflow id"),
        (f"https://api.segmind.com/workflows/{WORKFLOW}", INPUTS, "write the last part"),
        ("", INPUTS, "is not a workflow id"),
        (None, INPUTS, "workflow None is not"),
        ("../v1/get-user-credits", INPUTS, "is not a workflow id"),
        (WORKFLOW, None, "inputs must be a dict"),
        (WORKFLOW, {1: 2}, "inputs must be a dict"),
        ("abc-v1", {"x": object()}, "cannot be written as JSON"),
        ("abc-v1", {"x": float("nan")}, "cannot be written as JSON"),
        (WORKFLOW, {"reference_character_image": INPUTS["reference_character_image"]}, "character_image is empty"),
        (WORKFLOW, {**INPUTS, "character_image": " "}, "both images of a body swap are required"),
        (WORKFLOW, {**INPUTS, "character_image": "None"}, "character_image is empty"),
        (WORKFLOW, {**INPUTS, "referense_character_image": "x"}, "no input 'referense_character_image': it takes"),
        (WORKFLOW, {**INPUTS, "select_character": ""}, "select_character is ''"),
        (WORKFLOW, {**INPUTS, "select_character": None}, "select_character is None"),
        (WORKFLOW, {**INPUTS, "character_image": "s3://b/k.png"}, "'s3://b/k.png' is not an https:// URL"),
        (WORKFLOW, {**INPUTS, "character_image": "http://x.example/a.png"}, "not an https:// URL"),
        (WORKFLOW, {**INPUTS, "character_image": "http://127.0.0.1/a.png"}, "not an https:// URL"),
    ],
)
def test_bad_input_is_named_before_any_request(workflow: Any, inputs: Any, words: str) -> None:
    driver = Driver([])
    with pytest.raises(InvalidRequestError, match=words.replace("(", r"\(")):
        driver.run(flow.submit(settings(), new_auth(), workflow, inputs))
    assert driver.sent == []


def test_an_emulator_on_this_machine_may_be_given_its_own_pictures() -> None:
    local = settings(host="http://127.0.0.1:8765")
    inputs = {**INPUTS, "character_image": "http://127.0.0.1:8765/samples/scene/0.png"}
    driver = Driver([ACCEPTED])
    driver.run(flow.submit(local, new_auth(), WORKFLOW, inputs))
    assert driver.requests[0].payload == inputs


@pytest.mark.parametrize("workflow", ["v2/some-slug", "another_flow-v12", f" {WORKFLOW} "])
def test_other_workflows_take_what_inputs_they_like(workflow: str) -> None:
    inputs = INPUTS if "678b" in workflow else {"prompt": "a cat", "steps": 4}
    driver = Driver([ACCEPTED])
    driver.run(flow.submit(settings(), new_auth(), workflow, inputs))
    assert driver.requests[0].url == f"https://api.segmind.com/workflows/{workflow.strip()}"


def test_select_character_may_be_left_to_the_service() -> None:
    inputs = {name: INPUTS[name] for name in ("character_image", "reference_character_image")}
    driver = Driver([ACCEPTED])
    driver.run(flow.submit(settings(), new_auth(), WORKFLOW, inputs))
    assert driver.requests[0].payload == inputs


# -- waiting -------------------------------------------------------------------------------------------


def test_a_wait_polls_every_seven_seconds_until_the_job_is_done() -> None:
    driver, job = wait(QUEUED, PROCESSING, PROCESSING, COMPLETED)
    assert job.status == "COMPLETED"
    assert driver.seconds == [7.0, 7.0, 7.0]
    assert all(not pause.reason for pause in driver.pauses)


def test_a_failed_job_ends_the_wait_as_an_answer() -> None:
    _, job = wait(QUEUED, answer({"status": "FAILED", "error": "no face"}, 422))
    assert (job.status, job.error) == ("FAILED", "no face")


def test_an_unknown_status_keeps_waiting_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    odd = answer({"status": "WARMING"})
    driver, job = wait(odd, odd, COMPLETED)
    assert job.done
    for pause in driver.pauses:
        pause.log()
    assert [record.getMessage() for record in caplog.records] == [
        "Segmind: status 'WARMING' is new to this package; waiting on"
    ]


def test_errors_are_waited_out_in_growing_pauses_that_begin_anew_after_a_good_answer() -> None:
    driver, job = wait(*[BROKEN, LOST, REFUSED, BROKEN, BROKEN], QUEUED, *[BROKEN] * 7, COMPLETED)
    assert job.done
    assert driver.seconds == [7.0, 7.0, 7.0, 8.0, 16.0, 7.0, 7.0, 7.0, 7.0, 8.0, 16.0, 30.0, 30.0]


@pytest.mark.parametrize(("broken", "cls"), [(BROKEN, ServiceError), (REFUSED, TransportError), (LOST, TransportError)])
def test_an_outage_that_is_longer_than_it_may_be_ends_the_wait_but_not_the_job(
    broken: Answer, cls: type[SegmindError]
) -> None:
    with pytest.raises(cls) as error:
        wait(*[broken] * 7, max_outage=40.0)
    assert error.value.retryable


def test_only_the_deadline_ends_a_wait_for_a_broken_service() -> None:
    driver = Driver([BROKEN] * 1000)
    with pytest.raises(JobTimeoutError):
        driver.run(flow.wait(settings(), new_auth(), POLL_URL, deadline=1500, clock=driver.clock, pace=PACE))
    assert driver.now == 1500


def test_a_429_is_a_pace_and_not_an_error() -> None:
    driver, job = wait(*[FULL] * 12, COMPLETED)
    assert job.done
    assert driver.seconds == [20.5] * 12


def test_the_job_is_asked_once_more_at_the_deadline_and_a_result_that_is_there_is_taken() -> None:
    driver, job = wait(QUEUED, PROCESSING, COMPLETED, deadline=1010.0)
    assert job.status == "COMPLETED"
    assert driver.seconds == [7.0, 3.0]


def test_after_the_deadline_the_error_says_that_the_job_may_finish_and_bill() -> None:
    driver = Driver([QUEUED, PROCESSING, PROCESSING])
    words = rf"its status is PROCESSING.*still finish and is billed.*{POLL_URL}"
    with pytest.raises(JobTimeoutError, match=words) as error:
        driver.run(flow.wait(settings(), new_auth(), POLL_URL, deadline=1010, clock=driver.clock, pace=PACE))
    assert error.value.request_id == POLL_URL[-32:]
    assert driver.sent == ["GET"] * 3


def test_a_last_look_that_fails_is_a_timeout_that_says_so() -> None:
    with pytest.raises(JobTimeoutError, match="connection reset"):
        wait(QUEUED, LOST, deadline=1007.0)


def test_a_deadline_that_has_passed_still_gets_one_look() -> None:
    driver, job = wait(COMPLETED, deadline=1.0)
    assert job.done
    assert driver.sent == ["GET"]


def test_an_expired_record_ends_the_wait_after_a_minute_and_a_half_of_404s() -> None:
    driver = Driver([QUEUED, *[GONE] * 100])
    with pytest.raises(JobExpiredError):
        driver.run(flow.wait(settings(), new_auth(), POLL_URL, deadline=2000, clock=driver.clock, pace=PACE))
    assert driver.now == 1000 + 7 + 90


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan"), "7", None, True])
def test_an_interval_that_is_none_is_named_before_any_request(interval: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"poll_interval is .*: give seconds above 0"):
        wait(poll_interval=interval)


def test_a_foreign_poll_url_is_refused_before_any_request() -> None:
    driver = Driver([])
    steps = flow.wait(settings(), new_auth(), "https://evil.example/1", deadline=2000, clock=driver.clock)
    with pytest.raises(InvalidRequestError, match="trusted_hosts"):
        driver.run(steps)


# -- one look ------------------------------------------------------------------------------------------


def test_one_look_is_one_get() -> None:
    driver = Driver([PROCESSING])
    assert driver.run(flow.get_job(settings(), new_auth(), POLL_URL)).status == "PROCESSING"
    assert driver.sent == ["GET"]


@pytest.mark.parametrize(
    ("said", "cls"),
    [(BROKEN, ServiceError), (REFUSED, TransportError), (GONE, JobExpiredError), (FULL, RateLimitError)],
)
def test_one_look_raises_whatever_goes_wrong_at_once(said: Answer, cls: type[SegmindError]) -> None:
    driver = Driver([said])
    with pytest.raises(cls):
        driver.run(flow.get_job(settings(), new_auth(), POLL_URL))
    assert driver.sent == ["GET"]


# -- free calls ----------------------------------------------------------------------------------------


def test_the_balance_and_uploads_survive_two_errors() -> None:
    driver = Driver([BROKEN, LOST, answer({"credits": 3})])
    assert driver.run(flow.get_credits(settings(), new_auth(), pace=PACE)) == 3
    driver = Driver([BROKEN, LOST, answer({"file_urls": ["https://images.segmind.com/a.png"]})])
    url = driver.run(flow.upload(settings(), new_auth(), b"abc", "image/png", pace=PACE))
    assert url == "https://images.segmind.com/a.png"
    assert driver.requests[0].url == "https://workflows-api.segmind.com/upload-asset"
    assert driver.requests[0].payload == {"data_urls": ["data:image/png;base64,YWJj"]}


def test_the_third_error_of_a_free_call_is_raised() -> None:
    with pytest.raises(ServiceError):
        Driver([BROKEN] * 3).run(flow.get_credits(settings(), new_auth(), pace=PACE))


# -- pauses --------------------------------------------------------------------------------------------


def test_pauses_double_up_to_a_limit_and_differ_between_tasks() -> None:
    assert [PACE.backoff(errors) for errors in (1, 2, 5, 6, 60)] == [1.0, 2.0, 16.0, 30.0, 30.0]
    assert len({flow.Pace().backoff(3) for _ in range(20)}) > 1


def test_a_reason_never_carries_the_key() -> None:
    with pytest.raises(TransportError) as error:
        submit(*[Failure(sent=False, reason=f"no route with {KEY}")] * 6)
    assert KEY not in str(error.value)


def test_the_same_order_has_the_same_fingerprint_and_another_has_not() -> None:
    from airflow_provider_segmind.api.workflows import fingerprint

    again = dict(reversed(list(INPUTS.items())))
    assert fingerprint(WORKFLOW, INPUTS) == fingerprint(WORKFLOW, again)
    assert fingerprint(WORKFLOW, INPUTS) != fingerprint(WORKFLOW, {**INPUTS, "select_character": "man"})
    assert fingerprint(WORKFLOW, INPUTS) != fingerprint("abc-v1", INPUTS)


@pytest.mark.parametrize(
    "former",
    [
        Settings.from_connection(host="https://gateway.example", password="old-key-1234"),
        Settings.from_connection(
            host="http://emulator.example:8080",
            password="SG_0123456789abcdef",
            extra={"emulator_host": "emulator.example"},
        ),
    ],
    ids=["another host", "an emulator over plain http"],
)
def test_the_key_of_a_changed_connection_is_not_sent_to_its_former_host(former: Settings) -> None:
    poll_url = f"{former.base_url}/workflows/request/abc"
    steps = flow.ask(Settings.from_connection(host=None, password=KEY), flow.Auth(), poll_url)
    with pytest.raises(TransportError, match="the key was not sent"):
        next(steps)
    assert next(flow.ask(former, flow.Auth(), poll_url)).request.url == poll_url  # type: ignore[union-attr]


def test_an_unknown_outcome_names_workflow_and_time_and_says_what_to_do() -> None:
    with pytest.raises(OutcomeUnknownError) as error:
        submit(Failure(sent=True, reason="connection reset"))
    said = str(error.value)
    assert re.search(rf"Workflow {WORKFLOW}, sent at [-0-9]+ [:0-9]+ UTC\. It is not sent again\.", said)
    assert "If it is there, give its poll URL to a BodySwapSensor, which costs nothing." in said
