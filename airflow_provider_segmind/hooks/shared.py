"""
What all triggers of one connection share in a triggerer: one session, one lookup, one knowledge of the key.

A lookup costs 20 to 30 ms of the triggerer's single supervisor thread and Airflow does not cache it, so it is kept
for :data:`LOOKUP_TTL` seconds and made once however many wait for it. Waiting itself is one flow for each job here;
a poller for all of them can take the place of :meth:`SharedConnection.wait` without the triggers noticing.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient, new_session, tls_of
from airflow_provider_segmind.api.errors import AuthenticationError
from airflow_provider_segmind.api.models import Job, Settings
from airflow_provider_segmind.hooks.settings import aload_settings

LOOKUP_TTL = 300.0
"""Seconds for which a looked-up connection is good, unless the service refuses its key before."""

_Loaded = Callable[[str], Awaitable[Settings]]


class SharedConnection:
    """
    One connection in one event loop.

    :param conn_id: the connection.
    :param load: looks it up.
    """

    def __init__(self, conn_id: str, load: _Loaded = aload_settings) -> None:
        self.conn_id = conn_id
        self.users = 0
        self._load = load
        self._lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncClient | None = None
        self._good_until = 0.0

    async def wait(self, poll_url: str, *, deadline: float, poll_interval: float, tolerated: int | None) -> Job:
        """
        Wait for a job, see :func:`airflow_provider_segmind.api.flow.wait`.

        When the key is refused the connection is looked up again at once, so that a rotated key ends no wait.
        """
        client = await self.client()
        while True:
            try:
                return await client.run(
                    flow.wait(
                        client.settings,
                        client.auth,
                        poll_url,
                        deadline=deadline,
                        clock=client.clock,
                        poll_interval=poll_interval,
                        tolerated=tolerated,
                    )
                )
            except AuthenticationError:
                fresh = await self.client(refused=client)
                if fresh.settings == client.settings:
                    raise
                client = fresh

    async def client(self, *, refused: AsyncClient | None = None) -> AsyncClient:
        """
        Return the client that all share, looking the connection up when that is due.

        :param refused: a client whose key was refused; it is not returned again.
        """
        async with self._lock:
            known = None if self._client is refused else self._client
            if known is not None and monotonic() < self._good_until:
                return known
            settings = await self._load(self.conn_id)
            if known is None or known.settings != settings:
                tls = await asyncio.to_thread(tls_of, settings)
                self._session = self._session or new_session()
                known = AsyncClient(settings, self._session, tls=tls)
            self._client = known
            self._good_until = monotonic() + LOOKUP_TTL
            return known

    async def close(self) -> None:
        """Close what is open; the next user opens it again."""
        session, self._session, self._client = self._session, None, None
        if session is not None:
            await session.close()


_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedConnection]]
_shared = weakref.WeakKeyDictionary()


@asynccontextmanager
async def shared_connection(conn_id: str) -> AsyncIterator[SharedConnection]:
    """Give the connection that everybody in the running loop shares; the last to leave closes it."""
    connections = _shared.setdefault(asyncio.get_running_loop(), {})
    connection = connections.setdefault(conn_id, SharedConnection(conn_id))
    connection.users += 1
    try:
        yield connection
    finally:
        connection.users -= 1
        if connection.users == 0:
            connections.pop(conn_id, None)
            await connection.close()
