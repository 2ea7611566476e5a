"""What an unsuccessful answer means: the service's words, who must act, and how long to wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    CreditsError,
    InvalidRequestError,
    JobExpiredError,
    RateLimitError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.results import failure_text
from airflow_provider_segmind.api.wire import Response

MAX_RETRY_AFTER = 600.0
"""Longest wait in seconds, so that a broken clock on either side cannot stop a DAG for a day."""

_CREDIT_WORDS = re.compile(r"credit|spend|billing|balance|payment", re.IGNORECASE)


def candidate_schemes(settings: Settings) -> tuple[str, ...]:
    """
    Return the authentication schemes to try, in order.

    The workflow's page documents Bearer, the SDK sends ``x-api-key``. A 401 is never billed, so ``auto`` may try both.
    """
    return ("bearer", "x-api-key") if settings.auth_scheme == "auto" else (settings.auth_scheme,)


def refusal(settings: Settings, response: Response, message: str, *, request_id: str | None = None) -> SegmindError:
    """
    Return the error for an unsuccessful answer, by who must act (Segmind's table of error codes).

    :param message: what was attempted, as a sentence.
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
            f"The API key is missing or wrong (sent as {tried}). Check the key in the connection.",
        )
    if status == 403:
        return made(
            AuthenticationError, "The API key may not do this. Ask the owner of the Segmind account to allow it."
        )
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


def _is_of_a_request(words: str, request_id: str) -> bool:
    """Whether a 404 is about the request, as Segmind's is; a gateway's 404 is about the path, which has the id, too."""
    words, own = words[: answers.MAX_WORDS], re.escape(request_id)
    known = rf"(?<![\w/-]){own}(?![\w/-])|\brequest(?: id)?(?: {own})? (?:was |is )?not found\b"
    return re.search(known, words, re.IGNORECASE) is not None


def retry_after(response: Response) -> float | None:
    """
    Return the seconds that the service asks to wait; ``None`` if it does not say.

    Reads ``Retry-After`` (both forms of RFC 9110 §10.2.3), then ``x-rate-limit-reset-at-utc``, whose format is
    undocumented: seconds or milliseconds since the epoch, an ISO 8601 time, or an HTTP date.
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
    """Return a time in any known form as seconds since the epoch; UTC without a zone; ``None`` if unreadable."""
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


def no_answer(settings: Settings, response: Response, body: Mapping[str, Any] | None, request_id: str) -> SegmindError:
    """
    Return the error for an answer to a poll that says nothing about the job.

    Only the service itself, in JSON or in plain words, can say that the key is wrong or the job unknown. Any other
    answer may come from a proxy or a firewall and be temporary. The job is paid for, so it is polled again.

    :param body: the answer's JSON object; ``None`` if it is anything else.
    """
    status, page = response.status, answers.is_page(response)
    if status == 404 and _is_of_a_request(error_text(body or {}), request_id):
        return JobExpiredError(
            "Segmind no longer knows this job: its record expired, or poll_url is not of this account. If it was "
            "accepted it was billed, and its result cannot be asked for any more. Look for the picture in your Segmind "
            "request history, and start the sensor sooner next time.",
            status=404,
            detail=_detail(settings, response, body),
            request_id=request_id,
        )
    refused = (status == 401 and not page) or (status == 403 and body is not None)
    if refused or status == 429:
        return refusal(settings, response, "Segmind did not answer the poll.", request_id=request_id)
    return ServiceError(
        "The answer to the poll says nothing about the job: a proxy or a firewall may have given it. If it lasts, "
        "check the connection's host and proxies, and poll_url.",
        status=status,
        detail=_detail(settings, response, body),
        request_id=request_id,
    )


def json_value(settings: Settings, response: Response, *, most: int = answers.MAX_PARTS) -> Any:
    """Return the body as a JSON value; ``None`` if it is not JSON, or has more than ``most`` values."""
    try:
        return answers.read_json(response.body, settings.api_key, most=most)
    except ValueError:
        return None


def json_object(settings: Settings, response: Response) -> dict[str, Any] | None:
    """Return the body as a JSON object; ``None`` if it is anything else."""
    body = json_value(settings, response)
    return body if isinstance(body, dict) else None


def detail_of(settings: Settings, response: Response) -> str:
    """Return the service's words: one line, shortened, without tags and without the key."""
    return _detail(settings, response, json_object(settings, response))


def _detail(settings: Settings, response: Response, body: Mapping[str, Any] | None) -> str:
    text = error_text(body or {})
    return redact(settings, text) if text else answers.words_of(response, settings.api_key)


def redact(settings: Settings, text: str) -> str:
    """Return a text as one line of limited length without the key, which the service may echo."""
    return answers.line(answers.hidden(text, settings.api_key), answers.MAX_WORDS)


def error_text(body: Mapping[str, Any]) -> str:
    """Return the service's words about the error, from every field that it uses."""
    return failure_text(body) or text_of(body.get("message")) or text_of(body.get("detail"))


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII) else None


def text_of(value: object) -> str:
    """Return the value if it is a text, else an empty text."""
    return value if isinstance(value, str) else ""
