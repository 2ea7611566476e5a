"""
Decide what to send and when: generators that never send and never sleep.

A flow yields a :class:`Send` and is given the :class:`Response` or :class:`Failure`; it yields a :class:`Pause` and is
given nothing. Its return value is the result. One flow serves ``requests`` on a worker and ``aiohttp`` in a
triggerer, so the two cannot drift, and every rule about money is tested without a socket.
"""

from __future__ import annotations

import base64
import logging
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_segmind.api import protocol
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobTimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import RUNNING, Job, Settings
from airflow_provider_segmind.api.wire import Answer, Failure, Request, Response
from airflow_provider_segmind.api.workflows import check_inputs, check_workflow

log = logging.getLogger(__name__)

T = TypeVar("T")

TOLERATED_ERRORS = 5
"""Transient errors in a row that a poll survives; counted anew after each good answer."""

PATIENCE = 300.0
"""Seconds that a submit waits out 429s on the worker before it leaves the rest to the task's own retries."""


@dataclass(frozen=True)
class Send:
    """A request to send now; the flow goes on with its answer."""

    request: Request


@dataclass(frozen=True)
class Pause:
    """Seconds to wait before the flow goes on; ``reason`` is worth a line in the log."""

    seconds: float
    reason: str = ""

    def log(self) -> None:
        """Say in the log why, if there is a reason; a pending job is none."""
        if self.reason:
            log.warning("Segmind: %s", self.reason)


Flow = Generator[Send | Pause, Answer | None, T]


@dataclass
class Auth:
    """
    Which authentication scheme worked; one object for all flows that share a key.

    :param known: the scheme that was last accepted, if any.
    """

    known: str | None = None

    def order(self, settings: Settings) -> tuple[str, ...]:
        """Return the schemes to try: only the one that worked, once there is one."""
        candidates = protocol.candidate_schemes(settings)
        return (self.known,) if self.known in candidates else candidates


@dataclass(frozen=True)
class Pace:
    """
    How errors are waited out.

    :param first: seconds before the second try.
    :param limit: seconds that a single pause never exceeds.
    :param jitter: source of random numbers in [0, 1).
    """

    first: float = 1.0
    limit: float = 30.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def backoff(self, errors: int) -> float:
        """Return the seconds to pause after so many errors in a row: doubling, with jitter of a quarter."""
        return float(min(self.first * 2 ** min(errors - 1, 16), self.limit) * (0.75 + 0.5 * self.jitter()))

    def after_429(self, error: RateLimitError, hits: int) -> float:
        """Return the seconds to pause after a 429: what the service asks for, else a backoff of its own."""
        if error.retry_after is None:
            return self.backoff(hits + 2)
        return error.retry_after + self.jitter()


def exchange(settings: Settings, auth: Auth, build: Callable[[str], Request]) -> Flow[Answer]:
    """
    Send one request, and on a 401 once more with the other authentication scheme if that is allowed.

    A 401 is never billed (Segmind's clients agree on it), so this is the one repetition that a submit may have
    besides those of :func:`submit`.
    """
    answer: Answer = Failure(sent=False, reason="nothing to send")
    for scheme in auth.order(settings):
        received = yield Send(build(scheme))
        answer = received if received is not None else answer
        if isinstance(answer, Response) and answer.status == 401:
            auth.known = None
            continue
        if isinstance(answer, Response) and answer.status < 400:
            auth.known = scheme
        break
    return answer


def submit(
    settings: Settings, auth: Auth, workflow: str, inputs: Mapping[str, Any], *, pace: Pace = Pace()
) -> Flow[Job]:
    """
    Order a job: one POST that can bill.

    It goes out again only when it provably was not accepted: the connection was never made, or 429.

    :raises OutcomeUnknownError: when it was sent and the answer never came, or cannot be read.
    :raises SegmindError: when it was refused; nothing was billed.
    """
    workflow = check_workflow(workflow)
    inputs = check_inputs(workflow, inputs, base_url=settings.base_url)
    patience = _Patience(pace, TOLERATED_ERRORS)
    waited = 0.0
    while True:
        answer = yield from exchange(
            settings, auth, lambda scheme: protocol.submit_request(settings, workflow, inputs, scheme)
        )
        try:
            return protocol.read_submit(settings, _received(answer, settings, bills=True), workflow)
        except (RateLimitError, TransportError) as error:
            pause = patience.pause_after(error)
            waited += pause.seconds
            if waited > PATIENCE:
                raise
            yield Pause(pause.seconds, f"not accepted, not billed; {pause.reason}")


def get_job(
    settings: Settings, auth: Auth, poll_url: str, *, pace: Pace = Pace(), tolerated: int | None = 0
) -> Flow[Job]:
    """
    Ask for a job's state: one GET, or more if transient errors are tolerated.

    :param tolerated: how many transient errors in a row; ``None`` for any number. A 429 is never among them: how
        long to wait is for the caller to decide.
    :raises SegmindError: when the job cannot be asked for.
    """
    poll_url = protocol.check_poll_url(settings, poll_url)
    patience = _Patience(pace, tolerated)
    while True:
        try:
            return (yield from ask(settings, auth, poll_url))
        except (ServiceError, TransportError) as error:
            yield patience.pause_after(error)


def wait(
    settings: Settings,
    auth: Auth,
    poll_url: str,
    *,
    deadline: float,
    clock: Callable[[], float],
    poll_interval: float = 7.0,
    pace: Pace = Pace(),
    tolerated: int | None = TOLERATED_ERRORS,
) -> Flow[Job]:
    """
    Ask for a job's state until it is done, and once more at the deadline before giving up.

    An unknown status keeps waiting; a 429 is a pace, not an error.

    :param deadline: seconds since the epoch, so that it survives a restart of whoever waits.
    :param clock: tells seconds since the epoch.
    :param poll_interval: seconds between polls; 7 is what Segmind documents.
    :param tolerated: how many transient errors in a row are survived; ``None`` for any number.
    :return: the job, ``COMPLETED`` or ``FAILED``.
    :raises JobTimeoutError: when it is still not done at the deadline.
    :raises SegmindError: when the job cannot be asked for any more.
    """
    poll_url = protocol.check_poll_url(settings, poll_url)
    check_interval("poll_interval", poll_interval)
    watch = Watch(poll_url, deadline, pace=pace, tolerated=tolerated)
    while True:
        asked_at = clock()
        try:
            job = yield from ask(settings, auth, poll_url)
        except (RateLimitError, ServiceError, TransportError) as error:
            pause = watch.failed(error, asked_at)
        else:
            if watch.answered(job, asked_at):
                return job
            pause = Pause(poll_interval, watch.remark)
        yield Pause(max(0.0, min(pause.seconds, deadline - clock())), pause.reason)


def get_credits(settings: Settings, auth: Auth, *, pace: Pace = Pace()) -> Flow[float]:
    """
    Ask for the balance in US dollars; it is free.

    :raises SegmindError: when it is refused or stays out of reach.
    """
    return (
        yield from repeated(
            settings,
            auth,
            lambda scheme: protocol.credits_request(settings, scheme),
            protocol.read_credits,
            pace,
        )
    )


def upload(settings: Settings, auth: Auth, data: bytes, media_type: str, *, pace: Pace = Pace()) -> Flow[str]:
    """
    Upload one file; it is not billed, so it may be sent again.

    :param media_type: like ``image/png``.
    :return: URL of the uploaded file. It is public for whoever knows it.
    :raises SegmindError: when it is refused or stays out of reach.
    """
    data_url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return (
        yield from repeated(
            settings,
            auth,
            lambda scheme: protocol.upload_request(settings, data_url, scheme),
            protocol.read_upload,
            pace,
        )
    )


def check_interval(name: str, value: object) -> float:
    """
    Return the seconds if they are a number above 0.

    :raises InvalidRequestError: when they are not.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    raise InvalidRequestError(f"{name} is {value!r}: it must be a number of seconds above 0.")


class Watch:
    """
    One job that is waited for, and what each answer about it means.

    :param poll_url: where it is asked for.
    :param deadline: seconds since the epoch; whoever asks after it has had the last look.
    :param pace: how errors are waited out.
    :param tolerated: how many transient errors in a row are survived; ``None`` for any number.
    """

    __slots__ = ("_patience", "_status", "deadline", "poll_url", "remark")

    def __init__(self, poll_url: str, deadline: float, *, pace: Pace, tolerated: int | None) -> None:
        self.poll_url = poll_url
        self.deadline = deadline
        self.remark = ""
        self._patience = _Patience(pace, tolerated)
        self._status = ""

    def answered(self, job: Job, asked_at: float) -> bool:
        """
        Take an answer into account, and return whether the job is done.

        :raises JobTimeoutError: when it is not, and this was the last look.
        """
        if job.done:
            return True
        if asked_at >= self.deadline:
            raise timed_out(self.poll_url, f"its status is {job.status}")
        self._patience.renew()
        new = job.status not in RUNNING and job.status != self._status
        self._status = job.status
        self.remark = f"status {job.status!r} is new to this package; waiting on" if new else ""
        return False

    def failed(self, error: SegmindError, asked_at: float) -> Pause:
        """
        Take a transient error into account, and return how long to wait before asking again.

        :raises JobTimeoutError: when this was the last look.
        :raises SegmindError: the error, when it is one too many in a row. A 429 never is.
        """
        if asked_at >= self.deadline:
            raise timed_out(self.poll_url, str(error)) from error
        return self._patience.pause_after(error)


class _Patience:
    """Counts transient errors in a row and says how long to pause after each."""

    __slots__ = ("_errors", "_pace", "_refusals", "_tolerated")

    def __init__(self, pace: Pace, tolerated: int | None) -> None:
        self._pace = pace
        self._tolerated = tolerated
        self.renew()

    def renew(self) -> None:
        """Count anew."""
        self._errors = 0
        self._refusals = 0

    def pause_after(self, error: SegmindError) -> Pause:
        """Return the pause, or raise the error when it is one too many. A 429 never is."""
        if isinstance(error, RateLimitError):
            self._refusals += 1
            seconds = self._pace.after_429(error, self._refusals)
        else:
            self._errors += 1
            if self._tolerated is not None and self._errors > self._tolerated:
                raise error
            seconds = self._pace.backoff(self._errors)
        return Pause(seconds, f"asking again in {seconds:.0f} s: {error}")


def ask(settings: Settings, auth: Auth, poll_url: str) -> Flow[Job]:
    """Send one GET for a job, for a URL that :func:`protocol.check_poll_url` has passed."""
    answer = yield from exchange(settings, auth, lambda scheme: protocol.poll_request(settings, poll_url, scheme))
    return protocol.read_poll(settings, _received(answer, settings), poll_url)


def repeated(
    settings: Settings,
    auth: Auth,
    build: Callable[[str], Request],
    read: Callable[[Settings, Response], T],
    pace: Pace,
) -> Flow[T]:
    """Make a call that is free of charge, with two more tries after transient errors."""
    patience = _Patience(pace, 2)
    while True:
        answer = yield from exchange(settings, auth, build)
        try:
            return read(settings, _received(answer, settings))
        except (ServiceError, TransportError) as error:
            yield patience.pause_after(error)


def _received(answer: Answer, settings: Settings, *, bills: bool = False) -> Response:
    """Return the response, or raise what its absence means."""
    if isinstance(answer, Response):
        return answer
    reason = protocol.redact(settings, answer.reason)
    if bills and answer.sent:
        raise OutcomeUnknownError(
            f"The order was sent but its answer never came ({reason}), so it may have been accepted and billed. "
            "It is not sent again; look for it in your Segmind request history first."
        )
    if answer.sent:
        raise TransportError(f"Segmind's answer was lost: {reason}.")
    raise TransportError(f"Segmind could not be reached, nothing was sent: {reason}.")


def timed_out(poll_url: str, why: str) -> JobTimeoutError:
    """Return the error for a job that is not done in time; ``why`` says how it was last seen."""
    return JobTimeoutError(
        f"The deadline passed and the job is not done ({why}). It cannot be cancelled: it may still finish and is "
        f"billed if it does. Its result can then be asked for at {poll_url}",
        request_id=poll_url.rstrip("/").rpartition("/")[2],
    )
