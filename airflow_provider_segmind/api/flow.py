"""
Decide what to send and when: generators that never send and never sleep.

A flow yields a :class:`Send` and receives the :class:`Response` or :class:`Failure`; after a :class:`Pause` it receives
nothing. Its return value is the result. The same flows serve ``requests`` on a worker and ``aiohttp`` in a triggerer,
so the two cannot differ, and tests of the rules about money need no socket.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_provider_segmind.api import answers, protocol, refusals
from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.errors import (
    JobExpiredError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import Job, Settings
from airflow_provider_segmind.api.parameters import check_interval
from airflow_provider_segmind.api.patience import GONE_AFTER, GONE_STEP, PACE, WAITED_OUT, Watch
from airflow_provider_segmind.api.patience import Pace as Pace
from airflow_provider_segmind.api.uris import quoted
from airflow_provider_segmind.api.wire import Answer, Failure, Request, Response
from airflow_provider_segmind.api.workflows import check_inputs, check_workflow

log = logging.getLogger(__name__)

T = TypeVar("T")

MORE_TRIES = 5
"""Further tries of an order that was never sent."""

PATIENCE = 300.0
"""Seconds that a worker waits out 429s to an order; then the task's retries take over."""


@dataclass(frozen=True, slots=True)
class Send:
    """A request to send now."""

    request: Request


@dataclass(frozen=True)
class Pause:
    """A pause in seconds before the flow continues; a ``reason`` is logged."""

    seconds: float
    reason: str = ""

    def log(self) -> None:
        """Log the reason, if there is one; a pause for a pending job has none."""
        if self.reason:
            log.warning("Segmind: %s", self.reason)


Flow = Generator[Send | Pause, Answer | None, T]


@dataclass
class Auth:
    """The authentication scheme that last worked; one object for all flows that share a key."""

    known: str | None = None

    def order(self, settings: Settings) -> tuple[str, ...]:
        """Return the schemes to try: only the last one that worked, if there is one."""
        candidates = refusals.candidate_schemes(settings)
        return (self.known,) if self.known in candidates else candidates


def exchange(settings: Settings, auth: Auth, build: Callable[[str], Request]) -> Flow[Answer]:
    """
    Send one request; after a 401, send it again with the other authentication scheme, if allowed.

    A 401 is never billed (Segmind's clients agree on it), so an order may be repeated here too.
    """
    answer: Answer = Failure(sent=False, reason="nothing to send")
    for scheme in auth.order(settings):
        received = yield Send(build(scheme))
        answer = received if received is not None else answer
        if isinstance(answer, Response) and answer.status == 401 and not answers.is_page(answer):
            auth.known = None
            continue
        if isinstance(answer, Response) and answer.status < 400:
            auth.known = scheme
        break
    return answer


def submit(
    settings: Settings,
    auth: Auth,
    workflow: str,
    inputs: Mapping[str, Any],
    *,
    pace: Pace = PACE,
    before: Callable[[], None] = lambda: None,
    refused: Callable[[], None] = lambda: None,
) -> Flow[Job]:
    """
    Order a job with one POST, which can bill; repeat it only after 429 or if no connection was made.

    :param before: called before each POST; an exception from it stops the order.
    :param refused: called after each POST that was certainly not accepted, before the pause that follows.
    :raises OutcomeUnknownError: if the order was sent and its answer never came, or cannot be read.
    :raises SegmindError: if the order was refused; nothing was billed.
    """
    workflow = check_workflow(workflow)
    inputs = check_inputs(workflow, inputs, base_url=settings.base_url)
    tries = _Tries(pace, MORE_TRIES)
    waited = 0.0
    while True:
        before()
        try:
            return (yield from order(settings, auth, workflow, inputs))
        except (RateLimitError, TransportError) as error:
            refused()
            pause = tries.pause_after(error)
            waited += pause.seconds
            if waited > PATIENCE:
                raise
            yield Pause(pause.seconds, f"not accepted, not billed; {pause.reason}")


_LOOK = (
    "It is not sent again. Look into your Segmind request history at that time. If it is there, give its poll URL to a "
    "BodySwapSensor, which costs nothing. If it is not there, though later requests are, clear this task, which orders "
    "anew."
)


def order(settings: Settings, auth: Auth, workflow: str, inputs: Mapping[str, Any]) -> Flow[Job]:
    """
    Send one POST that can bill, with checked inputs, and never repeat it.

    :raises SegmindError: as :func:`submit`; also a 429, which was not accepted.
    """
    at = time.time()
    answer = yield from exchange(
        settings, auth, lambda scheme: protocol.submit_request(settings, workflow, inputs, scheme)
    )
    try:
        return protocol.read_submit(settings, _received(answer, settings, bills=True), workflow)
    except OutcomeUnknownError as error:
        error.message += f" Workflow {workflow}, sent at {moment(at)}. {_LOOK}"
        raise


def get_job(settings: Settings, auth: Auth, poll_url: str) -> Flow[Job]:
    """
    Poll a job once.

    :raises SegmindError: if the job cannot be polled.
    """
    return (yield from ask(settings, auth, protocol.check_poll_url(settings, poll_url)))


def attach(
    settings: Settings, auth: Auth, poll_url: str, *, clock: Callable[[], float], pace: Pace = PACE
) -> Flow[Job]:
    """
    Poll a job that was just found or ordered, until an answer comes: five minutes at most.

    :raises RateLimitError: at once; the caller decides how long to wait.
    :raises JobTimeoutError: if no answer came.
    :raises SegmindError: if the job cannot be polled.
    """
    watch = Watch(protocol.check_poll_url(settings, poll_url), clock() + PATIENCE, pace=pace)
    while True:
        asked_at = clock()
        try:
            return (yield from ask(settings, auth, watch.poll_url))
        except (ServiceError, TransportError, JobExpiredError) as error:
            yield Pause(watch.failed(error, asked_at))


def wait(
    settings: Settings,
    auth: Auth,
    poll_url: str,
    *,
    deadline: float,
    clock: Callable[[], float],
    poll_interval: float = 7.0,
    max_outage: float | None = None,
    pace: Pace = PACE,
) -> Flow[Job]:
    """
    Poll a job until it is done, and once more at the deadline. Unknown statuses, outages and 429s do not end the wait.

    :param deadline: seconds since the epoch, so that it survives a restart.
    :param poll_interval: seconds between polls; Segmind documents 7.
    :param max_outage: seconds of an outage before its last error is raised; ``None``: wait until the deadline.
    :return: the job, ``COMPLETED`` or ``FAILED``.
    :raises JobTimeoutError: if the job is not done at the deadline.
    :raises SegmindError: if the job can no longer be polled.
    """
    poll_url = protocol.check_poll_url(settings, poll_url)
    interval = check_interval("poll_interval", poll_interval)
    watch = Watch(poll_url, deadline, interval=interval, max_outage=max_outage, pace=pace)
    while isinstance(seen := (yield from _look(settings, auth, watch, clock)), Pause):
        yield seen
    return seen


def poke(settings: Settings, auth: Auth, watch: Watch, clock: Callable[[], float]) -> Flow[Job | Pause]:
    """
    Poll a job once, or until a 404 is believed or refuted: the next poke may not know of it.

    :return: the job if it is done, else the pause before the next poll.
    :raises JobTimeoutError: if the job is not done at the deadline.
    :raises SegmindError: if the job can no longer be polled.
    """
    watch.poll_url = protocol.check_poll_url(settings, watch.poll_url)
    give_up = clock() + 2 * GONE_AFTER  # 404s and doubtful ends in turn would hold the worker until the deadline
    while isinstance(seen := (yield from _look(settings, auth, watch, clock)), Pause) and watch.doubted:
        if clock() >= give_up:
            break
        yield seen
    return seen


def _look(settings: Settings, auth: Auth, watch: Watch, clock: Callable[[], float]) -> Flow[Job | Pause]:
    """Poll once, and return the job if it is done, else the pause, which ends at the deadline at the latest."""
    asked_at = clock()
    try:
        job = yield from ask(settings, auth, watch.poll_url)
    except WAITED_OUT as error:
        seconds = watch.failed(error, asked_at)
    else:
        if watch.answered(job, asked_at):
            return job
        seconds = min(watch.interval, GONE_STEP) if watch.doubted else watch.interval
    return Pause(max(0.0, min(seconds, watch.deadline - clock())))


def get_credits(settings: Settings, auth: Auth, *, pace: Pace = PACE) -> Flow[float]:
    """
    Return the balance in US dollars; the call is free.

    :raises SegmindError: if the call is refused or Segmind stays unreachable.
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


def upload(settings: Settings, auth: Auth, data: bytes, media_type: str, *, pace: Pace = PACE) -> Flow[str]:
    """
    Upload one file and return its URL, which is public; an upload is free, so it may be repeated.

    :param media_type: for example ``image/png``.
    :raises SegmindError: if the upload is refused or Segmind stays unreachable.
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


class _Tries:
    """Counts errors in a row, and returns the pause after each."""

    def __init__(self, pace: Pace, most: int) -> None:
        self._pace = pace
        self._most = most
        self._errors = self._refusals = 0

    def pause_after(self, error: SegmindError) -> Pause:
        """Return the pause, or raise the error if it is one too many; a 429 never is."""
        if isinstance(error, RateLimitError):
            self._refusals += 1
            seconds = self._pace.after_429(error, self._refusals)
        else:
            self._errors += 1
            if self._errors > self._most:
                raise error
            seconds = self._pace.backoff(self._errors)
        return Pause(seconds, f"asking again in {seconds:.0f} s: {error}")


def ask(settings: Settings, auth: Auth, poll_url: str) -> Flow[Job]:
    """Poll a job once; :func:`protocol.check_poll_url` must have passed the URL."""
    if not settings.may_receive_key(poll_url):
        # The connection was changed during the wait: the new key must not go to the former host.
        raise TransportError(
            f"The connection has another host now, {settings.base_url}, so the key was not sent to {quoted(poll_url)}. "
            "Add the former host to trusted_hosts in the connection, or restore the connection."
        )
    answer = yield from exchange(settings, auth, lambda scheme: protocol.poll_request(settings, poll_url, scheme))
    return protocol.read_poll(settings, _received(answer, settings), poll_url)


def repeated(
    settings: Settings,
    auth: Auth,
    build: Callable[[str], Request],
    read: Callable[[Settings, Response], T],
    pace: Pace,
) -> Flow[T]:
    """Make a free call, with two more tries after transient errors."""
    tries = _Tries(pace, 2)
    while True:
        answer = yield from exchange(settings, auth, build)
        try:
            return read(settings, _received(answer, settings))
        except (ServiceError, TransportError) as error:
            yield tries.pause_after(error)


def _received(answer: Answer, settings: Settings, *, bills: bool = False) -> Response:
    """Return the response, or raise the error for a missing one."""
    if isinstance(answer, Response):
        return answer
    reason = refusals.redact(settings, answer.reason)
    if bills and answer.sent:
        raise OutcomeUnknownError(
            f"The order was sent but its answer never came ({reason}), so it may have been accepted and billed."
        )
    if answer.sent:
        raise TransportError(f"Segmind's answer was lost: {reason}.")
    raise TransportError(f"Segmind could not be reached, nothing was sent: {reason}.")
