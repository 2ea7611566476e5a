"""Objects of the memory in object storage: read, created once, or written whole."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError, TransportError
from airflow_provider_segmind.api.flow import Pause
from airflow_provider_segmind.api.memory import Create, Read, Replace, Size, Steps, identity
from airflow_provider_segmind.api.uris import SAME_STORAGE, shown
from airflow_provider_segmind.files.objects import memory_root, storage_error, storage_path
from airflow_provider_segmind.files.publish import create, write_whole

log = logging.getLogger(__name__)

T = TypeVar("T")

EXCLUSIVE = ("file", "s3", "gs", "abfss")
"""Storages that create an object only once, however many ask."""
PAUSES = (0.5, 2.0, 8.0)
"""Seconds between attempts to read or write during an outage; then the task's own retries follow."""
MAX_OBJECT = 2**20
"""Bytes of an object to read at most."""
THREADS = 16
_CHANGED = ("LastModified", "updated", "last_modified", "mtime")
_TAGS = ("ETag", "etag", "generation", "ino")
_PICTURE = re.compile(r"(?:^|/)(pictures/[0-9a-f]{2}/[0-9a-f]{64}\.\d+\.\d+\.\w+)$")
_NAME = "[segmind] memory"
_FINAL = ". Nothing was ordered now. Ask your Airflow administrator to correct [segmind] memory, or its connection."
_PASSING = "nothing was ordered now, and a retry tries again."


@dataclass(frozen=True, slots=True)
class Listed:
    """
    An object in a listing.

    :param stamp: another one after each change.
    :param changed_at: seconds since the epoch; ``None`` if the storage does not say.
    :param size: bytes.
    """

    name: str
    stamp: str
    changed_at: float | None
    size: int


def change_of(facts: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the stamp of an object and when it was changed, from what a listing says of it."""
    # As s3fs, gcsfs, adlfs and fsspec's own storage of files call it.
    changed = next((facts[name] for name in _CHANGED if name in facts), None)
    tag = next((facts[name] for name in _TAGS if name in facts), "")
    if isinstance(changed, str):
        with contextlib.suppress(ValueError):
            changed = datetime.fromisoformat(changed)
    at = changed.timestamp() if isinstance(changed, datetime) else changed
    return f"{tag} {changed} {facts.get('size')}", float(at) if isinstance(at, int | float) else None


class Store:
    """
    Objects below one folder of object storage.

    :param root: its URI.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._checked = threading.Lock()
        self._is_checked = False
        self._pool: ThreadPoolExecutor | None = None

    @cached_property
    def _top(self) -> ObjectStoragePath:
        return storage_path(_NAME, self.root)

    @cached_property
    def id(self) -> str:
        """What tells it from any other memory; read once for this process."""
        return self.run(identity(uuid.uuid4().hex[:16]))

    def path(self, name: str) -> ObjectStoragePath:
        """Return the path of an object."""
        path: ObjectStoragePath = self._top.joinpath(*name.split("/"))
        return path

    def uri_of(self, uri: str) -> str:
        """Return the URI of a stored picture by its name, or by the URI that it had before the memory was moved."""
        return str(self.path(found[1])) if (found := _PICTURE.search(uri)) else uri

    def run(
        self, steps: Steps[T], *, sleep: Callable[[float], None] = time.sleep, sizes: Mapping[str, int] | None = None
    ) -> T:
        """Do what some steps ask for, on this thread; the sizes of some pictures are known already."""
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Pause):
                    step.log()
                    sleep(step.seconds)
                    answer = None
                elif isinstance(step, Size) and sizes and (uri := self.uri_of(step.uri)) in sizes:
                    answer = sizes[uri]
                else:
                    answer = self.do(step, sleep)
        except StopIteration as end:
            result: T = end.value
            return result

    async def arun(self, steps: Steps[T]) -> T:
        """Do what some steps ask for, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="segmind-memory")
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Pause):
                    step.log()
                    await asyncio.sleep(step.seconds)
                    answer = None
                else:
                    answer = await loop.run_in_executor(self._pool, self.do, step)
        except StopIteration as end:
            result: T = end.value
            return result

    def do(self, step: Read | Create | Replace | Size, sleep: Callable[[float], None] = time.sleep) -> Any:
        """
        Do one step; try again for a while if the storage fails.

        :raises InvalidRequestError: if it cannot be a memory.
        :raises TransportError: if the storage fails or cannot be reached; a retry of the task may help.
        """
        for pause in PAUSES:
            try:
                return self._do_once(step)
            except TransportError as error:
                log.warning("%s Trying again in %.1f s.", error, pause)
                sleep(pause)
        return self._do_once(step)

    def _do_once(self, step: Read | Create | Replace | Size) -> Any:
        self.check()
        try:
            return self._do(step)
        except Exception as error:  # noqa: BLE001 - storage libraries raise any type
            raise self._known(error) from None

    def _do(self, step: Read | Create | Replace | Size) -> Any:
        match step:
            case Read(name):
                return self._read(name)
            case Create(name, data):
                return create(self.path(name), data)
            case Replace(name, data):
                write_whole(self.path(name), data)
                return None
            case Size(uri):
                try:
                    return int(ObjectStoragePath(self.uri_of(uri)).stat().st_size)
                except FileNotFoundError:
                    return None

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of all objects in a folder and those below it."""
        for listed in self.listed(folder):
            yield listed.name

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes of all objects in a folder in bytes, by URI."""
        return {str(self.path(listed.name)): listed.size for listed in self.listed(folder)}

    def listed(self, folder: str) -> Iterator[Listed]:
        """Yield all objects in a folder and those below it, with what the listing says of them."""
        with self._errors():
            top = self.path(folder)
            try:
                found = top.fs.find(top.path, detail=True)
            except FileNotFoundError:
                return
            finally:
                top.fs.invalidate_cache()  # the next look must be a new one
            start = top.fs._strip_protocol(str(self._top.path)).rstrip("/") + "/"
            for path, facts in found.items():
                name = str(path).removeprefix(start)
                if not name.rpartition("/")[2].startswith("."):
                    yield Listed(name, *change_of(facts), int(facts.get("size") or 0))

    def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        with self._errors():
            self._delete(self.path(name))

    @staticmethod
    def _delete(path: ObjectStoragePath) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.fs.rm_file(path.path)

    def check(self) -> None:
        """
        Check, once for this process, that the storage can keep a memory.

        :raises InvalidRequestError: if it does not create an object only once.
        """
        if not self._is_checked:
            with self._checked:
                self._is_checked = self._is_checked or self._is_exclusive()

    def _is_exclusive(self) -> bool:
        """Whether two cannot create the same object; raise if they can."""
        kind = self._top.protocol or "file"
        if SAME_STORAGE.get(kind, kind) not in EXCLUSIVE:
            raise InvalidRequestError(
                f"{_NAME} is {shown(self.root)}, a storage ({kind}) that cannot create an object only once, so two "
                "tasks could pay for the same swap. Ask your Airflow administrator for a folder in S3, Google "
                "Cloud Storage or Azure (abfss), or on a disk that all workers and triggerers share."
            )
        with self._errors():
            probe = self.path(f"probe-{uuid.uuid4().hex}")
            try:
                twice = create(probe, b"1") and create(probe, b"2")
            finally:
                self._delete(probe)
        if twice:
            raise InvalidRequestError(
                f"{_NAME} is {shown(self.root)}, whose server overwrites an object that is to be created only once "
                "(it does not know If-None-Match), so two tasks could pay for the same swap. Ask your Airflow "
                "administrator for a newer server, or for another storage."
            )
        return True

    def _read(self, name: str) -> bytes | None:
        path = self.path(name)
        try:
            # With an end it is one request; without, s3fs asks for the size first.
            data: bytes = path.fs.cat_file(path.path, start=0, end=MAX_OBJECT)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:  # S3 gives no part of what is empty
                return b""
            raise
        return data

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - storage libraries raise any type
            raise self._known(error) from None

    def _known(self, error: Exception) -> SegmindError:
        """Return a storage's error as ours."""
        known = error
        if not isinstance(known, SegmindError):
            known = storage_error(error, _NAME, self.root, "used", final=_FINAL, passing=_PASSING)
        # A mount or a right that is missing may come back, and without the memory a retry orders nothing either.
        known.retryable = known.retryable or isinstance(known, InvalidRequestError)
        return known


_stores: dict[str, Store] = {}


def store() -> Store | None:
    """Return the memory that the administrator has configured, if any."""
    root = memory_root()
    if not root:
        return None
    return _stores.setdefault(root, Store(root))


def the_memory() -> Store:
    """
    Return the memory.

    :raises InvalidRequestError: there is none.
    """
    where = store()
    if where is None:
        raise InvalidRequestError(
            f"There is no memory of swaps: {_NAME} is empty. Ask your Airflow administrator to set it to a folder in "
            "object storage."
        )
    return where


def owner_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a task from all others."""
    ti = context["ti"]
    map_index = getattr(ti, "map_index", None)
    return {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if map_index is None else map_index,
    }


def task_folder(owner: Mapping[str, Any]) -> str:
    """Return the folder of what a task keeps between its attempts, on an Airflow that keeps nothing itself."""
    return f"tasks/{hashlib.sha256(json.dumps(dict(owner), sort_keys=True).encode()).hexdigest()[:32]}"


def has_memory() -> bool:
    """Whether the administrator has configured a memory."""
    return store() is not None
