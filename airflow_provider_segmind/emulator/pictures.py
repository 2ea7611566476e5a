"""Serve files: uploads unchanged, samples and swaps made at the first request."""

from __future__ import annotations

import asyncio
import http.client
import re
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

from airflow_provider_segmind.emulator import answers, paint, samples
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.endpoints import read_data_url
from airflow_provider_segmind.emulator.paint import Form
from airflow_provider_segmind.emulator.samples import Kind
from airflow_provider_segmind.emulator.settings import is_loopback
from airflow_provider_segmind.emulator.state import Job, State

T = TypeVar("T")

FILE_PATHS = ("/outputs/", "/assets/", "/samples/")
MAX_CACHE_BYTES = 128 * 1024 * 1024
MAX_FETCH_BYTES = 32 * 1024 * 1024
_FETCH_SECONDS = 3.0
_NOT_FOUND = answers.error(404, "Not found")
_SAMPLE = re.compile(r"/samples/(scene|person)/(\d{1,9})\.(png|jpg)")
_FILE = (("Cache-Control", "public, max-age=604800"),)
_SHOWN = ("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp")
"""Upload types that a browser may show; any other type could hold a script."""
_DOWNLOAD = (*_FILE, ("Content-Disposition", "attachment"))


class Pictures:
    """Serves files, without painting on the event loop or a file twice at once; ``port`` recognises its own files."""

    def __init__(self, state: State, port: Callable[[], int]) -> None:
        self._state = state
        self._port = port
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._making: dict[str, asyncio.Task[bytes]] = {}
        # One thread: painting holds the interpreter's lock most of the time, and polls must continue.
        self._threads = ThreadPoolExecutor(1, "segmind-emulator-painter")

    async def file(self, path: str) -> Answer:
        """Answer with the file at a URL path."""
        if asset := self._state.assets.get(path.removeprefix("/assets/")):
            if asset.media_type not in _SHOWN:
                return Answer(200, asset.data, "application/octet-stream", _DOWNLOAD)
            return Answer(200, asset.data, asset.media_type, _FILE)
        job = self._state.pictures.get(path.removeprefix("/outputs/"))
        data = await self._made(path) if job is None or self._state.has_picture(job) else None
        if data is None:
            return _NOT_FOUND
        media_type = "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png"
        return Answer(200, data, media_type, _FILE)

    def clear(self) -> None:
        """Forget all files but the uploads."""
        self._cache.clear()
        self._cached_bytes = 0

    def close(self) -> None:
        """Stop the painting thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _made(self, path: str) -> bytes | None:
        if path in self._cache:
            self._cache.move_to_end(path)
            return self._cache[path]
        if path not in self._making:
            making = self._make(path)
            if making is None:
                return None
            self._making[path] = asyncio.ensure_future(self._keep(path, making))
            self._making[path].add_done_callback(lambda _: self._making.pop(path, None))
        # A client that disconnects must not cancel what others wait for.
        return await asyncio.shield(self._making[path])

    def _make(self, path: str) -> Awaitable[bytes] | None:
        if sample := _SAMPLE.fullmatch(path):
            kind: Kind = "scene" if sample[1] == "scene" else "person"
            form: Form = "PNG" if sample[3] == "png" else "JPEG"
            return self._in_thread(lambda: samples.draw(kind, int(sample[2]), form))
        job = self._state.pictures.get(path.removeprefix("/outputs/"))
        return self._swap(job) if job and self._state.has_picture(job) else None

    async def _swap(self, job: Job) -> bytes:
        scene = await self._source("scene", job.inputs.get("character_image"))
        person = await self._source("person", job.inputs.get("reference_character_image"))
        data = await self._in_thread(lambda: _paint_swap(scene, person))
        return data if self._state.like.form == "PNG" else await self._in_thread(lambda: paint.converted(data, "JPEG"))

    async def _source(self, kind: Kind, url: object) -> bytes:
        """Return the picture behind an input's URL, or a sample in its place."""
        number = zlib.crc32(str(url).encode("utf-8", "replace"))
        if found := await self._find(url):
            return found
        return await self._in_thread(lambda: samples.draw(kind, number))

    async def _find(self, url: object) -> bytes | None:
        if not isinstance(url, str):
            return None
        if asset := read_data_url(url):
            return asset.data
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if port == self._port() and parts.path.startswith(FILE_PATHS):
            answer = await self.file(parts.path)
            return answer.body if answer.status == 200 else None
        if parts.scheme == "http" and is_loopback(parts.hostname):
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            return await self._in_thread(lambda: _fetch(parts.hostname or "", port or 80, target or "/"))
        return None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _keep(self, path: str, making: Awaitable[bytes]) -> bytes:
        data = self._cache[path] = await making
        self._cached_bytes += len(data)
        while self._cached_bytes > MAX_CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1])
        return data


def _paint_swap(scene: bytes, person: bytes) -> bytes:
    try:
        return paint.swap(scene, person)
    except paint.NotAPictureError:
        # Real jobs fail on such inputs only sometimes, and late; here a picture is more useful than a failure.
        return paint.swap(samples.draw("scene", 0), samples.draw("person", 0))


def _fetch(host: str, port: int, target: str) -> bytes | None:
    connection = http.client.HTTPConnection(host, port, timeout=_FETCH_SECONDS)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        data = response.read(MAX_FETCH_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return data if response.status == 200 and len(data) <= MAX_FETCH_BYTES else None
