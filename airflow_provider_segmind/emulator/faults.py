"""Scripted faults: which request fails, and how. Pure: no socket, no clock."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from airflow_provider_segmind.emulator import answers
from airflow_provider_segmind.emulator.answers import Answer, RateLimitHeaders

Endpoint = Literal["submit", "poll", "credits", "upload", "history", "file"]
FailureShape = Literal["error", "error-message", "error-list", "empty"]

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Failure:
    """How a FAILED job reports its reason, with the poll's HTTP status 200 or 422."""

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
        only = KINDS[self.kind].only
        if only == "poll" and self.on == "submit":
            object.__setattr__(self, "on", "poll")
        elif only not in (None, self.on):
            raise ValueError(f"{self.kind!r} can only happen to a {only}, not to {self.on!r}")
        if self.times is not None and not (isinstance(self.times, int) and self.times >= 1):
            raise ValueError(f"times must be 1 or more, or none for ever, not {self.times!r}; else leave out the fault")
        if self.kind == "will-fail" and self.body not in (None, *get_args(FailureShape)):
            raise ValueError(f"will-fail takes as body one of: {', '.join(get_args(FailureShape))}")
        if self.kind == "429" and self.body not in (None, *get_args(RateLimitHeaders)):
            raise ValueError(f"429 takes as body one of: {', '.join(get_args(RateLimitHeaders))}")

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
        billed = KINDS[self.kind].billed
        return billed == "yes" or (billed == "with 200" and (self.status or 200) == 200)

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
        """Return what to send instead of the good answer, if there is one; None if this kind changes only the job."""
        if self.kind == "429":
            return answers.rate_limited(self.body or rate_limit_headers, self.seconds or 1.0, now)
        return KINDS[self.kind].answer(self, good or Answer(self.status or 200))


def _or(given: Any, default: Any) -> Any:
    return default if given is None else given


def _raw(fault: Fault, _: Answer) -> Answer:
    if isinstance(fault.body, bytes):
        return Answer(fault.status or 200, fault.body, "application/octet-stream")
    if isinstance(fault.body, str | None):
        return Answer(fault.status or 200, (fault.body or "").encode())
    return Answer(fault.status or 200, json.dumps(fault.body).encode())


def _huge(fault: Fault, good: Answer) -> Answer:
    filler = b" " * (int(fault.body or 64) * MEBIBYTE)
    return replace(good, status=fault.status or good.status, body=good.body + filler)


def _without_poll_url(good: Answer) -> Answer:
    data = {name: value for name, value in json.loads(good.body).items() if name != "poll_url"}
    return replace(good, body=json.dumps(data).encode())


def _with_poll_url(good: Answer, url: str) -> Answer:
    return replace(good, body=json.dumps({**json.loads(good.body), "poll_url": url}).encode())


def _poll_says(fault: Fault, status: str, output: Any) -> Answer:
    return answers.as_json({"output": output, "status": status}, fault.status or 200)


@dataclass(frozen=True)
class _Kind:
    """A kind of fault: the answer to send, given the good one, and what the service has done before."""

    answer: Callable[[Fault, Answer], Answer | None]
    billed: Literal["no", "yes", "with 200"] = "no"
    only: Endpoint | None = None


def _always(answer: Answer, billed: Literal["no", "yes"] = "no") -> _Kind:
    return _Kind(lambda _fault, _good: answer, billed)


def _only_the_job(_fault: Fault, _good: Answer) -> None:
    """Return no answer of its own, since this kind changes only the job."""


_FOREIGN_URL = "https://poll.example.net/workflows/request/4f7471d8ac431cffe0468dc487b5d354"
_REDIRECT_URL = "https://elsewhere.example.net/"
_SERVER_ERROR = answers.error(500, "Internal server error")
_BAD_GATEWAY = answers.html(502, "502 Bad Gateway")

KINDS: dict[str, _Kind] = {
    "400": _always(answers.error(400, "Bad Request: invalid parameters or format")),
    "400-text": _always(answers.WRONG_PATH),
    "401": _always(answers.UNAUTHORIZED),
    "403": _always(answers.error(403, "Forbidden: insufficient permissions")),
    "404": _always(answers.NO_WORKFLOW),
    "405-html": _always(answers.WRONG_METHOD),
    "406-credits": _always(answers.NO_CREDITS),
    "406-spend-limit": _always(answers.error(406, "Team member's spend limit exceeded")),
    "406-content-type": _always(answers.NOT_JSON_TYPE),
    "406-parameter": _always(answers.error(406, "Invalid value for parameter 'select_character'")),
    "429": _Kind(_only_the_job),  # made by `Fault.answer`, which knows the time
    "500": _always(_SERVER_ERROR),
    "502-html": _always(_BAD_GATEWAY),
    "504-html": _always(answers.html(504, "504 Gateway Time-out")),
    "500-after": _always(_SERVER_ERROR, "yes"),
    "502-after": _always(_BAD_GATEWAY, "yes"),
    "drop-before": _always(Answer(0, delivery="close")),
    "drop-after": _always(Answer(0, delivery="reset"), "yes"),
    "hang-after": _Kind(lambda fault, good: replace(good, delay=_or(fault.seconds, 30.0)), "yes"),
    "slow-drip": _Kind(lambda fault, good: replace(good, delivery="drip", drip=_or(fault.seconds, 5.0)), "yes"),
    "truncated": _Kind(lambda _, good: replace(good, delivery="truncated"), "yes"),
    "no-poll-url": _Kind(lambda _, good: _without_poll_url(good), "yes", "submit"),
    "foreign-poll-url": _Kind(lambda fault, good: _with_poll_url(good, fault.body or _FOREIGN_URL), "yes", "submit"),
    "will-fail": _Kind(_only_the_job, "yes", "submit"),
    "redirect": _Kind(
        lambda fault, _: Answer(fault.status or 307, b"", "", (("Location", fault.body or _REDIRECT_URL),))
    ),
    "html": _Kind(lambda fault, _: answers.html(fault.status or 200, fault.body or "Just a moment..."), "with 200"),
    "not-json": _Kind(
        lambda fault, _: Answer(fault.status or 200, str(fault.body or "upstream said: {oops").encode()), "with 200"
    ),
    "empty": _Kind(lambda fault, _: Answer(fault.status or 200), "with 200"),
    "huge": _Kind(_huge, "with 200"),
    "raw": _Kind(_raw, "with 200"),
    "status": _Kind(lambda fault, _: _poll_says(fault, fault.body or "PAUSED", ""), only="poll"),
    "expired": _Kind(_only_the_job, only="poll"),
    **{f"failed-{shape}": _Kind(_only_the_job, only="poll") for shape in get_args(FailureShape)},
    "completed-bad-output": _Kind(
        lambda fault, _: _poll_says(fault, "COMPLETED", _or(fault.body, "[{oops")), only="poll"
    ),
    "completed-empty-output": _Kind(lambda fault, _: _poll_says(fault, "COMPLETED", "[]"), only="poll"),
}


EXPLAINED: dict[str, str] = {
    "400, 400-text, 401, 403, 404, 405-html": "That refusal, in the service's words.",
    "406-credits, 406-spend-limit, 406-content-type, 406-parameter": "The four meanings of a 406.",
    "429": "Too many requests. ``seconds``, and as ``body`` the form of the header.",
    "500, 502-html, 504-html": "The service fails without having taken the order.",
    "500-after, 502-after": "It fails after it took the order.",
    "drop-before": "The connection is closed before anything is done.",
    "drop-after": "The connection is reset after the order was taken.",
    "hang-after, slow-drip": "The answer comes late (``seconds``), or drop by drop.",
    "truncated": "The answer breaks off.",
    "no-poll-url, foreign-poll-url": (
        "The answer to a submit without a poll URL, or with one on another host (``body``)."
    ),
    "html, not-json, empty, huge, raw": (
        "A body that is no JSON, nothing, 64 MiB (``body``: MiB), or ``body`` as given."
    ),
    "redirect": "To ``body``, 307 unless ``status`` says otherwise.",
    "status": "A poll with an unknown status (``body``).",
    "expired": "Polls answer 404 from now on.",
    "failed-error, failed-error-message, failed-error-list, failed-empty": (
        "The job ends FAILED, with its reason in one of four places; ``status`` 200 or 422."
    ),
    "will-fail": "The same, decided at the submit; ``body``: ``error``, ``error-message``, ``error-list``, ``empty``.",
    "completed-bad-output, completed-empty-output": (
        "A poll answers COMPLETED with an output that cannot be read, or without one."
    ),
}
"""What happens, by the kinds that it is true of."""


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
