"""Every answer of the wire contract becomes a value or the error that says who must act."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_segmind.api import protocol
from airflow_provider_segmind.api.errors import (
    BY_NAME,
    AuthenticationError,
    CreditsError,
    InvalidRequestError,
    JobFailedError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import Output
from airflow_provider_segmind.api.wire import Request, Response
from tests.api.drive import ACCEPTED, COMPLETED, KEY, POLL_URL, WORKFLOW, answer, settings

REQUEST_ID = POLL_URL[-32:]
OUTPUT = [{"keyname": "body_swap_image", "value": {"data": "https://images.segmind.com/x.png", "type": "image"}}]
PICTURE = Output("body_swap_image", "image", "https://images.segmind.com/x.png")
HTML = b"<html><head><title>502</title><style>b{}</style></head><body><h1>Bad\nGateway</h1></body></html>"


def poll(response: Response) -> Any:
    return protocol.read_poll(settings(), response, POLL_URL)


def submit(response: Response) -> Any:
    return protocol.read_submit(settings(), response, WORKFLOW)


# -- what is sent --------------------------------------------------------------------------------------


def test_bearer_is_sent_as_documented_and_x_api_key_as_the_sdk_does() -> None:
    assert protocol.headers(settings(), Request("GET", POLL_URL, "bearer")) == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": f"Bearer {KEY}",
    }
    assert protocol.headers(settings(), Request("POST", POLL_URL, "x-api-key", {"a": 1})) == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "x-api-key": KEY,
    }


def test_a_submit_is_a_json_post_to_the_workflows_own_address() -> None:
    request = protocol.submit_request(settings(), WORKFLOW, {"a": "ü"}, "bearer")
    assert (request.method, request.url) == ("POST", f"https://api.segmind.com/workflows/{WORKFLOW}")
    assert json.loads(request.body or b"") == {"a": "ü"}
    assert KEY not in repr(request)


@pytest.mark.parametrize("poll_url", [None, "", "  ", "None", 5])
def test_an_empty_poll_url_says_what_to_connect(poll_url: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"poll_url is empty \(.*\): pass the submitting task's XCom"):
        protocol.check_poll_url(settings(), poll_url)


def test_a_poll_url_that_is_none_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="poll_url '4f7471d8' is not a URL as Segmind returns it"):
        protocol.check_poll_url(settings(), "4f7471d8")


def test_a_poll_url_on_another_host_gets_no_key() -> None:
    with pytest.raises(InvalidRequestError, match=r"'https://evil\.example/1' is not on .*trusted"):
        protocol.check_poll_url(settings(), "https://evil.example/1")


def test_a_good_poll_url_is_used_as_it_came() -> None:
    assert protocol.check_poll_url(settings(), f" {POLL_URL}\n") == POLL_URL


# -- submit --------------------------------------------------------------------------------------------


def test_an_accepted_order_gives_its_id_and_the_url_to_ask() -> None:
    job = submit(ACCEPTED)
    assert (job.request_id, job.poll_url, job.status) == (REQUEST_ID, POLL_URL, "QUEUED")
    assert (job.workflow, job.submitted_at, job.done) == (WORKFLOW, 1000.0, False)


def test_an_accepted_order_without_an_id_takes_it_from_the_url() -> None:
    assert submit(answer({"poll_url": POLL_URL})).request_id == REQUEST_ID


@pytest.mark.parametrize(
    "response",
    [
        answer({"message": "queued", "request_id": REQUEST_ID}),
        answer({"poll_url": 7, "request_id": REQUEST_ID}),
        answer({"poll_url": " "}),
        answer(b'{"message":"queued","poll_u'),
        answer(b"OK"),
        answer(b""),
        answer([1]),
        answer(b"[" * 100_000),
        answer({"error": "Internal"}, 500),
        answer(HTML, 502),
        answer(HTML, 504),
        answer(b"", 408),
        *(
            answer({"error": "no"}, status)
            for status in (300, 303, 304, 402, 409, 410, 418, 421, 425, 431, 444, 460, 499)
        ),
        *(answer(HTML, status) for status in (400, 401, 403, 404, 406, 413, 415, 422, 451)),
    ],
)
def test_an_order_that_may_have_been_accepted_is_an_unknown_outcome_and_never_retryable(response: Response) -> None:
    with pytest.raises(OutcomeUnknownError, match="billed") as error:
        submit(response)
    assert not error.value.retryable
    assert error.value.status == response.status


def test_an_unknown_outcome_keeps_the_request_id_if_there_was_one() -> None:
    with pytest.raises(OutcomeUnknownError) as error:
        submit(answer({"request_id": REQUEST_ID}))
    assert error.value.request_id == REQUEST_ID
    assert f"(HTTP 200, request {REQUEST_ID})" in str(error.value)


@pytest.mark.parametrize(
    ("response", "cls", "words"),
    [
        (answer({"error": "Bad Request"}, 400), InvalidRequestError, "check its inputs"),
        (answer(b"Incorrect or Missing host header", 400), InvalidRequestError, "Incorrect or Missing host header"),
        (
            answer({"error": "Missing Authorization or x-api-key in header"}, 401),
            AuthenticationError,
            r"sent as bearer and x-api-key\)\. Check the key in the connection.*Missing Authorization",
        ),
        (answer({"error": "Forbidden"}, 403), AuthenticationError, "Ask the owner of the Segmind account"),
        (answer({"error": "Workflow not found"}, 404), InvalidRequestError, "check the workflow's id and version"),
        (answer(b"<html>405</html>", 405), InvalidRequestError, "check the connection's host"),
        (answer({"error": "Insufficient credits to run"}, 406), CreditsError, "add credits or raise the spend limit"),
        (answer({"error": "Team spend limit reached"}, 406), CreditsError, "cannot pay"),
        (answer({"error": "Invalid content type"}, 406), InvalidRequestError, "Invalid content type"),
        (answer({"error": "Parameter x rejected"}, 406), InvalidRequestError, "Parameter x rejected"),
        (answer({"error": "slow down"}, 429), RateLimitError, "nothing was billed"),
        (answer(b"", 307, location="https://evil.example"), InvalidRequestError, "redirect, which is never followed"),
        (answer(HTML, 429), RateLimitError, "nothing was billed"),
    ],
)
def test_a_refused_order_is_sorted_by_who_must_act(response: Response, cls: type[SegmindError], words: str) -> None:
    with pytest.raises(cls, match=words) as error:
        submit(response)
    assert type(error.value) is cls
    assert error.value.status == response.status


def test_the_services_words_are_quoted_without_tags_length_or_the_key() -> None:
    with pytest.raises(OutcomeUnknownError, match="Segmind said: 502 Bad Gateway"):
        submit(answer(HTML, 502))
    with pytest.raises(InvalidRequestError) as error:
        submit(answer({"error": f"key {KEY} is odd " + "x" * 5000}, 400))
    assert KEY not in str(error.value)
    assert "key *** is odd" in error.value.detail
    assert len(error.value.detail) < 520


# -- poll ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING", "WARMING_UP"])
def test_a_job_that_is_not_done_is_an_answer_also_with_a_status_nobody_knows(status: str) -> None:
    job = poll(answer({"output": "", "status": status}))
    assert (job.status, job.done, job.outputs) == (status, False, ())


@pytest.mark.parametrize(
    "output",
    [
        json.dumps(OUTPUT),
        OUTPUT,
        OUTPUT[0],
        [{"keyname": "body_swap_image", "value": {"data": ["https://images.segmind.com/x.png"], "type": "image"}}],
    ],
)
def test_a_completed_job_gives_its_outputs_as_a_json_string_or_a_list(output: Any) -> None:
    job = poll(answer({"status": "completed", "output": output}))
    assert (job.status, job.done, job.outputs) == ("COMPLETED", True, (PICTURE,))
    assert poll(COMPLETED).outputs == (PICTURE,)


def test_an_output_without_name_or_type_is_still_an_output() -> None:
    job = poll(answer({"status": "COMPLETED", "output": [{"value": "https://images.segmind.com/x.png"}]}))
    assert job.outputs == (Output("output_0", "", "https://images.segmind.com/x.png"),)


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("", "it is no JSON"),
        ("[{", "it is no JSON"),
        (None, "no list of outputs"),
        ([], "no list of outputs"),
        (["x"], "entry 0 is no object"),
        ([{"keyname": "a"}], r"entry 0 \(a\) has no data"),
        ([{"keyname": "a", "value": {"data": "", "type": "image"}}], "has no data"),
    ],
)
def test_a_completed_job_whose_output_cannot_be_read_is_worth_asking_again(output: Any, why: str) -> None:
    with pytest.raises(ServiceError, match=f"COMPLETED, but its output cannot be read: .*{why}") as error:
        poll(answer({"status": "COMPLETED", "output": output}))
    assert error.value.request_id == REQUEST_ID
    assert error.value.retryable


@pytest.mark.parametrize("http", [200, 202, 422])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": "No face found"}, "No face found"),
        ({"error_message": {"message": "No face found"}}, "No face found"),
        ({"error_message": {"code": 7}}, '{"code": 7}'),
        ({"error_message": [{"model": "swap", "error": "No face"}, {"error": "late"}]}, "swap: No face; late"),
        ({"error": "No face", "error_message": "No face"}, "No face"),
        ({"error": "", "error_message": [{}, None]}, ""),
        ({"error": f"{KEY} failed"}, "*** failed"),
    ],
)
def test_a_failed_job_is_an_answer_in_every_shape(http: int, body: Any, reason: str) -> None:
    job = poll(answer({"status": "FAILED", **body}, http))
    assert (job.status, job.done, job.error) == ("FAILED", True, reason)


@pytest.mark.parametrize("status", ["FAILED", "COMPLETED"])
@pytest.mark.parametrize("http", [301, 302, 304, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 520])
def test_the_end_of_a_job_is_never_told_by_what_failed_to_answer_for_it(status: str, http: int) -> None:
    """A proxy's 503 that said FAILED ended a wait, and the retry ordered a swap again that was completed."""
    with pytest.raises(SegmindError) as error:
        poll(answer({"status": status, "output": "[]", "request_id": REQUEST_ID}, http))
    assert not isinstance(error.value, JobFailedError)


@pytest.mark.parametrize("http", [400, 406, 409, 410, 451])
def test_a_refusal_is_the_end_of_a_job_only_where_it_names_the_job(http: int) -> None:
    assert poll(answer({"status": "FAILED", "request_id": REQUEST_ID}, http)).status == "FAILED"
    for body in ({"status": "FAILED"}, {"status": "FAILED", "request_id": "another"}):
        with pytest.raises(ServiceError, match="says nothing about the job"):
            poll(answer(body, http))


@pytest.mark.parametrize(
    ("body", "http"),
    [
        ({"status": "FAILED", "error": "x", "request_id": "abc"}, 200),
        ({"status": "COMPLETED", "output": json.dumps(OUTPUT), "request_id": "abc"}, 200),
        ({"status": "FAILED", "message": "upstream request timeout"}, 200),
        ({"status": "failed", "message": "upstream request timeout"}, 422),
        ({"status": "FAILED", "error": "x"}, 203),
    ],
)
def test_an_end_that_may_be_of_something_else_is_doubtful(body: Any, http: int) -> None:
    job = poll(answer(body, http))
    assert (job.doubtful, job.request_id) == (True, REQUEST_ID)


@pytest.mark.parametrize("body", [{"status": "FAILED", "output": ""}, {"status": "PROCESSING", "request_id": "abc"}])
def test_an_answer_in_a_form_of_segminds_is_not_doubtful(body: Any) -> None:
    assert not poll(answer(body)).doubtful


# -- credits, uploads ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "balance"),
    [
        (answer({"credits": 12.5, "free-credits": 0.5}), 13.0),
        (answer({"credits": "12.5"}), 12.5),
        (answer({"credits": None, "free-credits": 1}), 1.0),
        (answer({"error": "No credits found for the user"}, 404), 0.0),
    ],
)
def test_the_balance_is_credits_and_free_credits(response: Response, balance: float) -> None:
    assert protocol.read_credits(settings(), response) == balance


@pytest.mark.parametrize(
    ("response", "cls"),
    [
        (answer({"credits": "many"}), ServiceError),
        (answer(b'{"credits": NaN}'), ServiceError),
        (answer({"credits": "nan"}), ServiceError),
        (answer({"credits": "inf", "free-credits": "-inf"}), ServiceError),
        (answer(b'{"credits": 1e999}'), ServiceError),
        (answer(b'{"credits": 1' + b"0" * 400 + b"}"), ServiceError),
        (answer({"credits": [1]}), ServiceError),
        (answer({}), ServiceError),
        (answer(b"OK"), ServiceError),
        (answer({"error": "Not found"}, 404), InvalidRequestError),
        (answer(b"Not found", 404), InvalidRequestError),
        (answer({"error": "no"}, 401), AuthenticationError),
    ],
)
def test_a_balance_that_cannot_be_read_is_no_balance(response: Response, cls: type[SegmindError]) -> None:
    with pytest.raises(cls):
        protocol.read_credits(settings(), response)


@pytest.mark.parametrize("name", ["file_urls", "urls"])
def test_an_upload_answers_in_either_of_two_words(name: str) -> None:
    url = "https://images.segmind.com/assets/a.png"
    assert protocol.read_upload(settings(), answer({name: [url]})) == url


@pytest.mark.parametrize("body", [{}, {"urls": []}, {"urls": "x"}, {"file_urls": [1]}, {"urls": ["x"]}])
def test_an_upload_without_a_url_is_an_error(body: Any) -> None:
    with pytest.raises(ServiceError, match="no URL"):
        protocol.read_upload(settings(), answer(body))


def test_a_refused_upload_is_sorted_like_everything_else() -> None:
    with pytest.raises(InvalidRequestError):
        protocol.read_upload(settings(), answer({"error": "too large"}, 413))


# -- errors --------------------------------------------------------------------------------------------


def test_an_error_tells_what_happened_the_services_words_and_the_facts_once() -> None:
    assert str(SegmindError("It broke.")) == "It broke."
    error = SegmindError("It broke.", status=500, detail="boom", request_id="abc")
    assert str(error) == "It broke. Segmind said: boom (HTTP 500, request abc)"
    assert str(SegmindError("It broke: boom.", detail="boom")) == "It broke: boom."


def test_every_error_can_be_found_by_name() -> None:
    assert all(issubclass(cls, SegmindError) and cls.__name__ == name for name, cls in BY_NAME.items())
