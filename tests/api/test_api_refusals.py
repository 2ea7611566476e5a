"""Who speaks in an answer that refuses: Segmind, or something in between."""

from __future__ import annotations

import json

import pytest

from airflow_provider_segmind.api import protocol
from airflow_provider_segmind.api.errors import JobExpiredError, SegmindError
from airflow_provider_segmind.api.wire import Response
from tests.api.drive import settings

REQUEST = "0123456789abcdef0123456789abcdef"
URL = f"https://api.segmind.com/workflows/request/{REQUEST}"


@pytest.mark.parametrize(
    "body",
    [
        {"message": f"Cannot GET /workflows/request/{REQUEST}"},
        {"message": f"The route workflows/request/{REQUEST} could not be found."},
        {"error": f"The requested URL /workflows/request/{REQUEST} was not found on this server."},
        {"message": "no Route matched: request path not found"},
    ],
)
def test_a_gateway_that_quotes_the_path_does_not_make_a_job_be_gone(body: dict[str, str]) -> None:
    with pytest.raises(SegmindError) as raised:
        protocol.read_poll(settings(), Response(404, {}, json.dumps(body).encode(), 1.0), URL)
    assert not isinstance(raised.value, JobExpiredError)


@pytest.mark.parametrize("words", ["Request not found", f"Request {REQUEST} not found", f"no such job: {REQUEST}"])
def test_a_404_about_the_request_is_the_jobs(words: str) -> None:
    with pytest.raises(JobExpiredError):
        protocol.read_poll(settings(), Response(404, {}, json.dumps({"error": words}).encode(), 1.0), URL)


def test_words_that_repeat_themselves_are_searched_once() -> None:
    """Three megabytes of it held the loop for hours."""
    body = json.dumps({"message": "request " * 400_000}).encode()
    with pytest.raises(SegmindError):
        protocol.read_poll(settings(), Response(404, {}, body, 1.0), URL)
