"""What all requests of a run share: clients that record, the folder, the clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from airflow_provider_segmind.api.media import MAX_BYTES, format_of
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.transport import MOVED, RESULT_REDIRECTS, Exchange, Session, exchange, prepare_session
from airflow_provider_segmind.api.urls import is_local
from airflow_provider_segmind.api.wire import Answer, Failure, Request, Response
from airflow_provider_segmind.doctor.cassette import Folder, Reading, Recorder
from airflow_provider_segmind.doctor.redaction import Redactor
from airflow_provider_segmind.files.addresses import ForbiddenAddressError, PublicOnly, check_host
from airflow_provider_segmind.quality import reading

WRONG_KEY = "SG_not-a-key-of-anybody"
"""The key of a run without a key; nobody has it."""
_UNFETCHED = (requests.RequestException, urllib3.exceptions.HTTPError, ForbiddenAddressError, OSError, ValueError)


class Bench:
    """What all requests of a run share; ``InvalidRequestError`` if the folder holds the cassette of another host."""

    def __init__(
        self,
        settings: Settings,
        folder: Folder,
        *,
        say: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings, self.folder, self.say, self.clock, self.sleep = settings, folder, say, clock, sleep
        own = (settings.base_url, settings.storage_url, settings.history_url or "")
        self.redactor = Redactor(settings.api_key, {}, [urlsplit(url).hostname or "" for url in own])
        self.cassette = folder.cassette(self.redactor.url(settings.base_url))
        self.skipped: dict[str, str] = {}
        """Why a request was not sent, by its name."""
        self.notes: list[str] = []
        """What the person must know about the order."""
        self.balance: float | None = None
        self.uploads: dict[str, str] = {}
        self.pictures: dict[str, bytes] = {}
        self._session = prepare_session(_session(settings))
        self._files = prepare_session(_session(settings))
        if not is_local(settings.base_url):  # an emulator
            self._files.mount("https://", PublicOnly())
            self._files.mount("http://", PublicOnly())
        self.client = self.recorder(settings)

    @property
    def has_key(self) -> bool:
        """Whether there is a key."""
        return self.settings.api_key != WRONG_KEY

    def recorder(self, settings: Settings) -> Recorder:
        """Return a client with other settings that records into the same cassette."""
        client = Recorder(settings, self._session, clock=self.clock, sleep=self.sleep)
        client.cassette, client.redactor, client.saved = self.cassette, self.redactor, self.save
        return client

    def close(self) -> None:
        """Close all connections, and let other runs have the folder."""
        self._session.close()
        self._files.close()
        self.folder.close()

    def save(self) -> bool:
        """Keep the cassette; return whether it is kept. Never raises: the answer that came last may be to an order."""
        try:
            self.folder.write("cassette.json", self.cassette.to_bytes(self.settings.api_key))
        except OSError as error:
            self.say(f"The cassette cannot be written now ({error.strerror}).")
            return False
        return True

    def ask(self, step: str, request: Request, read: Reading | None = None, client: Recorder | None = None) -> Answer:
        """Send one request and record it under a name; ``read``: how the package reads the answer."""
        client = client or self.client
        client.step, client.read = step, read
        return client.send(request)

    def fetch(self, step: str, url: str, *, same_as: bytes = b"", scene: bytes = b"", seconds: float = 30.0) -> Answer:
        """Fetch a file as anybody can, without the key; record what it is, and nothing of what it shows."""
        began, at = time.monotonic(), self.clock()
        with exchange(seconds) as whole:
            answer, data, end = self._get(url, whole)
        facts: dict[str, Any] = {"redirected": True} if end != url else {}
        if isinstance(answer, Response) and answer.status == 200:
            kind = format_of(data)
            facts |= {"format": kind.name if kind else "no picture", "bytes": len(data)}
            facts |= {"same": data == same_as} if same_as else {}
            facts |= {"size": size_of(data), "scene": size_of(scene)} if scene else {}
        self.client.step, self.client.read = step, None
        self.client.record("GET", end, "no key", at, time.monotonic() - began, answer, **facts)
        return answer

    def _get(self, url: str, whole: Exchange) -> tuple[Answer, bytes, str]:
        """Return the answer, the file and its URL, after as many redirects as tasks follow."""
        for _ in range(RESULT_REDIRECTS + 1):
            answer, data = self._get_once(url, whole)
            if not isinstance(answer, Response) or answer.status not in MOVED or "location" not in answer.headers:
                break
            with contextlib.suppress(ValueError):
                url = urljoin(url, answer.headers["location"])
        return answer, data, url

    def _get_once(self, url: str, whole: Exchange) -> tuple[Answer, bytes]:
        data = bytearray()
        try:
            if not is_local(self.settings.base_url):
                check_host(urlsplit(url).hostname or "")  # a proxy would not
            with self._files.get(url, stream=True, timeout=(5, 20), allow_redirects=False) as answer:
                while (chunk := answer.raw.read1(65536, decode_content=False)) and len(data) < MAX_BYTES:
                    data += chunk
                fields = {name.lower(): value for name, value in answer.headers.items()}
                # Of a file nothing is recorded; of a refusal the words are.
                body = b"" if answer.status_code == 200 else bytes(data[:4096])
                return Response(answer.status_code, fields, body, self.clock()), bytes(data)
        except _UNFETCHED as error:
            return Failure(whole.sent, type(error).__name__), b""


def _session(settings: Settings) -> requests.Session:
    session = Session()
    session.verify = settings.verify
    session.proxies.update(settings.proxies)
    return session


def size_of(data: bytes) -> list[int] | None:
    """Return width and height of a picture; ``None`` if it cannot be read."""
    try:
        return list(reading.look(data).size)
    except reading.UnreadableError:
        return None
