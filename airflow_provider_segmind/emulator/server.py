"""The emulator as a context manager, with its own thread, event loop and socket."""

from __future__ import annotations

import asyncio
import functools
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType, TracebackType
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from airflow_provider_segmind.emulator.answers import RateLimitHeaders
from airflow_provider_segmind.emulator.control import Control
from airflow_provider_segmind.emulator.faults import Fault
from airflow_provider_segmind.emulator.journal import Journal, Recorded
from airflow_provider_segmind.emulator.listener import Listener
from airflow_provider_segmind.emulator.pictures import Pictures
from airflow_provider_segmind.emulator.records import Charge, JobView
from airflow_provider_segmind.emulator.routes import Routes
from airflow_provider_segmind.emulator.settings import DEFAULT_KEY, Auth, OutputAs, Settings, UploadAs
from airflow_provider_segmind.emulator.state import State

T = TypeVar("T")


class Emulator:
    """
    A local Segmind; use it in a ``with`` statement, or call `start` and `stop`.

    :param host: Address to listen on.
    :param port: Port to listen on; 0: a free one.
    :param api_key: The accepted key.
    :param auth: The accepted header: ``both``, ``bearer`` or ``x-api-key``.
    :param credits: Balance in US dollars.
    :param free_credits: Free balance in US dollars, spent first.
    :param price: US dollars per accepted submit.
    :param requests_per_minute: Requests per minute before a 429; None: no limit.
    :param rate_limit_headers: How a 429 gives the wait: ``retry-after``, ``http-date``, ``reset``
        (``x-rate-limit-reset-at-utc`` as ISO 8601), ``reset-epoch`` (the same in seconds) or ``none``.
    :param rate_window: Seconds in the rate limit's minute, for faster tests.
    :param job_seconds: Seconds that a job takes, or a (low, high) range.
    :param job_polls: Polls that find a job unfinished, whatever the time.
    :param record_seconds: Seconds after a job's end from which its polls answer 404; None: never.
    :param output_as: ``string`` (JSON in a string, as documented) or ``list``.
    :param upload_as: Name of the URLs in an upload's answer: ``file_urls`` or ``urls``.
    :param latency: Seconds added to every answer.
    :param history: Whether there is a request history.
    :param ssl_context: Serve https with this.
    :param names: Host names under which others reach it, such as its service's name in docker compose. Requests for
        other hosts, except addresses and ``localhost``, are refused.
    :param seed: Decides ids and durations.
    :param announce: Called in the emulator's thread with ``submitted`` or ``finished`` and the job.
    :param clock: Returns seconds since the epoch, for tests that skip time.
    :raises ValueError: If a value is invalid.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = DEFAULT_KEY,
        auth: Auth = "both",
        credits: float = 100.0,  # noqa: A002 - it is what the API calls it
        free_credits: float = 0.0,
        price: float = 0.2687,
        requests_per_minute: int | None = None,
        rate_limit_headers: RateLimitHeaders = "retry-after",
        job_seconds: float | tuple[float, float] = 0.0,
        job_polls: int = 0,
        record_seconds: float | None = None,
        output_as: OutputAs = "string",
        latency: float = 0.0,
        history: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        seed: int = 0,
        *,
        names: Sequence[str] = (),
        upload_as: UploadAs = "file_urls",
        rate_window: float = 60.0,
        announce: Callable[[str, JobView], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings = Settings(
            api_key=api_key,
            auth=auth,
            credits=credits,
            free_credits=free_credits,
            price=price,
            requests_per_minute=requests_per_minute,
            rate_limit_headers=rate_limit_headers,
            rate_window=rate_window,
            job_seconds=job_seconds,
            job_polls=job_polls,
            record_seconds=record_seconds,
            output_as=output_as,
            upload_as=upload_as,
            latency=latency,
            history=history,
            seed=seed,
        )
        self._listener = Listener(host, port, ssl_context)
        self._journal = Journal()
        self._state = State(settings, clock, announce)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- what happened ---

    @property
    def url(self) -> str:
        """The URL it listens on."""
        host = self._listener.host
        scheme = "https" if self._listener.ssl_context else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._listener.port}"

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
        return self._call(lambda: self._state.settings.changed())

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
        self._call(lambda: self.go_dark(seconds))

    def set(self, **changes: Any) -> None:
        """
        Change settings while running.

        :param changes: New values, by the names of the constructor's parameters.
        :raises ValueError: If a name or a value is unknown.
        """
        self._call(lambda: self.change(**changes))

    def finish_jobs(self) -> None:
        """Let all accepted jobs end now."""
        self._call(self._state.finish_jobs)

    def reset(self) -> None:
        """Forget jobs, bills, requests, uploads and faults; restore the initial settings and balance."""
        self._call(self.start_over)

    def airflow_connection(self) -> dict[str, Any]:
        """Return an Airflow connection to this emulator, in the JSON form of ``AIRFLOW_CONN_…``."""
        url, extra = self.url, {}
        if self._names:
            parts = urlsplit(url)
            url, extra = f"{parts.scheme}://{self._names[0]}:{parts.port}", {"emulator_host": self._names[0]}
        extra = {"storage_url": url, "history_url": url, **extra}
        return {"conn_type": "segmind", "host": url, "password": self.api_key, "extra": extra}

    def sample(self, kind: Literal["scene", "person"], number: int = 0) -> str:
        """
        Return the URL of a drawn picture.

        :param kind: ``scene``: a person in a place; ``person``: a person before a plain background.
        :param number: Each number shows another person.
        """
        return f"{self.url}/samples/{kind}/{number}.png"

    # --- in the emulator's own thread ---

    def go_dark(self, seconds: float) -> None:
        """
        Stop listening; only in the emulator's thread, others call `outage`.

        :param seconds: Length of the outage.
        """
        self._listener.go_dark(seconds)

    def change(self, **changes: Any) -> None:
        """
        Change settings; only in the emulator's thread, others call `set`.

        :param changes: New values by name.
        """
        self._state.settings = self._state.settings.changed(**changes)

    def start_over(self) -> None:
        """Forget everything; only in the emulator's thread, others call `reset`."""
        self._state.reset()
        self._journal.clear()
        self._pictures.clear()

    def _call(self, work: Callable[[], T]) -> T:
        """Run a function in the emulator's thread, so that no lock is needed."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive() or thread is threading.current_thread():
            return work()
        done: Future[T] = Future()
        loop.call_soon_threadsafe(functools.partial(_fulfil, done, work))
        return done.result()

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


def _fulfil(done: Future[T], work: Callable[[], T]) -> None:
    try:
        done.set_result(work())
    except BaseException as problem:  # noqa: BLE001 - raised in the thread that asked
        done.set_exception(problem)
