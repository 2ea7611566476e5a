"""Who speaks in an answer that refuses: Segmind, or something in between."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_segmind.api import protocol, refusals
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    JobExpiredError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.wire import Response
from tests.api.drive import POLL_URL, answer, settings

REQUEST_ID = POLL_URL[-32:]
HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"


def poll(response: Response) -> Any:
    return protocol.read_poll(settings(), response, POLL_URL)


@pytest.mark.parametrize(
    "body",
    [
        {"message": f"Cannot GET /workflows/request/{REQUEST_ID}"},
        {"message": f"The route workflows/request/{REQUEST_ID} could not be found."},
        {"error": f"The requested URL /workflows/request/{REQUEST_ID} was not found on this server."},
        {"message": "no Route matched: request path not found"},
    ],
)
def test_a_gateway_that_quotes_the_path_does_not_make_a_job_be_gone(body: dict[str, str]) -> None:
    with pytest.raises(SegmindError) as raised:
        poll(answer(body, 404))
    assert not isinstance(raised.value, JobExpiredError)


@pytest.mark.parametrize(
    "words", ["Request not found", f"Request {REQUEST_ID} not found", f"no such job: {REQUEST_ID}"]
)
def test_a_404_about_the_request_is_the_jobs(words: str) -> None:
    with pytest.raises(JobExpiredError):
        poll(answer({"error": words}, 404))


def test_words_that_repeat_themselves_are_searched_once() -> None:
    """Three megabytes of it held the loop for hours."""
    with pytest.raises(SegmindError):
        poll(answer({"message": "request " * 400_000}, 404))


def test_a_404_on_a_known_job_means_paid_for_and_lost() -> None:
    with pytest.raises(JobExpiredError, match=r"no longer knows this job.*it was billed.*not found") as error:
        poll(answer({"error": f"Request {REQUEST_ID} not found"}, 404))
    assert (error.value.request_id, error.value.retryable) == (REQUEST_ID, False)


@pytest.mark.parametrize(
    ("response", "cls"),
    [
        (answer(b"not json"), ServiceError),
        (answer({"message": "no status"}), ServiceError),
        (answer({"status": 5}), ServiceError),
        (answer({"status": "QUEUED"}, 502), ServiceError),
        (answer(HTML, 504), ServiceError),
        *((answer(b"", code), ServiceError) for code in (204, 302, 304)),
        *((answer({"error": "x"}, code), ServiceError) for code in (400, 405, 407, 408, 409, 410, 422, 425, 451, 511)),
        *((answer(HTML, code), ServiceError) for code in (401, 403, 404)),
        (answer(b"no entry", 403), ServiceError),
        (answer({"error": "x"}, 401), AuthenticationError),
        (answer(b"Unauthorized", 401), AuthenticationError),
        (answer({"error": "x"}, 403), AuthenticationError),
        *((answer(body, 404), ServiceError) for body in (b"Not Found", b"", {"message": "no Route matched"})),
        (answer({"error": "Request not found"}, 404), JobExpiredError),
        (answer({"error": "x"}, 429), RateLimitError),
        (answer(HTML, 429), RateLimitError),
    ],
)
def test_a_poll_without_an_answer_says_why_and_about_which_job(response: Response, cls: type[SegmindError]) -> None:
    with pytest.raises(cls) as error:
        poll(response)
    assert type(error.value) is cls
    assert error.value.request_id == REQUEST_ID


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "12"}, 12.0),
        ({"retry_after": " 1.5 "}, 1.5),
        ({"retry_after": "Thu, 01 Jan 1970 00:17:00 GMT"}, 20.0),
        ({"retry_after": "Thu, 01 Jan 1970 00:10:00 GMT"}, 0.0),
        ({"retry_after": "999999"}, refusals.MAX_RETRY_AFTER),
        ({"retry_after": "soon", "x_rate_limit_reset_at_utc": "1030"}, 30.0),
        ({"x_rate_limit_reset_at_utc": "1970-01-01T00:17:10Z"}, 30.0),
        ({"x_rate_limit_reset_at_utc": "1970-01-01T00:17:10"}, 30.0),
        ({"x_rate_limit_reset_at_utc": "1970-01-01 00:17:10+00:00"}, 30.0),
        ({"x_rate_limit_reset_at_utc": "Thu, 01 Jan 1970 00:17:10 GMT"}, 30.0),
        ({"x_rate_limit_reset_at_utc": "999"}, 0.0),
        ({"x_rate_limit_reset_at_utc": "in a while"}, None),
        ({}, None),
    ],
)
def test_a_429_says_how_long_in_every_known_form_or_in_none(headers: dict[str, str], seconds: float | None) -> None:
    assert refusals.retry_after(answer({}, 429, **headers)) == seconds
    with pytest.raises(RateLimitError) as error:
        poll(answer({}, 429, **headers))
    assert error.value.retry_after == seconds


def test_a_reset_time_in_milliseconds_is_understood() -> None:
    response = Response(429, {"x-rate-limit-reset-at-utc": "1795342800000"}, b"", at=1795342770.0)
    assert refusals.retry_after(response) == 30.0
