"""
A transport for ``requests`` that knows whether a request left this machine, and that ends when it has to.

``requests`` raises the same ``ConnectionError`` for a refused connection and for one that broke after an order was
sent. The first may be repeated, the second may have been billed, so the difference is taken where it is certain:
at the connection's own first write.

A timeout of ``requests`` is one for each read, and a host that sends a byte now and then never meets it: in a header,
between chunks, or with one ``100 Continue`` after the other. So each read and write of an exchange gets the time
that is left of the whole.
"""

from __future__ import annotations

import contextvars
import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

CREDENTIALS = ("Authorization", "x-api-key")
"""Headers in which a key travels."""
_PIECE = 2**14
"""Bytes that are written at a time: one record of TLS, which has a timeout of its own for each."""


class Exchange:
    """A request and its answer, redirects included: until when it may last, and whether a byte of it may have left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sent = False
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until its end."""
        return self._end - time.monotonic()


_current: contextvars.ContextVar[Exchange | None] = contextvars.ContextVar("current", default=None)


@contextmanager
def exchange(seconds: float) -> Iterator[Exchange]:
    """Let all that is sent and read in the block end within so many seconds, by a ``TimeoutError`` at the latest."""
    one = Exchange(seconds)
    token = _current.set(one)
    try:
        yield one
    finally:
        _current.reset(token)


def time_left(most: float | None) -> float | None:
    """
    Return how long the next step may take, in seconds.

    :param most: the timeout that a single step has.
    :raises TimeoutError: when the exchange's own time is over.
    """
    one = _current.get()
    if one is None:
        return most
    left = one.left
    if left <= 0:
        raise TimeoutError("the exchange took too long as a whole")
    return left if most is None else min(most, left)


class _Reader(io.RawIOBase):
    """What an answer is read from: each read gets the time that is left."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock, self._raw, self._most = sock, raw, sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(time_left(self._most))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()))


class BoundConnection:
    """Makes a connection end when the exchange has to, and tell when it begins to send a request."""

    sock: Any
    timeout: Any
    response_class: Any = _Response
    _connecting = False

    def connect(self) -> None:
        """Connect; a proxy's CONNECT also goes through :meth:`send`."""
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        """Send, a piece at a time."""
        if self.sock is None:
            self.connect()
        whole = memoryview(data) if isinstance(data, bytes) else None
        pieces = (data,) if whole is None else (whole[at : at + _PIECE] for at in range(0, len(whole), _PIECE))
        for piece in pieces:
            self.sock.settimeout(time_left(self.timeout))
            one = _current.get()
            if one is not None and not self._connecting:
                one.sent = True
            super().send(piece)  # type: ignore[misc]

    def _connect_tls_proxy(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        # TLS within TLS is done in Python, by many reads of this socket for what looks like one.
        outer: ssl.SSLSocket = super()._connect_tls_proxy(*args, **kwargs)  # type: ignore[misc]
        receive = outer.recv

        def recv(size: int = 1024, flags: int = 0) -> bytes:
            outer.settimeout(time_left(outer.gettimeout()))
            return receive(size, flags)

        outer.recv = recv  # type: ignore[assignment, method-assign]
        return outer


class _HTTP(BoundConnection, HTTPConnection):
    pass


class _HTTPS(BoundConnection, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


_POOLS: Mapping[str, type[urllib3.HTTPConnectionPool]] = {"http": _HTTPPool, "https": _HTTPSPool}


class NoticingAdapter(HTTPAdapter):
    """The transport; it never repeats a request by itself."""

    direct: Mapping[str, type[urllib3.HTTPConnectionPool]] = _POOLS
    """For connections through no proxy."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.direct

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the pool manager for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """
        Send a request; over plain http to its host and to no proxy, which would read the key.

        All ways to send with ``requests`` end here, after each has looked for proxies in its own way.
        """
        plain = (request.url or "").lower().startswith("http:")
        return super().send(request, stream, timeout, verify, cert, None if plain else proxies)


class Session(requests.Session):
    """A session whose key no redirect carries on, and whose own choice of certificates no variable replaces."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take every credential out of a request that a redirect asked for, wherever it leads."""
        for name in CREDENTIALS:
            prepared_request.headers.pop(name, None)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Put the connection's ``verify`` where none was given; ``requests`` would look into the environment first."""
        own = self.verify if verify is None and self.verify is not True else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Do nothing: without an ``auth`` of its own, ``requests`` lets a netrc file replace the Authorization header."""
    return request


def prepare_session(session: requests.Session) -> requests.Session:
    """Mount the transport and keep credentials from a netrc file out."""
    adapter = NoticingAdapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _keep_headers
    return session
