"""
Segmind's wire contract as pure functions: build requests and read answers.

Sources: Segmind's documentation and SDK. Where they disagree or are silent: tolerant reading, strict sending.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    OutcomeUnknownError,
    ServiceError,
)
from airflow_provider_segmind.api.models import TERMINAL, Job, Settings
from airflow_provider_segmind.api.refusals import (
    detail_of,
    error_text,
    json_object,
    no_answer,
    redact,
    refusal,
    text_of,
)
from airflow_provider_segmind.api.results import failure_text, read_outputs
from airflow_provider_segmind.api.uris import quoted
from airflow_provider_segmind.api.urls import parse_url
from airflow_provider_segmind.api.wire import Request, Response

CREDITS_PATH = "/v1/get-user-credits"
UPLOAD_PATH = "/upload-asset"


def headers(settings: Settings, request: Request) -> dict[str, str]:
    """Return the header fields of a request, with the key; only the clients call this, right before they send."""
    # No compression: a small answer that unpacks to gigabytes would kill the triggerer.
    fields = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if request.payload is not None:
        fields["Content-Type"] = "application/json"
    if request.scheme == "x-api-key":
        fields["x-api-key"] = settings.api_key
    else:
        fields["Authorization"] = f"Bearer {settings.api_key}"
    return fields


def submit_request(settings: Settings, workflow: str, inputs: Mapping[str, Any], scheme: str) -> Request:
    """Build the POST that orders a job; billed once accepted."""
    return Request("POST", f"{settings.base_url}/workflows/{workflow}", scheme, dict(inputs))


def poll_request(settings: Settings, poll_url: str, scheme: str) -> Request:
    """Build the GET for a job's state; :func:`check_poll_url` must have passed the URL."""
    return Request("GET", poll_url, scheme)


def credits_request(settings: Settings, scheme: str) -> Request:
    """Build the GET for the balance; it is free, so it also tests a connection."""
    return Request("GET", f"{settings.base_url}{CREDITS_PATH}", scheme)


def upload_request(settings: Settings, data_url: str, scheme: str) -> Request:
    """Build the POST that uploads one input file; it is free."""
    return Request("POST", f"{settings.storage_url}{UPLOAD_PATH}", scheme, {"data_urls": [data_url]})


def check_poll_url(settings: Settings, poll_url: object) -> str:
    """
    Return the poll URL if the key may be sent there; any user who can write XComs may have set it.

    :raises InvalidRequestError: if it is empty, no URL, or on a host that may not receive the key.
    """
    url = poll_url.strip() if isinstance(poll_url, str) else ""
    if not url or url == "None":
        raise InvalidRequestError(
            f"poll_url is empty ({quoted(poll_url)}): pass the submitting task's XCom, for example "
            "submit.output['poll_url'], which also connects the two tasks."
        )
    if not _is_url(url):
        raise InvalidRequestError(
            f"poll_url {quoted(url)} is not a URL as Segmind returns it: pass the submitting task's XCom 'poll_url'."
        )
    if not settings.may_receive_key(url):
        raise InvalidRequestError(
            f"poll_url {quoted(url)} is not on the connection's host {settings.base_url}, so the API key is not sent "
            "there. Check where poll_url comes from. If Segmind returned it, add its host to trusted_hosts in the "
            "connection."
        )
    return url


def read_submit(settings: Settings, response: Response, workflow: str) -> Job:
    """
    Read the answer to an order.

    :raises OutcomeUnknownError: if the job may have been accepted and billed but cannot be followed.
    :raises SegmindError: if the order was refused; nothing was billed.
    """
    if response.status >= 300 and not _is_refused_order(response):
        raise OutcomeUnknownError(
            "Segmind, or something between here and there, failed after the order was sent, so it may have been "
            "accepted and billed.",
            status=response.status,
            detail=detail_of(settings, response),
        )
    if response.status >= 300:
        raise refusal(settings, response, f"Segmind refused the order for workflow {workflow!r}.")
    body = json_object(settings, response) or {}
    poll_url = text_of(body.get("poll_url")).strip()
    request_id = answers.name(body.get("request_id"))
    if not _is_url(poll_url):
        raise OutcomeUnknownError(
            "Segmind accepted the order but its answer has no readable poll_url, so the job was probably billed "
            "and cannot be followed.",
            status=response.status,
            detail=detail_of(settings, response),
            request_id=request_id or None,
        )
    return Job(
        request_id=request_id or answers.id_in(poll_url),
        poll_url=poll_url,
        status=_status(body) or "QUEUED",
        workflow=workflow,
        submitted_at=response.at,
    )


def _is_refused_order(response: Response) -> bool:
    """Whether an answer proves that the order was not accepted: the API refused it, or redirected it."""
    if answers.is_page(response):
        return response.status in _ELSEWHERE | _REFUSALS_AS_PAGES
    return response.status in _ELSEWHERE | _REFUSALS


_REFUSALS = frozenset({400, 401, 403, 404, 405, 406, 413, 415, 422, 429, 451})
"""Statuses with which the API refuses an order, in JSON or in plain words."""
_REFUSALS_AS_PAGES = frozenset({405, 429})
"""Refusals as a web page: Segmind sends 405 so, and a rate limiter answers 429 before it forwards anything."""
_ELSEWHERE = frozenset({301, 302, 307, 308})
"""Redirects, which no client of this package follows. Not 303: a server sends it after it has taken a POST."""


def read_poll(settings: Settings, response: Response, poll_url: str) -> Job:
    """
    Read the answer to a poll.

    :raises JobExpiredError: if the service no longer knows the job.
    :raises AuthenticationError: if the service does not accept the key.
    :raises RateLimitError: if there were too many polls.
    :raises ServiceError: if the answer is not about the job; the caller should poll again.
    """
    request_id = answers.id_in(poll_url)
    said = json_object(settings, response)
    body = said or {}
    status = _status(body)
    if not status or not _is_of_the_job(response.status, status, body, request_id):
        raise no_answer(settings, response, said, request_id)
    try:
        outputs = read_outputs(body.get("output"), settings.api_key) if status == "COMPLETED" else ()
    except ValueError as error:
        raise ServiceError(
            f"The job is COMPLETED, but its output cannot be read: {redact(settings, str(error))}.",
            status=response.status,
            detail=detail_of(settings, response),
            request_id=request_id,
        ) from None
    reason = redact(settings, failure_text(body)) if status == "FAILED" else ""
    doubtful = _is_doubtful(response.status, status, body, request_id)
    return Job(request_id, poll_url, status, outputs=outputs, error=reason, doubtful=doubtful)


def _is_of_the_job(code: int, status: str, body: Mapping[str, Any], request_id: str) -> bool:
    """
    Whether an answer with a status is about the job, and not from a proxy in between.

    Segmind documents 200, and sends the end of some jobs as 422. Any other 4xx must name the job, since an end is
    believed at once and may lead to a second bill. A 5xx never counts: the service, or a proxy before it, failed to
    answer.
    """
    if 200 <= code < 300:
        return True
    if status not in TERMINAL or not 400 <= code < 500:
        return False
    return code == 422 or (code not in _OF_THE_REQUEST and answers.name(body.get("request_id")) == request_id)


def _is_doubtful(code: int, status: str, body: Mapping[str, Any], request_id: str) -> bool:
    """
    Whether an end must be repeated to be believed: it names another job, or lacks the form of Segmind's failures.

    Segmind documents no id in these answers, so a missing id means nothing.
    """
    if status not in TERMINAL:
        return False
    named = answers.name(body.get("request_id"))
    if named:
        return named != request_id
    return status == "FAILED" and (code not in (200, 201, 202, 422) or not body.keys() & _OF_A_FAILURE)


_OF_A_FAILURE = frozenset({"output", "error", "error_message"})
_OF_THE_REQUEST = frozenset({401, 403, 404, 408, 425, 429})
"""These say something about the request, nothing about the job."""


def read_credits(settings: Settings, response: Response) -> float:
    """
    Read the balance in US dollars, paid and free credits together.

    A 404 with a JSON error means a valid key without a balance (Segmind's documentation), so 0.
    """
    body = json_object(settings, response)
    if response.status == 404 and body is not None and "credits" in error_text(body).lower():
        return 0.0
    if response.status != 200:
        raise refusal(settings, response, "Segmind did not tell the balance.")
    try:
        if body is None or not body.keys() & {"credits", "free-credits"}:
            raise ValueError
        balance = sum(float(body.get(name) or 0.0) for name in ("credits", "free-credits"))
        if not math.isfinite(balance):
            raise ValueError
        return balance
    except (TypeError, ValueError, OverflowError):
        raise ServiceError(
            "Segmind's answer about the balance cannot be read.",
            status=response.status,
            detail=detail_of(settings, response),
        ) from None


def read_upload(settings: Settings, response: Response) -> str:
    """Read the URL of an uploaded file: ``file_urls`` in the SDK, ``urls`` in the documentation."""
    if not 200 <= response.status < 300:
        raise refusal(settings, response, "Segmind did not take the upload.")
    body = json_object(settings, response) or {}
    urls = body.get("file_urls") or body.get("urls")
    url = urls[0] if isinstance(urls, list) and urls else None
    if not isinstance(url, str) or not _is_url(url):
        raise ServiceError(
            "Segmind took the upload but its answer has no URL.",
            status=response.status,
            detail=detail_of(settings, response),
        )
    return url


def host_of(url: str) -> str:
    """Return the host of a URL, for messages."""
    return urlsplit(url).netloc


def _status(body: Mapping[str, Any]) -> str:
    return answers.name(text_of(body.get("status"))).upper()


def _is_url(text: str) -> bool:
    return len(text) <= answers.MAX_URL and parse_url(text) is not None
