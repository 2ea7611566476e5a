"""Requests and answers as plain values, without any I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_BODY = 4 * 1024 * 1024
"""Most bytes of an answer that the clients read; real ones have a few hundred, more is not from the API."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    One HTTP request without credentials.

    :param url: absolute URL, already checked to be one that may receive the key.
    :param scheme: how to send the key, ``bearer`` or ``x-api-key``.
    """

    method: str
    url: str
    scheme: str
    payload: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def body(self) -> bytes | None:
        """The JSON body as bytes."""
        return None if self.payload is None else json.dumps(self.payload).encode()


@dataclass(frozen=True, slots=True)
class Response:
    """
    One HTTP answer.

    :param headers: header fields, to be found by lower-case names.
    :param body: the whole body, at most :data:`MAX_BODY` bytes.
    :param at: time of arrival in seconds since the epoch.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    at: float = 0.0


@dataclass(frozen=True)
class Failure:
    """
    No answer, or an incomplete one.

    :param sent: whether a part of the request may have left this machine; ``False`` only if certain.
    :param reason: what happened, without secrets.
    """

    sent: bool
    reason: str


Answer = Response | Failure


@dataclass(slots=True)
class Traffic:
    """
    Requests since the counts were last taken.

    :param polls: requests for a job's state.
    :param rate_limited: 429 answers to any request.
    """

    polls: int = 0
    rate_limited: int = 0

    def take(self) -> Traffic:
        """Return the counts and reset them."""
        taken = Traffic(self.polls, self.rate_limited)
        self.polls = self.rate_limited = 0
        return taken
