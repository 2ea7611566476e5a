"""Run flows with ``requests`` on a worker, where blocking is fine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3

from airflow_provider_segmind.api import causes, flow, protocol
from airflow_provider_segmind.api.clocks import clock_offset
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.transport import exchange
from airflow_provider_segmind.api.wire import MAX_BODY, Answer, Failure, Request, Response, Traffic

T = TypeVar("T")


class Client:
    """
    Sends a flow's requests and sleeps during its pauses.

    :param session: from :func:`~airflow_provider_segmind.api.transport.prepare_session`.
    :param auth: the authentication scheme that worked, if shared.
    """

    def __init__(
        self,
        settings: Settings,
        session: requests.Session,
        *,
        auth: flow.Auth | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.auth = auth or flow.Auth()
        self.clock = clock
        self.clock_offset: float | None = None
        """Seconds by which this machine's clock is ahead of the service's; ``None`` until an answer shows it."""
        self.traffic = Traffic()
        self._session = session
        self._sleep = sleep

    def run(self, steps: flow.Flow[T], *, polls: bool = False) -> T:
        """Run a flow and return its result, or raise its error; ``polls``: count its requests as polls."""
        answer: Answer | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, flow.Send):
                answer = self.send(step.request)
                self.traffic.polls += polls
                self.traffic.rate_limited += isinstance(answer, Response) and answer.status == 429
            else:
                step.log()
                self._sleep(step.seconds)
                answer = None

    def send(self, request: Request) -> Answer:
        """Send one request; return errors as values, so that the flow decides."""
        with exchange(self.settings.connect_timeout + self.settings.read_timeout) as one:
            try:
                response = self._exchange(request)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                return Failure(sent=one.sent, reason=causes.why(error, protocol.host_of(request.url)))
        self.clock_offset = clock_offset(response, self.clock_offset)
        return response

    def _exchange(self, request: Request) -> Response:
        with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=protocol.headers(self.settings, request),
            timeout=(self.settings.connect_timeout, self.settings.read_timeout),
            allow_redirects=False,
            # A CA bundle from the environment would replace the session's own setting, but not one given here.
            verify=None if self.settings.verify is True else self.settings.verify,
            proxies=dict(self.settings.proxies),
            stream=True,
        ) as answer:
            body = bytearray()
            # read1 returns what has arrived; iter_content would wait for a whole chunk, however slowly it comes.
            while chunk := answer.raw.read1(65536, decode_content=False):
                body += chunk
                if len(body) > MAX_BODY:
                    raise OSError("the answer is too large")
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, fields, bytes(body), self.clock())
