"""
Session, poller, connection lookup and key state that all triggers of one connection share in a triggerer.
A lookup takes 20 to 30 ms of its only supervisor thread, and Airflow does not cache it: keep it for ``LOOKUP_TTL``.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp

from airflow_provider_segmind.api.aclient import AsyncClient, new_session, tls_of
from airflow_provider_segmind.api.errors import AuthenticationError, SegmindError, TransportError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.connection import aload_settings
from airflow_provider_segmind.observability.metrics import Counters

if TYPE_CHECKING:
    from airflow_provider_segmind.hooks.segmind import SegmindHook

log = logging.getLogger(__name__)

LOOKUP_TTL = 300.0
"""Seconds for which a looked-up connection is valid, unless the service refuses its key earlier."""

LOOKUP_PATIENCE = 60.0
"""Seconds to retry the first lookup: a triggerer may start while a secrets backend is unavailable."""

LOOKUP_RETRY = 30.0
"""Seconds until a failed lookup is repeated; until then the previous result is used."""

TELL_SECONDS = 5.0
"""Seconds between two reports to Airflow's metrics."""

_Loaded = Callable[[str], Awaitable[Settings]]


class SharedConnection:
    """One connection in one event loop."""

    def __init__(
        self,
        conn_id: str,
        load: _Loaded = aload_settings,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.conn_id = conn_id
        self.users = 0
        self.poller = Poller(self.client)
        self.counters = Counters(conn_id, self.poller.traffic)
        self._telling: asyncio.Task[None] | None = None
        self._load = load
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncClient | None = None
        self._settings: Settings | None = None
        self._good_until = 0.0

    async def client(self, *, refused: AsyncClient | None = None) -> AsyncClient:
        """
        Return the shared client, and look up the connection if that is due.

        :param refused: a client whose key was refused. Its connection is looked up again at once, so that a key
            rotation does not end the waits.
        """
        if refused is None and self._client is not None and monotonic() < self._good_until:
            return self._client
        async with self._lock:
            if self._settings is None or monotonic() >= self._good_until or (refused and refused is self._client):
                self._settings = await self._look_up(refused is not None)
            if self._client is None or self._client.settings != self._settings:
                tls = await asyncio.to_thread(tls_of, self._settings)
                self._session = self._session or new_session()
                self._client = AsyncClient(self._settings, self._session, tls=tls)
            if self._telling is None:
                self._telling = asyncio.get_running_loop().create_task(self._tell())
            return self._client

    async def _look_up(self, refused: bool) -> Settings:
        """
        Look up the connection; a failed lookup must not end waits for paid jobs.

        :raises TransportError: the current key was refused and no other can be looked up now.
        :raises SegmindError: no lookup has ever succeeded, nor did one within :data:`LOOKUP_PATIENCE` seconds.
        """
        give_up, pause = monotonic() + LOOKUP_PATIENCE, LOOKUP_PATIENCE / 60
        while True:
            try:
                found = await self._load(self.conn_id)
            except SegmindError as error:
                if refused:
                    raise TransportError(f"The API key was refused, and no other can be looked up: {error}") from None
                if self._settings is not None:
                    log.warning("The connection that was looked up before is used on: %s", error)
                    self._good_until = monotonic() + LOOKUP_RETRY
                    return self._settings
                may_pass = isinstance(error, AuthenticationError | TransportError)
                if not may_pass or monotonic() + pause >= give_up:
                    raise
                await self._sleep(pause)
                pause *= 2
            else:
                self._good_until = monotonic() + LOOKUP_TTL
                return found

    async def close(self) -> None:
        """Close the session and report metrics; keep the looked-up settings and learned state for the next user."""
        session, self._session, self._client = self._session, None, None
        telling, self._telling = self._telling, None
        await self.poller.close()
        if telling is not None:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if session is not None:
            await session.close()
        await asyncio.to_thread(self.counters.take().emit)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            await asyncio.to_thread(self.counters.take().emit)


def connection_with(hook: SegmindHook) -> SharedConnection:
    """Return a connection of its own, with the settings that a worker's hook has looked up."""

    async def settings_of(_: str) -> Settings:
        return hook.settings

    return SharedConnection(hook.segmind_conn_id, settings_of)


_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedConnection]]
_shared = weakref.WeakKeyDictionary()


@asynccontextmanager
async def shared_connection(conn_id: str) -> AsyncIterator[SharedConnection]:
    """Yield the connection that all triggers in the running loop share; the last user closes its session."""
    connections = _shared.setdefault(asyncio.get_running_loop(), {})
    connection = connections.get(conn_id)
    if connection is None:
        connection = connections[conn_id] = SharedConnection(conn_id)
    connection.users += 1
    try:
        yield connection
    finally:
        connection.users -= 1
        if connection.users == 0:
            await connection.close()
