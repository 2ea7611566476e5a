"""The emulator as a context manager, with its own thread, event loop and socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from aiohttp import web

from airflow_provider_segmind.emulator.cassette import read_like
from airflow_provider_segmind.emulator.control import Control
from airflow_provider_segmind.emulator.faults import Fault
from airflow_provider_segmind.emulator.journal import Journal, Recorded
from airflow_provider_segmind.emulator.pictures import Pictures
from airflow_provider_segmind.emulator.routes import Routes
from airflow_provider_segmind.emulator.settings import Settings
from airflow_provider_segmind.emulator.state import Charge, JobView, State

T = TypeVar("T")

_MAX_BODY_BYTES = 256 * 1024 * 1024
_BACKLOG = 1024
# Not 0: aiohttp treats 0 as "wait for ever", and clients keep idle connections open.
_GOODBYE_SECONDS = 0.05


class Emulator:
    """
    A local Segmind; use it in a ``with`` statement, or call `start` and `stop`.

    :param host: Address to listen on.
    :param port: Port to listen on; 0: a free one.
    :param ssl_context: Serve https with this.
    :param names: Host names under which others reach it, such as its service's name in docker compose. Requests for
        other hosts, except addresses and ``localhost``, are refused.
    :param announce: Called in the emulator's thread with ``submitted`` or ``finished`` and the job.
    :param clock: Returns seconds since the epoch, for tests that skip time.
    :param like: Path of a cassette that the doctor has recorded: answers take its names, codes, headers and timings.
    :param settings: Those of `Settings`, by name.
    :raises ValueError: If a value is invalid.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        names: Sequence[str] = (),
        announce: Callable[[str, JobView], None] | None = None,
        clock: Callable[[], float] = time.time,
        like: str | Path | None = None,
        **settings: Any,
    ) -> None:
        shown = read_like(like)
        self._listener = Listener(host, port, ssl_context)
        self._journal = Journal()
        self._state = State(Settings(**{**shown.settings, **settings}), clock, announce, shown)
        self._pictures = Pictures(self._state, lambda: self._listener.port)
        self._names = tuple(names)
        control = Control(self._state, self._journal, self)
        self._routes = Routes(self._state, self._journal, self._pictures, control, self._names)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    # --- life cycle ---

    def start(self) -> Emulator:
        """
        Start listening; returns once connections are accepted.

        :raises OSError: If the address is taken.
        """
        if self._thread:
            raise RuntimeError("the emulator is running already")
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="segmind-emulator", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    def stop(self) -> None:
        """Close all connections and end; the records stay readable."""
        if self._thread and self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._thread = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- what happened ---

    @property
    def url(self) -> str:
        """The URL it listens on."""
        return self._url_of(self._listener.host)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listener.port

    @property
    def api_key(self) -> str:
        """The accepted key."""
        return self._state.settings.api_key

    @property
    def settings(self) -> Settings:
        """The current settings, with the balance."""
        return self._call(lambda: self._state.settings)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The ledger: one bill per accepted submit."""
        return self._call(lambda: tuple(self._state.charges))

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """The newest 100,000 requests as received."""
        return self._call(self._journal.all)

    @property
    def jobs(self) -> Mapping[str, JobView]:
        """The jobs in their current state, by request id."""
        return self._call(lambda: MappingProxyType({view.request_id: view for view in self._state.views()}))

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._listener.connections

    @property
    def open_connections(self) -> int:
        """TCP connections open now."""
        return self._listener.open_connections

    # --- what shall happen ---

    def script(self, *faults: Fault) -> None:
        """
        Queue faults.

        :param faults: The faults, in this order.
        """
        self._call(lambda: self._state.faults.add(*faults))

    def clear_faults(self) -> None:
        """Remove the faults that have not happened yet."""
        self._call(self._state.faults.clear)

    def outage(self, seconds: float) -> None:
        """
        Refuse connections for a while, and drop open ones; returns at once.

        :param seconds: Length of the outage.
        """
        self._call(lambda: self._listener.go_dark(seconds))

    def set(self, **changes: Any) -> None:
        """
        Change settings while running.

        :param changes: New values, by the names of `Settings`.
        :raises ValueError: If a name or a value is unknown.
        """

        def change() -> None:
            self._state.settings = self._state.settings.changed(**changes)

        self._call(change)

    def finish_jobs(self) -> None:
        """Let all accepted jobs end now."""
        self._call(self._state.finish_jobs)

    def reset(self) -> None:
        """Forget jobs, bills, requests, uploads and faults; restore the initial settings and balance."""

        def start_over() -> None:
            self._state.reset()
            self._journal.clear()
            self._pictures.clear()

        self._call(start_over)

    def airflow_connection(self) -> dict[str, Any]:
        """Return an Airflow connection to this emulator, in the JSON form of ``AIRFLOW_CONN_…``."""
        url = self._url_of(self._names[0]) if self._names else self.url
        extra = {"storage_url": url, "history_url": url}
        if self._names:
            extra["emulator_host"] = self._names[0]
        return {"conn_type": "segmind", "host": url, "password": self.api_key, "extra": extra}

    def sample(self, kind: Literal["scene", "person"], number: int = 0) -> str:
        """
        Return the URL of a drawn picture.

        :param kind: ``scene``: a person in a place; ``person``: a person before a plain background.
        :param number: 0 to 5 show six people; further numbers repeat them.
        """
        return f"{self.url}/samples/{kind}/{number}.png"

    def _url_of(self, host: str) -> str:
        scheme = "https" if self._listener.ssl_context else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._listener.port}"

    # --- in the emulator's own thread ---

    def _call(self, work: Callable[[], T]) -> T:
        """Run a function in the emulator's thread, so that no lock is needed."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive() or thread is threading.current_thread():
            return work()

        async def there() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), loop).result()

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._main(started))
        except BaseException as problem:  # noqa: BLE001 - handed to the thread that waits in start()
            if not started.done():
                started.set_exception(problem)

    async def _main(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self._listener.open(self._routes.handle)
        started.set_result(None)
        await self._stopping.wait()
        await self._listener.close()
        self._pictures.close()


class Listener:
    """Listens on one address, in one event loop; port 0 becomes the one that was free."""

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
        """Start listening."""
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
            self._protocols.pre_shutdown()  # ends those without a request, which would use up the time
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
