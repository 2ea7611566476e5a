"""
Decide what to send and when: generators that never send and never sleep.

A flow yields a :class:`Send` and is given the :class:`Response` or :class:`Failure`; it yields a :class:`Pause` and is
given nothing. Its return value is the result. One flow serves ``requests`` on a worker and ``aiohttp`` in a
triggerer, so the two cannot drift, and every rule about money is tested without a socket.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_provider_segmind.api import answers, protocol, refusals
from airflow_provider_segmind.api.errors import (
    JobExpiredError,
    OutcomeUnknownError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import Job, Settings
from airflow_provider_segmind.api.patience import PACE, WAITED_OUT, Watch, check_interval
from airflow_provider_segmind.api.patience import Pace as Pace
from airflow_provider_segmind.api.wire import Answer, Failure, Request, Response
from airflow_provider_segmind.api.workflows import check_inputs, check_workflow

log = logging.getLogger(__name__)

T = TypeVar("T")

MORE_TRIES = 5
"""Times that an order goes out again which was never sent."""

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
        candidates = refusals.candidate_schemes(settings)
        return (self.known,) if self.known in candidates else candidates


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
) -> Flow[Job]:
    """
    Order a job: one POST that can bill.

    It goes out again only when it provably was not accepted: the connection was never made, or 429.

    :param before: called right before each POST; what it raises keeps the order from being sent.
    :raises OutcomeUnknownError: when it was sent and the answer never came, or cannot be read.
    :raises SegmindError: when it was refused; nothing was billed.
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
            pause = tries.pause_after(error)
            waited += pause.seconds
            if waited > PATIENCE:
                raise
            yield Pause(pause.seconds, f"not accepted, not billed; {pause.reason}")


def order(settings: Settings, auth: Auth, workflow: str, inputs: Mapping[str, Any]) -> Flow[Job]:
    """
    Send one POST that can bill, for inputs that were checked, and do not repeat it.

    :raises SegmindError: as :func:`submit`; a 429 too, which was not accepted.
    """
    answer = yield from exchange(
        settings, auth, lambda scheme: protocol.submit_request(settings, workflow, inputs, scheme)
    )
    return protocol.read_submit(settings, _received(answer, settings, bills=True), workflow)


def get_job(settings: Settings, auth: Auth, poll_url: str) -> Flow[Job]:
    """
    Ask for a job's state: one GET.

    :raises SegmindError: when the job cannot be asked for.
    """
    return (yield from ask(settings, auth, protocol.check_poll_url(settings, poll_url)))


def attach(
    settings: Settings, auth: Auth, poll_url: str, *, clock: Callable[[], float], pace: Pace = PACE
) -> Flow[Job]:
    """
    Ask for a job that was just found, or just ordered, until there is an answer about it: five minutes at most.

    :param clock: tells seconds since the epoch.
    :return: the job, in whatever state.
    :raises RateLimitError: at once: how long to wait is for the caller to decide.
    :raises JobTimeoutError: when there was no answer.
    :raises SegmindError: when the job cannot be asked for.
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
    Ask for a job's state until it is done, and once more at the deadline before giving up.

    An unknown status keeps waiting, and so does an outage; a 429 is a pace, not an error.

    :param deadline: seconds since the epoch, so that it survives a restart of whoever waits.
    :param clock: tells seconds since the epoch.
    :param poll_interval: seconds between polls; 7 is what Segmind documents.
    :param max_outage: seconds of an outage after which its last error is raised; ``None`` to wait until the deadline.
    :return: the job, ``COMPLETED`` or ``FAILED``.
    :raises JobTimeoutError: when it is still not done at the deadline.
    :raises SegmindError: when the job cannot be asked for any more.
    """
    poll_url = protocol.check_poll_url(settings, poll_url)
    interval = check_interval("poll_interval", poll_interval)
    watch = Watch(poll_url, deadline, interval=interval, max_outage=max_outage, pace=pace)
    while isinstance(seen := (yield from _look(settings, auth, watch, clock)), Pause):
        yield seen
    return seen


def poke(settings: Settings, auth: Auth, watch: Watch, clock: Callable[[], float]) -> Flow[Job | Pause]:
    """
    Ask for a job once, or until a 404 is believed or refuted: the next poke may know nothing of it.

    :param watch: what is known of the wait.
    :return: the job if it is done, else how long to wait before asking again.
    :raises JobTimeoutError: when it is not done at the deadline.
    :raises SegmindError: when the job cannot be asked for any more.
    """
    watch.poll_url = protocol.check_poll_url(settings, watch.poll_url)
    while isinstance(seen := (yield from _look(settings, auth, watch, clock)), Pause) and watch.doubted:
        yield seen
    return seen


def _look(settings: Settings, auth: Auth, watch: Watch, clock: Callable[[], float]) -> Flow[Job | Pause]:
    """Ask once, and return the job if it is done, else how long to pause: never beyond the deadline."""
    asked_at = clock()
    try:
        job = yield from ask(settings, auth, watch.poll_url)
    except WAITED_OUT as error:
        seconds = watch.failed(error, asked_at)
    else:
        if watch.answered(job, asked_at):
            return job
        seconds = watch.interval
    return Pause(max(0.0, min(seconds, watch.deadline - clock())))


def get_credits(settings: Settings, auth: Auth, *, pace: Pace = PACE) -> Flow[float]:
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


def upload(settings: Settings, auth: Auth, data: bytes, media_type: str, *, pace: Pace = PACE) -> Flow[str]:
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


class _Tries:
    """Counts errors in a row and says how long to pause after each."""

    def __init__(self, pace: Pace, most: int) -> None:
        self._pace = pace
        self._most = most
        self._errors = self._refusals = 0

    def pause_after(self, error: SegmindError) -> Pause:
        """Return the pause, or raise the error when it is one too many. A 429 never is."""
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
    tries = _Tries(pace, 2)
    while True:
        answer = yield from exchange(settings, auth, build)
        try:
            return read(settings, _received(answer, settings))
        except (ServiceError, TransportError) as error:
            yield tries.pause_after(error)


def _received(answer: Answer, settings: Settings, *, bills: bool = False) -> Response:
    """Return the response, or raise what its absence means."""
    if isinstance(answer, Response):
        return answer
    reason = refusals.redact(settings, answer.reason)
    if bills and answer.sent:
        raise OutcomeUnknownError(
            f"The order was sent but its answer never came ({reason}), so it may have been accepted and billed. "
            "It is not sent again; look for it in your Segmind request history first."
        )
    if answer.sent:
        raise TransportError(f"Segmind's answer was lost: {reason}.")
    raise TransportError(f"Segmind could not be reached, nothing was sent: {reason}.")
