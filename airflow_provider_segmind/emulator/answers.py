"""Segmind's answers as plain values."""

from __future__ import annotations

import email.utils
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Delivery = Literal["whole", "close", "reset", "truncated", "drip"]
RateLimitHeaders = Literal["retry-after", "http-date", "reset", "reset-epoch", "none"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer before it is sent; without a media type, the header is left out."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = "whole"
    delay: float = 0.0
    """Seconds to wait before sending."""
    drip: float = 0.0
    """Seconds over which a ``drip`` delivery spreads its body."""


def as_json(data: Any, status: int = 200, **more: Any) -> Answer:
    """Return an answer with a JSON body; ``more``: other fields of `Answer`."""
    return Answer(status, json.dumps(data, separators=(",", ":")).encode(), **more)


def error(status: int, text: str) -> Answer:
    """Return an answer with Segmind's usual error body."""
    return as_json({"error": text}, status)


def html(status: int, title: str) -> Answer:
    """Return an answer as a proxy in front of the API sends it."""
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return Answer(status, page.encode(), "text/html")


UNAUTHORIZED = error(401, "Missing Authorization or x-api-key in header")
WRONG_PATH = Answer(400, b"Incorrect or Missing host header", "text/plain")
WRONG_METHOD = html(405, "405 Not Allowed")
NO_WORKFLOW = error(404, "Workflow not found")
NO_CREDITS = error(406, "Insufficient credits. Please add credits to your account.")
NOT_JSON_TYPE = error(406, "Invalid content type")


def rate_limited(style: RateLimitHeaders, wait: float, now: float) -> Answer:
    """Return a 429 that gives the wait of so many seconds in one of the known header forms."""
    until = math.ceil(now + wait)
    forms: dict[RateLimitHeaders, tuple[tuple[str, str], ...]] = {
        "retry-after": (("Retry-After", str(max(1, math.ceil(wait)))),),
        "http-date": (("Retry-After", email.utils.formatdate(until, usegmt=True)),),
        "reset": (("x-rate-limit-reset-at-utc", f"{datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}"),),
        "reset-epoch": (("x-rate-limit-reset-at-utc", str(until)),),
        "none": (),
    }
    return as_json({"error": "Rate limit exceeded. Please try again later."}, 429, headers=forms[style])


def no_request(request_id: str) -> Answer:
    """Return the answer to a poll of an unknown or expired job."""
    return error(404, f"Request {request_id} not found")
