"""
A transport for ``requests`` that knows whether a request left this machine, and that limits its total time.

``requests`` raises the same ``ConnectionError`` for a refused connection and for one that broke after an order was
sent. The first may be repeated, the second may be billed. So the difference is taken at the connection's first write.

A timeout of ``requests`` covers one read. A host that sends a byte now and then (in a header, between chunks, or as
repeated ``100 Continue``) never meets it. So each read and write gets only the time left of the whole exchange.
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
"""Header fields that carry a key."""
MOVED = (301, 302, 303, 307, 308)
"""Status codes of a redirect to another URL."""
RESULT_REDIRECTS = 3
"""How many are followed to a result."""
_PIECE = 2**14
"""Bytes per write: one TLS record, so that the timeout applies to each."""


class Exchange:
    """A request and its answer, with redirects: the time limit, and whether any byte may have left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sent = False
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left."""
        return self._end - time.monotonic()


_current: contextvars.ContextVar[Exchange | None] = contextvars.ContextVar("current", default=None)


@contextmanager
def exchange(seconds: float) -> Iterator[Exchange]:
    """Limit everything sent and read in the block to this many seconds in total; then ``TimeoutError``."""
    one = Exchange(seconds)
    token = _current.set(one)
    try:
        yield one
    finally:
        _current.reset(token)


def time_left(most: float | None) -> float | None:
    """
    Return the seconds that the next step may take: ``most``, or what is left of the exchange if less.

    :raises TimeoutError: if the exchange's time is over.
    """
    one = _current.get()
    if one is None:
        return most
    left = one.left
    if left <= 0:
        raise TimeoutError("the exchange took too long as a whole")
    return left if most is None else min(most, left)


class _Reader(io.RawIOBase):
    """Gives each read of an answer the time left."""

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
    """Limits a connection to its exchange's time, and notes when it begins to send a request."""

    sock: Any
    timeout: Any
    response_class: Any = _Response
    _connecting = False

    def connect(self) -> None:
        """Connect; a proxy's CONNECT also uses :meth:`send`."""
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        """Send, piece by piece."""
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
        # TLS within TLS runs in Python, with many reads of this socket for one apparent read.
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
    """Pools for connections without a proxy."""

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
        Send a request; plain http never uses a proxy, which would read the key.

        All ways to send with ``requests`` end here, after each has chosen proxies in its own way.
        """
        plain = (request.url or "").lower().startswith("http:")
        return super().send(request, stream, timeout, verify, cert, None if plain else proxies)


class Session(requests.Session):
    """A session that sends no key after a redirect, and whose ``verify`` no environment variable replaces."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove every credential from a redirected request, whatever its target."""
        for name in CREDENTIALS:
            prepared_request.headers.pop(name, None)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Use the session's ``verify`` if none is given; ``requests`` would first read the environment."""
        own = self.verify if verify is None and self.verify is not True else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Do nothing; without an ``auth``, ``requests`` lets a netrc file replace the Authorization header."""
    return request


def prepare_session(session: requests.Session) -> requests.Session:
    """Mount the transport and keep out credentials from a netrc file."""
    adapter = NoticingAdapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _keep_headers
    return session
