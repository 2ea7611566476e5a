"""
A transport for ``requests`` that knows whether a request left this machine.

``requests`` raises the same ``ConnectionError`` for a refused connection and for one that broke after an order was
sent. The first may be repeated, the second may have been billed, so the difference is taken where it is certain:
at the connection's own first write.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

CREDENTIALS = ("Authorization", "x-api-key")
"""Headers in which a key travels."""


class Sent:
    """Whether a byte of the request may have left."""

    def __init__(self) -> None:
        self.value = False


_current: contextvars.ContextVar[Sent | None] = contextvars.ContextVar("current", default=None)


@contextmanager
def noticing() -> Iterator[Sent]:
    """Give an object that tells, during and after the block, whether a request in it began to leave."""
    sent = Sent()
    token = _current.set(sent)
    try:
        yield sent
    finally:
        _current.reset(token)


class _Noticing:
    sock: Any
    _connecting = False

    def connect(self) -> None:
        self._connecting = True  # a proxy's CONNECT also goes through send()
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if not self._connecting:
            if self.sock is None:
                self.connect()
            sent = _current.get()
            if sent is not None:
                sent.value = True
        super().send(data)  # type: ignore[misc]


class _HTTP(_Noticing, HTTPConnection):
    pass


class _HTTPS(_Noticing, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class NoticingAdapter(HTTPAdapter):
    """The transport; it never repeats a request by itself."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

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
