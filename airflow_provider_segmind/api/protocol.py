"""
Segmind's wire contract as pure functions: build a request, read an answer or raise.

Facts come from Segmind's documentation and its official SDK; where they disagree or are silent, the
functions are tolerant in reading and strict in sending.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    CreditsError,
    InvalidRequestError,
    JobExpiredError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import TERMINAL, Job, Settings, parse_url
from airflow_provider_segmind.api.outputs import failure_text, read_outputs
from airflow_provider_segmind.api.wire import Request, Response

CREDITS_PATH = "/v1/get-user-credits"
UPLOAD_PATH = "/upload-asset"
MAX_RETRY_AFTER = 600.0
"""Seconds: a longer wish is capped, so that a broken clock on either side cannot park a DAG for a day."""

_CREDIT_WORDS = re.compile(r"credit|spend|billing|balance|payment", re.IGNORECASE)


# -- credentials ---------------------------------------------------------------------------------------


def candidate_schemes(settings: Settings) -> tuple[str, ...]:
    """
    Return the authentication schemes to try, in order.

    The workflow's page documents Bearer, the official SDK sends ``x-api-key``; a 401 is never billed, so
    ``auto`` may try both.
    """
    return ("bearer", "x-api-key") if settings.auth_scheme == "auto" else (settings.auth_scheme,)


def headers(settings: Settings, request: Request) -> dict[str, str]:
    """Return the header fields of a request, with the key; only the clients call this, right before they send."""
    # A small answer that unpacks to gigabytes would end the triggerer, so none is asked for.
    fields = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if request.payload is not None:
        fields["Content-Type"] = "application/json"
    if request.scheme == "x-api-key":
        fields["x-api-key"] = settings.api_key
    else:
        fields["Authorization"] = f"Bearer {settings.api_key}"
    return fields


# -- requests ------------------------------------------------------------------------------------------


def submit_request(settings: Settings, workflow: str, inputs: Mapping[str, Any], scheme: str) -> Request:
    """Build the POST that orders a job. It bills when it is accepted."""
    return Request("POST", f"{settings.base_url}/workflows/{workflow}", scheme, dict(inputs))


def poll_request(settings: Settings, poll_url: str, scheme: str) -> Request:
    """Build the GET that asks for a job's state, for a URL that :func:`check_poll_url` has passed."""
    return Request("GET", poll_url, scheme)


def credits_request(settings: Settings, scheme: str) -> Request:
    """Build the GET that asks for the balance. It is free, so it also tests a connection."""
    return Request("GET", f"{settings.base_url}{CREDITS_PATH}", scheme)


def upload_request(settings: Settings, data_url: str, scheme: str) -> Request:
    """Build the POST that uploads one input file; uploads are not billed."""
    return Request("POST", f"{settings.storage_url}{UPLOAD_PATH}", scheme, {"data_urls": [data_url]})


def check_poll_url(settings: Settings, poll_url: object) -> str:
    """
    Return the poll URL if the key may be sent there.

    A poll URL comes out of XCom, where anybody who may write XComs can have put it.

    :raises InvalidRequestError: when it is empty, no URL, or on a host that may not receive the key.
    """
    url = poll_url.strip() if isinstance(poll_url, str) else ""
    if not url or url == "None":
        raise InvalidRequestError(
            f"poll_url is empty ({_shown(poll_url)}): pass the submitting task's XCom, for example "
            "submit.output['poll_url']; the DAG's author must connect the two tasks."
        )
    if not _is_url(url):
        raise InvalidRequestError(
            f"poll_url {_shown(url)} is not a URL as Segmind returns it: pass the submitting task's XCom 'poll_url'."
        )
    if not settings.may_receive_key(url):
        raise InvalidRequestError(
            f"poll_url {url!r} is not on the connection's host {settings.base_url}, so the API key is not sent "
            "there. If Segmind really returned it, whoever manages the connection adds its host to trusted_hosts."
        )
    return url


# -- answers -------------------------------------------------------------------------------------------


def read_submit(settings: Settings, response: Response, workflow: str) -> Job:
    """
    Read the answer to a submit.

    :raises OutcomeUnknownError: when the job may have been accepted and billed but cannot be followed.
    :raises SegmindError: any of the refusals; none of them was billed.
    """
    if response.status >= 500 or response.status == 408:
        raise OutcomeUnknownError(
            "Segmind failed after the order was sent, so it may have been accepted and billed. "
            "It is not sent again; look for it in your Segmind request history first.",
            status=response.status,
            detail=detail_of(settings, response),
        )
    if response.status >= 300:
        raise refusal(settings, response, f"Segmind refused the order for workflow {workflow!r}.")
    body = json_object(settings, response) or {}
    poll_url = _text(body.get("poll_url")).strip()
    request_id = answers.name(body.get("request_id"))
    if not _is_url(poll_url):
        raise OutcomeUnknownError(
            "Segmind accepted the order but its answer has no readable poll_url, so the job was probably billed "
            "and cannot be followed. It is not sent again; look for it in your Segmind request history first.",
            status=response.status,
            detail=detail_of(settings, response),
            request_id=request_id or None,
        )
    return Job(
        request_id=request_id or _id_in(poll_url),
        poll_url=poll_url,
        status=_status(body) or "QUEUED",
        workflow=workflow,
        submitted_at=response.at,
    )


def read_poll(settings: Settings, response: Response, poll_url: str) -> Job:
    """
    Read the answer to a poll.

    :raises JobExpiredError: when the service no longer knows the job.
    :raises AuthenticationError: when the service does not take the key.
    :raises RateLimitError: when it was asked too often.
    :raises ServiceError: when this is no answer about the job; it is worth asking again.
    """
    request_id = _id_in(poll_url)
    body = json_object(settings, response) or {}
    status = _status(body)
    if not status or not _is_of_the_job(response.status, status, body, request_id):
        raise _no_answer(settings, response, request_id)
    request_id = answers.name(body.get("request_id"), request_id)
    try:
        outputs = read_outputs(body.get("output"), settings.api_key) if status == "COMPLETED" else ()
    except ValueError as error:
        raise ServiceError(
            f"The job is COMPLETED, but its output cannot be read: {redact(settings, str(error))}.",
            status=response.status,
            detail=detail_of(settings, response),
            request_id=request_id,
        ) from None
    error_text = redact(settings, failure_text(body)) if status == "FAILED" else ""
    return Job(request_id, poll_url, status, outputs=outputs, error=error_text)


def _is_of_the_job(code: int, status: str, body: Mapping[str, Any], request_id: str) -> bool:
    """
    Whether an answer with a status speaks of the job, and not of something between here and the job.

    Segmind documents 200, and sends the end of some jobs as 422. With any other 4xx it must name the job, since the
    end of a job is believed at once and may be paid for a second time. A 5xx never does: it says that the service, or
    a proxy before it, failed to answer.
    """
    if 200 <= code < 300:
        return True
    if status not in TERMINAL or not 400 <= code < 500:
        return False
    return code == 422 or (code not in _OF_THE_REQUEST and answers.name(body.get("request_id")) == request_id)


_OF_THE_REQUEST = frozenset({401, 403, 404, 408, 425, 429})
"""These say something of the one request, and nothing of the job."""


def _no_answer(settings: Settings, response: Response, request_id: str) -> SegmindError:
    """
    Return the error for an answer to a poll that says nothing about the job.

    Only the service itself can say that the key is wrong or the job unknown, and it does so in JSON or in plain words.
    Everything else, whatever its code, may come from a proxy or a firewall and pass: the job is paid for, so it is
    asked for again.
    """
    status, page = response.status, answers.is_page(response)
    if status == 404 and not page:
        return JobExpiredError(
            "Segmind no longer knows this job: its record expired, or poll_url is not of this account. If it was "
            "accepted it was billed, and its result cannot be asked for any more.",
            status=404,
            detail=detail_of(settings, response),
            request_id=request_id,
        )
    refused = (status == 401 and not page) or (status == 403 and json_object(settings, response) is not None)
    if refused or status == 429:
        return refusal(settings, response, "Segmind did not answer the poll.", request_id=request_id)
    return ServiceError(
        "The answer to the poll says nothing about the job: a proxy or a firewall may have given it. If it lasts, "
        "check the connection's host and proxies, and poll_url.",
        status=status,
        detail=detail_of(settings, response),
        request_id=request_id,
    )


def read_credits(settings: Settings, response: Response) -> float:
    """
    Read the balance in US dollars, credits and free credits together.

    A 404 with a JSON error means a valid key without a balance (Segmind's documentation), so 0.
    """
    body = json_object(settings, response)
    if response.status == 404 and body is not None and "credits" in _error_text(body).lower():
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
    """Read the URL of an uploaded file; the SDK knows it as ``file_urls``, the documentation as ``urls``."""
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


def refusal(settings: Settings, response: Response, message: str, *, request_id: str | None = None) -> SegmindError:
    """
    Sort an answer that is not a success by who must act (Segmind's table of error codes).

    :param message: what was attempted, as a sentence.
    :return: the error to raise; its text names the remedy.
    """
    status = response.status
    detail = detail_of(settings, response)

    def made(cls: type[SegmindError], remedy: str) -> SegmindError:
        return cls(f"{message} {remedy}", status=status, detail=detail, request_id=request_id)

    if status in (401, 403) and answers.is_page(response):
        return made(
            AuthenticationError,
            "A web page came instead of an answer: a firewall or a proxy refused it. Check the connection's host and "
            "proxies, and whether this network may reach Segmind.",
        )
    if status == 401:
        tried = " and ".join(candidate_schemes(settings))
        return made(
            AuthenticationError,
            f"The API key is missing or wrong (sent as {tried}): whoever manages the connection must check it.",
        )
    if status == 403:
        return made(AuthenticationError, "The API key may not do this: whoever manages the account must allow it.")
    if status == 429:
        return RateLimitError(
            f"{message} Too many requests: nothing was billed, it can go out again later.",
            detail=detail,
            request_id=request_id,
            retry_after=retry_after(response),
        )
    if status == 406 and _CREDIT_WORDS.search(detail):
        return made(CreditsError, "The account cannot pay for it: add credits or raise the spend limit.")
    if status in (408, 425) or status >= 500 or 200 <= status < 300:
        return made(ServiceError, "The service failed or its answer cannot be read; it may work later.")
    if 300 <= status < 400:
        return made(
            InvalidRequestError,
            "It answered with a redirect, which is never followed with a key: check the connection's host.",
        )
    return made(InvalidRequestError, _INVALID.get(status, "The request was refused: check its inputs."))


_INVALID = {
    404: "There is no such workflow: check the workflow's id and version.",
    405: "This address does not take that kind of request: check the connection's host.",
}


def retry_after(response: Response) -> float | None:
    """
    Return how many seconds the service asks to wait, or ``None`` if it does not say.

    Reads ``Retry-After`` in both forms of RFC 9110 §10.2.3, then ``x-rate-limit-reset-at-utc``, whose format is
    not documented: seconds or milliseconds since the epoch, an ISO 8601 time, or an HTTP date.
    """
    header = response.headers.get("retry-after", "").strip()
    if header:
        seconds = _number(header)
        if seconds is None:
            moment = moment_of(header)
            seconds = None if moment is None else moment - response.at
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
    moment = moment_of(response.headers.get("x-rate-limit-reset-at-utc", "").strip())
    return None if moment is None else min(max(moment - response.at, 0.0), MAX_RETRY_AFTER)


def moment_of(text: str) -> float | None:
    """Return seconds since the epoch for a time in any known form, or ``None``; without a zone it is UTC."""
    number = _number(text)
    if number is not None:
        return number / 1000 if number > 1e11 else number
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (ValueError, OverflowError):
            continue
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return None


# -- bodies --------------------------------------------------------------------------------------------


def json_value(settings: Settings, response: Response) -> Any:
    """Return the body as a JSON value, or ``None`` if it is none."""
    try:
        return answers.read_json(response.body, settings.api_key)
    except ValueError:
        return None


def json_object(settings: Settings, response: Response) -> dict[str, Any] | None:
    """Return the body as a JSON object, or ``None`` if it is anything else."""
    body = json_value(settings, response)
    return body if isinstance(body, dict) else None


def detail_of(settings: Settings, response: Response) -> str:
    """Return the service's own words: one line, shortened, without tags and without the key."""
    text = _error_text(json_object(settings, response) or {})
    return redact(settings, text) if text else answers.words_of(response, settings.api_key)


def redact(settings: Settings, text: str) -> str:
    """Return the text in one line of bounded length without the key, should the service have echoed it."""
    return answers.line(answers.hidden(text, settings.api_key), answers.MAX_WORDS)


def host_of(url: str) -> str:
    """Return the host of a URL, for messages."""
    return urlsplit(url).netloc


def _error_text(body: Mapping[str, Any]) -> str:
    return failure_text(body) or _text(body.get("message")) or _text(body.get("detail"))


def _status(body: Mapping[str, Any]) -> str:
    return answers.name(_text(body.get("status"))).upper()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_url(text: str) -> bool:
    return len(text) <= answers.MAX_URL and parse_url(text) is not None


def _id_in(poll_url: str) -> str:
    return answers.line(poll_url.rstrip("/").rpartition("/")[2])


def _shown(value: object) -> str:
    """Return a value of an XCom as it looks in Python, at most a line of it."""
    return answers.line(repr(value))


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII) else None
