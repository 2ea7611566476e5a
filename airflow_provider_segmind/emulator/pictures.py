"""Serve files: uploads unchanged, samples and swaps made at the first request."""

from __future__ import annotations

import asyncio
import http.client
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from airflow_provider_segmind.emulator import answers, paint, samples
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.endpoints import read_data_url
from airflow_provider_segmind.emulator.samples import Kind
from airflow_provider_segmind.emulator.settings import is_loopback
from airflow_provider_segmind.emulator.state import Asset, Job, State

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
    """Serves files; paints them in a thread of its own, each once; ``port`` recognises its own files."""

    def __init__(self, state: State, port: Callable[[], int]) -> None:
        self._state = state
        self._port = port
        self._cache: dict[str, bytes] = {}
        # One thread: painting holds the interpreter's lock most of the time, and polls must continue.
        self._threads = ThreadPoolExecutor(1, "segmind-emulator-painter")

    async def file(self, path: str) -> Answer:
        """Answer with the file at a URL path."""
        if asset := self._asset(path):
            if asset.media_type not in _SHOWN:
                return Answer(200, asset.data, "application/octet-stream", _DOWNLOAD)
            return Answer(200, asset.data, asset.media_type, _FILE)
        # What is made does not wait for what is being made.
        data = None if self._is_gone(path) else self._cache.get(path)
        data = data or await asyncio.get_running_loop().run_in_executor(self._threads, self._made, path)
        if data is None:
            return _NOT_FOUND
        media_type = "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png"
        return Answer(200, data, media_type, _FILE)

    def clear(self) -> None:
        """Forget all files but the uploads."""
        self._cache = {}  # another one: the thread may be about to add to the old one

    def close(self) -> None:
        """Stop the painting thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _asset(self, path: str) -> Asset | None:
        return self._state.assets.get(path.removeprefix("/assets/"))

    def _job(self, path: str) -> Job | None:
        return self._state.pictures.get(path.removeprefix("/outputs/"))

    def _is_gone(self, path: str) -> bool:
        """Whether it is the path of a job that has no picture, or none any more."""
        return (job := self._job(path)) is not None and not self._state.has_picture(job)

    # --- in the painting thread ---

    def _made(self, path: str) -> bytes | None:
        """Return a sample or a job's picture, made now unless it was before; None if there is none."""
        if self._is_gone(path):
            return None
        cache = self._cache
        if path not in cache:
            if (job := self._job(path)) is not None:
                cache[path] = self._swap(job)
            elif sample := _SAMPLE.fullmatch(path):
                kind: Kind = "scene" if sample[1] == "scene" else "person"
                cache[path] = samples.draw(kind, int(sample[2]), "PNG" if sample[3] == "png" else "JPEG")
            else:
                return None
            while sum(map(len, cache.values())) > MAX_CACHE_BYTES and len(cache) > 1:
                del cache[next(iter(cache))]
        return cache[path]

    def _swap(self, job: Job) -> bytes:
        scene = self._source("scene", job.inputs.get("character_image"))
        person = self._source("person", job.inputs.get("reference_character_image"))
        data = _paint_swap(scene, person)
        return data if self._state.like.form == "PNG" else paint.converted(data, "JPEG")

    def _source(self, kind: Kind, url: object) -> bytes:
        """Return the picture behind an input's URL, or a sample in its place."""
        return self._find(url) or samples.draw(kind, zlib.crc32(str(url).encode("utf-8", "replace")))

    def _find(self, url: object) -> bytes | None:
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
            asset = self._asset(parts.path)
            return asset.data if asset else self._made(parts.path)
        if parts.scheme == "http" and is_loopback(parts.hostname):
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            return _fetch(parts.hostname or "", port or 80, target or "/")
        return None


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
