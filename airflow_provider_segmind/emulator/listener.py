"""The listening socket, and outages of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

_MAX_BODY_BYTES = 256 * 1024 * 1024
_BACKLOG = 1024
# Not 0: aiohttp treats 0 as "wait for ever", and clients keep idle connections open.
_GOODBYE_SECONDS = 0.05


class Listener:
    """
    Listens on one address, in one event loop.

    :param port: Port to listen on; 0: a free one, then stored in `port`.
    """

    def __init__(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> None:
        self.host = host
        self.port = port
        self.ssl_context = ssl_context
        self.connections = 0
        self._protocols: web.Server | None = None
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def open_connections(self) -> int:
        """TCP connections open now."""
        return len(self._protocols.connections) if self._protocols else 0

    async def open(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        """
        Start listening.

        :raises OSError: If the address is taken.
        """
        self._protocols = web.Server(handle, request_factory=_make_request, access_log=None, keepalive_timeout=75.0)
        bound = self._bind()
        self.port = bound.getsockname()[1]
        await self._listen(bound)

    def go_dark(self, seconds: float) -> None:
        """Refuse new connections for this many seconds, and drop open ones."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # Bound but not listening: connections are refused, and no other process can take the port.
        self._held = self._bind()
        for connection in self._protocols.connections if self._protocols else ():
            if connection.transport:
                connection.transport.abort()
        asyncio.get_running_loop().call_later(seconds, self.come_back)

    def come_back(self) -> None:
        """End an outage early."""
        held, self._held = self._held, None
        if held:
            self._returning = asyncio.get_running_loop().create_task(self._listen(held))

    async def close(self) -> None:
        """Close the socket and all connections."""
        if self._server:
            self._server.close()
        if self._held:
            self._held.close()
        if self._protocols:
            await self._protocols.shutdown(_GOODBYE_SECONDS)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self.host, self.port))
        except OSError:
            bound.close()
            raise
        return bound

    async def _listen(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, sock=bound, ssl=self.ssl_context, backlog=_BACKLOG)

    def _connect(self) -> asyncio.Protocol:
        self.connections += 1
        if self._protocols is None:
            raise RuntimeError("a connection before the start")
        return self._protocols()


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY_BYTES)
