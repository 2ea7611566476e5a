"""Run the same flows with ``aiohttp``, on a shared event loop."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from airflow_provider_segmind.api import causes, flow, protocol
from airflow_provider_segmind.api.clocks import clock_offset
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.wire import MAX_BODY, Answer, Failure, Request, Response

T = TypeVar("T")

MAX_CONNECTIONS = 16
"""Most open connections per session; a job needs one only during its poll."""


_PLAIN = re.compile(r"(https?://[^/?#]+)(/[A-Za-z0-9/_-]*)")
"""URLs like those of Segmind's jobs, in which nothing is to be encoded and no part is to be left out."""


class Sent:
    """Whether a byte of the request may have left."""

    def __init__(self) -> None:
        self.value = False


_sending: ContextVar[Sent] = ContextVar("_sending")
"""The request that a task is sending."""


class AsyncClient:
    """
    Sends a flow's requests and sleeps during its pauses, without blocking the loop.

    :param session: from :func:`new_session`.
    :param auth: the authentication scheme that worked, if shared.
    :param tls: from :func:`tls_of` for these settings.
    """

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        *,
        auth: flow.Auth | None = None,
        tls: ssl.SSLContext | bool = True,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.auth = auth or flow.Auth()
        self.clock = clock
        self.clock_offset: float | None = None
        """Seconds by which this machine's clock is ahead of the service's; ``None`` until an answer shows it."""
        self._session = session
        self._tls = tls
        self._sleep = sleep
        self._origins: dict[str, tuple[URL, str | None]] = {}
        self._fields: dict[tuple[str, bool], CIMultiDict[str]] = {}
        self._timeout = aiohttp.ClientTimeout(
            total=settings.connect_timeout + settings.read_timeout,
            connect=None,  # waiting for a shared connection is no error of the service
            sock_connect=settings.connect_timeout,
            # No sock_read: its timer would be set anew for each part of each answer, and the total is as strict.
        )

    async def run(self, steps: flow.Flow[T]) -> T:
        """Run a flow and return its result, or raise its error."""
        answer: Answer | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, flow.Send):
                answer = await self.send(step.request)
            else:
                step.log()
                await self._sleep(step.seconds)
                answer = None

    async def send(self, request: Request) -> Answer:
        """Send one request; return errors as values, so that the flow decides."""
        sent = Sent()
        try:
            response = await self._exchange(request, sent)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Failure(sent=sent.value, reason=causes.why(error, protocol.host_of(request.url)))
        self.clock_offset = clock_offset(response, self.clock_offset)
        return response

    async def _exchange(self, request: Request, sent: Sent) -> Response:
        _sending.set(sent)
        url, proxy = self._way(request.url)
        async with self._session.request(
            request.method,
            url,
            data=request.body,
            headers=self._headers(request),
            timeout=self._timeout,
            allow_redirects=False,
            ssl=self._tls,
            proxy=proxy,
        ) as answer:
            return Response(answer.status, answer.headers, await _body(answer), self.clock())

    def _headers(self, request: Request) -> CIMultiDict[str]:
        """Return the header fields of a request, in the form that aiohttp needs not copy; all polls have the same."""
        kind = (request.scheme, request.payload is not None)
        if kind not in self._fields:
            self._fields[kind] = CIMultiDict(protocol.headers(self.settings, request))
        return self._fields[kind]

    def _way(self, url: str) -> tuple[URL, str | None]:
        """
        Return a URL as aiohttp reads it, and its proxy.

        What the URLs of a host share is cached: reading the whole environment would cost more than a poll, and parsing
        a new URL a tenth of one.
        """
        plain = _PLAIN.fullmatch(url)
        origin = plain[1] if plain else "/".join(url.split("/", 3)[:3])
        if origin not in self._origins:
            self._origins[origin] = URL(origin), proxy_for(self.settings, origin)
        base, proxy = self._origins[origin]
        return base.with_path(plain[2], encoded=True) if plain else URL(url), proxy


def new_session() -> aiohttp.ClientSession:
    """
    Make a session for the running loop: few connections, no cookies, nothing from the environment.

    :func:`proxy_for` reads the environment's proxies; aiohttp's own ``trust_env`` would also read a netrc file.
    """
    return aiohttp.ClientSession(
        connector=_Connector(limit=MAX_CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


class _Connector(aiohttp.TCPConnector):
    """Notes that a request has a connection. aiohttp's tracing would cost each poll a tenth more."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection, new or used before."""
        connection = await super().connect(*args, **kwargs)
        _sending.get().value = True
        return connection


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body, if it is not too large."""
    if answer.content_length is not None and answer.content_length <= MAX_BODY:
        return await answer.read()
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65536):
        body += chunk
        if len(body) > MAX_BODY:
            raise OSError("the answer is too large")
    return bytes(body)


def tls_of(settings: Settings) -> ssl.SSLContext | bool:
    """Return aiohttp's ``ssl`` setting; loading a CA bundle blocks, so call this in a thread."""
    if isinstance(settings.verify, bool):
        return settings.verify
    return ssl.create_default_context(cafile=settings.verify)


def proxy_for(settings: Settings, url: str) -> str | None:
    """
    Return the proxy for a URL: the connection's own, else the environment's, as ``requests`` would choose.

    Never for plain http: a proxy would read the key.
    """
    parts = urlsplit(url)
    if parts.scheme == "http":
        return None
    own = settings.proxies.get(parts.scheme) or settings.proxies.get("all")
    if own or not parts.hostname or proxy_bypass(parts.hostname):
        return own
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
