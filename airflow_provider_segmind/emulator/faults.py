"""Scripted faults: which request fails, and how. Pure: no socket, no clock."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from airflow_provider_segmind.emulator import answers
from airflow_provider_segmind.emulator.answers import RATE_LIMIT_HEADERS, Answer, RateLimitHeaders

Endpoint = Literal["submit", "poll", "credits", "upload", "history", "file"]
FailureShape = Literal["error", "error-message", "error-list", "empty"]

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Failure:
    """
    How a FAILED job reports its reason.

    :param shape: Where the reason stands: ``error`` (a string), ``error-message`` (an object), ``error-list`` (a list
        of objects) or ``empty`` (nowhere).
    :param status: HTTP status of the poll, 200 or 422.
    """

    shape: FailureShape = "error"
    status: int = 200
    text: str = "No person was found in the image"

    def body(self) -> dict[str, Any]:
        """Return the poll's JSON body."""
        reasons: dict[FailureShape, dict[str, Any]] = {
            "error": {"error": self.text},
            "error-message": {"error_message": {"message": self.text, "code": "node_failed"}},
            "error-list": {"error_message": [{"model": "body-swap", "error": self.text}]},
            "empty": {},
        }
        return {"output": "", "status": "FAILED", **reasons[self.shape]}


@dataclass(frozen=True)
class Fault:
    """
    One fault that happens a number of times.

    It hits only requests that would otherwise succeed: with a valid key and within the rate limit.

    :param kind: What goes wrong, one of `KINDS`.
    :param on: The kind of request: ``submit``, ``poll``, ``credits``, ``upload``, ``history`` or ``file``. Kinds that
        only fit a poll may omit it.
    :param times: How many times it happens; None: for ever.
    :param after: How many matching requests succeed first.
    :param request_id: Only polls of this job match.
    :param seconds: The wait of ``hang-after`` (30 by default), ``slow-drip`` (5) and ``429`` (1).
    :param body: For ``raw``, ``not-json``, ``html``, ``status``, ``completed-bad-output`` the text; for ``redirect``
        and ``foreign-poll-url`` the URL; for ``429`` the form of its header; for ``will-fail`` the shape of the error;
        for ``failed-…`` the reason; for ``huge`` the size in MiB.
    :param status: HTTP status, for kinds without a fixed one.
    :raises ValueError: If the kind, the endpoint or their combination is unknown.
    """

    kind: str
    on: Endpoint = "submit"
    times: int | None = 1
    after: int = 0
    request_id: str | None = None
    seconds: float | None = None
    body: Any = None
    status: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known are: {', '.join(KINDS)}")
        if self.on not in get_args(Endpoint):
            raise ValueError(f"unknown endpoint {self.on!r}; known are: {', '.join(get_args(Endpoint))}")
        if self.kind in POLL_KINDS and self.on == "submit":
            object.__setattr__(self, "on", "poll")
        if self.kind in POLL_KINDS and self.on != "poll":
            raise ValueError(f"{self.kind!r} can only happen to a poll, not to {self.on!r}")
        if self.kind in SUBMIT_KINDS and self.on != "submit":
            raise ValueError(f"{self.kind!r} can only happen to a submit, not to {self.on!r}")
        if self.kind == "will-fail" and self.body not in (None, *get_args(FailureShape)):
            raise ValueError(f"will-fail takes as body one of: {', '.join(get_args(FailureShape))}")
        if self.kind == "429" and self.body not in (None, *RATE_LIMIT_HEADERS):
            raise ValueError(f"429 takes as body one of: {', '.join(RATE_LIMIT_HEADERS)}")

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Fault:
        """
        Build a fault from JSON.

        :param data: The fields by name.
        :raises ValueError: If a field is unknown or ``kind`` is missing.
        """
        unknown = set(data) - {field.name for field in dataclasses.fields(cls)}
        if unknown or "kind" not in data:
            raise ValueError(f"a fault needs a kind, and has no {sorted(unknown)}")
        return cls(**data)

    @property
    def is_after_acceptance(self) -> bool:
        """Whether the request is carried out (a submit: accepted and billed) although its answer fails."""
        # Only an HTTP 200 is billed, so a garbled answer means a bill exactly if its status is 200.
        return self.kind in AFTER_KINDS or (self.kind in OPEN_KINDS and (self.status or 200) == 200)

    @property
    def failure(self) -> Failure | None:
        """The failure of the job, for kinds that make it end FAILED."""
        if self.kind == "will-fail":
            return Failure(self.body or "error", self.status or 200)
        if not self.kind.startswith("failed-"):
            return None
        shape = cast("FailureShape", self.kind.removeprefix("failed-"))
        return Failure(shape, self.status or 200, self.body or Failure.text)

    def answer(self, good: Answer | None, rate_limit_headers: RateLimitHeaders, now: float) -> Answer | None:
        """
        Return the answer to send instead; None if this kind changes only the job.

        :param good: The regular answer; None if the request was not carried out.
        :param rate_limit_headers: Default form of a 429.
        :param now: Seconds since the epoch.
        """
        if self.kind == "429":
            return answers.rate_limited(self.body or rate_limit_headers, self.seconds or 1.0, now)
        if self.kind in _FIXED:
            return _FIXED[self.kind]
        make = _MADE.get(self.kind)
        return make(self, good or Answer(self.status or 200)) if make else None


def _raw(fault: Fault, _: Answer) -> Answer:
    if isinstance(fault.body, bytes):
        return Answer(fault.status or 200, fault.body, "application/octet-stream")
    if isinstance(fault.body, str | None):
        return Answer(fault.status or 200, (fault.body or "").encode())
    return Answer(fault.status or 200, json.dumps(fault.body).encode())


def _without(good: Answer, key: str) -> bytes:
    data = json.loads(good.body)
    data.pop(key, None)
    return json.dumps(data).encode()


def _with(good: Answer, **fields: Any) -> bytes:
    return json.dumps({**json.loads(good.body), **fields}).encode()


def _huge(fault: Fault, good: Answer) -> Answer:
    filler = b" " * (int(fault.body or 64) * MEBIBYTE)
    return dataclasses.replace(good, status=fault.status or good.status, body=good.body + filler)


def _html(fault: Fault, _: Answer) -> Answer:
    return answers.html(fault.status or 200, fault.body or "Just a moment...")


def _not_json(fault: Fault, _: Answer) -> Answer:
    return Answer(fault.status or 200, str(fault.body or "upstream said: {oops").encode())


def _odd_status(fault: Fault, _: Answer) -> Answer:
    return answers.as_json({"output": "", "status": fault.body or "PAUSED"}, fault.status or 200)


def _completed(fault: Fault, output: Any) -> Answer:
    return answers.as_json({"output": output, "status": "COMPLETED"}, fault.status or 200)


_FOREIGN_URL = "https://poll.example.net/workflows/request/4f7471d8ac431cffe0468dc487b5d354"
_REDIRECT_URL = "https://elsewhere.example.net/"

_FIXED: dict[str, Answer] = {
    "400": answers.error(400, "Bad Request: invalid parameters or format"),
    "400-text": answers.WRONG_PATH,
    "401": answers.UNAUTHORIZED,
    "403": answers.error(403, "Forbidden: insufficient permissions"),
    "404": answers.NO_WORKFLOW,
    "405-html": answers.WRONG_METHOD,
    "406-credits": answers.NO_CREDITS,
    "406-spend-limit": answers.error(406, "Team member's spend limit exceeded"),
    "406-content-type": answers.NOT_JSON_TYPE,
    "406-parameter": answers.error(406, "Invalid value for parameter 'select_character'"),
    "500": answers.error(500, "Internal server error"),
    "502-html": answers.html(502, "502 Bad Gateway"),
    "504-html": answers.html(504, "504 Gateway Time-out"),
    "500-after": answers.error(500, "Internal server error"),
    "502-after": answers.html(502, "502 Bad Gateway"),
    "drop-before": Answer(0, delivery="close"),
    "drop-after": Answer(0, delivery="reset"),
}

_MADE: dict[str, Callable[[Fault, Answer], Answer]] = {
    "hang-after": lambda fault, good: dataclasses.replace(good, delay=30.0 if fault.seconds is None else fault.seconds),
    "truncated": lambda _, good: dataclasses.replace(good, delivery="truncated"),
    "slow-drip": lambda fault, good: dataclasses.replace(
        good, delivery="drip", drip=5.0 if fault.seconds is None else fault.seconds
    ),
    "no-poll-url": lambda _, good: dataclasses.replace(good, body=_without(good, "poll_url")),
    "foreign-poll-url": lambda fault, good: dataclasses.replace(
        good, body=_with(good, poll_url=fault.body or _FOREIGN_URL)
    ),
    "redirect": lambda fault, _: Answer(
        fault.status or 307, b"", "", headers=(("Location", fault.body or _REDIRECT_URL),)
    ),
    "html": _html,
    "not-json": _not_json,
    "empty": lambda fault, _: Answer(fault.status or 200, b""),
    "huge": _huge,
    "raw": _raw,
    "status": _odd_status,
    "completed-bad-output": lambda fault, _: _completed(fault, "[{oops" if fault.body is None else fault.body),
    "completed-empty-output": lambda fault, _: _completed(fault, "[]"),
}

POLL_KINDS = (
    "status",
    "expired",
    "failed-error",
    "failed-error-message",
    "failed-error-list",
    "failed-empty",
    "completed-bad-output",
    "completed-empty-output",
)
SUBMIT_KINDS = ("no-poll-url", "foreign-poll-url", "will-fail")
AFTER_KINDS = (
    "drop-after",
    "hang-after",
    "500-after",
    "502-after",
    "truncated",
    "slow-drip",
    "no-poll-url",
    "foreign-poll-url",
    "will-fail",
)
OPEN_KINDS = ("html", "not-json", "empty", "huge", "raw")
KINDS = tuple(dict.fromkeys([*_FIXED, "429", *_MADE, *POLL_KINDS, *SUBMIT_KINDS]))


@dataclass
class _Armed:
    fault: Fault
    fired: int = 0
    passed: int = 0

    @property
    def is_spent(self) -> bool:
        return self.fault.times is not None and self.fired >= self.fault.times


class FaultQueue:
    """The pending faults, in scripted order."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def add(self, *faults: Fault) -> None:
        """Append faults to the queue."""
        self._armed += [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all faults."""
        self._armed.clear()

    def pending(self) -> tuple[Fault, ...]:
        """Return the faults that must still happen."""
        return tuple(armed.fault for armed in self._armed)

    def take(self, on: Endpoint, request_id: str | None = None) -> Fault | None:
        """Return the fault that hits this request; None if the request succeeds."""
        if not self._armed:
            return None
        matching = [
            armed for armed in self._armed if armed.fault.on == on and armed.fault.request_id in (None, request_id)
        ]
        for armed in matching:
            if armed.passed >= armed.fault.after:
                armed.fired += 1
                self._armed = [other for other in self._armed if not other.is_spent]
                return armed.fault
        for armed in matching:
            armed.passed += 1
        return None
