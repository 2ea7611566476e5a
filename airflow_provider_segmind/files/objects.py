"""
Object storage for tasks: only protocols that Airflow knows, and inputs only from allowed folders.
The URI of an input is not trusted: it may come from a person who triggers a DAG, an XCom, or a manifest.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import has_fs

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError, TransportError
from airflow_provider_segmind.api.uris import SAME_STORAGE, cause, local_path, shown
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.files.faults import storage_failure

LOCAL = ("", "file", "local")
"""Protocols of local files."""
SYSTEM = ("/dev", "/etc", "/proc", "/run", "/sys", "/var/run")
"""Folders that tasks must not read, unless an administrator allows a folder in them."""

PACKAGES = {
    "s3": ("s3", "apache-airflow-providers-amazon[s3fs]"),
    "gs": ("gcs", "apache-airflow-providers-google"),
    **dict.fromkeys(("abfss", "wasbs", "adl"), ("azure", "apache-airflow-providers-microsoft-azure")),
}
"""This package's extra, and the package, that reads a storage, by scheme."""

_DROPPED = re.compile(r"[\0\t\r\n]")
"""Signs that urlsplit drops, or no storage has."""

_Place = tuple[str, str, str]
"""Protocol, connection, and path with the bucket; a local path has its links resolved."""


def storage_path(name: str, uri: str) -> ObjectStoragePath:
    """Return a path in a storage that this Airflow knows, or raise."""
    _check_dropped(name, uri)
    # Airflow passes any other protocol to fsspec, which can read from web servers and foreign clusters.
    try:
        parts = urlsplit(uri)
        known = parts.scheme in LOCAL or has_fs(parts.scheme)
        if known:
            _check_chain(name, uri)
        if known and ":" not in parts.netloc.rpartition("@")[0]:
            with _errors(name, uri):
                return ObjectStoragePath(uri)
    except InvalidRequestError:
        raise
    except (ValueError, ImportError) as error:
        raise InvalidRequestError(f"{name} {shown(uri)!r} is no URI of a file ({cause(error)}): check it.") from None
    if known:
        # Airflow would look for a connection of that name, and log the password with the error.
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} has a password before '@', where Airflow's object storage takes the id of a "
            "connection: keep the password in a connection and name that."
        )
    raise InvalidRequestError(
        f"{name} {shown(uri)!r} cannot be read or written: it is in no storage that this Airflow knows. "
        f"{package_advice(uri)}"
    )


def _check_chain(name: str, uri: str) -> None:
    """Raise if fsspec would divide a URI at two colons, and read or write what stands before them."""
    if "::" in uri and not uri.startswith("/"):
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} has two colons (::) in it, at which Airflow's object storage cuts it off, so that "
            "it would be another file: give it another name."
        )


def _check_dropped(name: str, uri: str) -> None:
    if _DROPPED.search(uri):
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} has a line break, a tab or a NUL in it, which Airflow's object storage drops, so "
            "that it would be another file: write it without, or give the file another name."
        )


@contextmanager
def storage_errors(name: str, uri: str, done: str, *, final: str, passing: str) -> Iterator[None]:
    """
    Raise a storage's errors as ours, with the parameter, the URI and the reason.

    :param done: what cannot be done, such as ``read``.
    :param final: the end of the sentence, with the advice, if no retry can help.
    :param passing: the advice if a retry may help.
    """
    try:
        yield
    except SegmindError:
        raise
    except Exception as error:  # noqa: BLE001 - storage libraries raise any type
        # Without the cause: a traceback would show secrets in the URI.
        raise storage_error(error, name, uri, done, final=final, passing=passing) from None


def storage_error(error: Exception, name: str, uri: str, done: str, *, final: str, passing: str) -> SegmindError:
    """Return a storage's error as ours, see :func:`storage_errors`."""
    said = f"{name} {shown(uri)!r} cannot be {done} ({cause(error)})"
    if isinstance(error, ImportError):
        return InvalidRequestError(f"{said}. {package_advice(uri)}")
    if storage_failure(error) == "final":
        return InvalidRequestError(f"{said}{final}")
    return TransportError(f"{said}. The storage fails or cannot be reached now: {passing}")


def package_advice(uri: str) -> str:
    """Return what to install for the storage of a URI."""
    scheme = uri.partition(":")[0]
    extra, package = PACKAGES.get(SAME_STORAGE.get(scheme, scheme), ("", ""))
    if not package:
        return "Check the part before '://', or have Airflow's provider for that storage installed."
    own = f"airflow-provider-segmind[{extra}]"
    return f"Ask your Airflow administrator to install {package}, as {own} does, wherever tasks run."


def memory_root() -> str:
    """Return the URI of the folder of the memory of swaps, as the administrator set it; empty for none."""
    return (conf.get("segmind", "memory", fallback="") or "").strip().rstrip("/")


def is_remembered(uri: str) -> bool:
    """Whether a URI leads to a stored picture of the memory of swaps."""
    root = memory_root()
    if not root:
        return False
    place = _place(uri)
    return _is_below(place, _place(f"{root}/pictures")) and not _climbs(place)


def remembered_path(name: str, uri: str) -> ObjectStoragePath:
    """Return the path of a stored picture of the memory of swaps; raise for any other place."""
    if is_remembered(uri):
        return storage_path(name, uri)
    raise InvalidRequestError(
        f"{name} {shown(uri)!r} is neither a URL nor a picture of the memory of swaps, so it is not fetched. Check "
        "where it comes from, and [segmind] memory."
    )


def input_path(name: str, uri: str) -> ObjectStoragePath:
    """Return the path of an input below ``[segmind] input_roots``, or if unset, outside of ``SYSTEM``; else raise."""
    _check_dropped(name, uri)
    roots = _roots(conf.get("segmind", "input_roots", fallback="") or "")
    try:
        place = _place(uri)
    except ValueError as error:
        raise InvalidRequestError(f"{name} {shown(uri)!r} cannot be read ({cause(error)}): check the path.") from None
    if roots and (_climbs(place) or not any(_is_below(place, root) for root in roots)):
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} is below no folder that [segmind] input_roots names, so it is not read. Give a "
            "file from one of those folders, or ask your Airflow administrator to add the file's folder there."
        )
    local = place[0] == "file"
    if local and not roots and any(_is_below((*place[:2], place[2].casefold()), folder) for folder in _system()):
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} is in a folder of the system, from which nothing is read. Check the path. If it is "
            "right, ask your Airflow administrator to name all folders that tasks may read in [segmind] input_roots."
        )
    return ObjectStoragePath(place[2]) if local else storage_path(name, uri)


def read_up_to(size: int, name: str, uri: str) -> bytes:
    """Return the first ``size`` bytes of an input."""
    with _opened(name, uri) as file:
        data: bytes = file.read(size)
    return data


def size_of(name: str, uri: str) -> int:
    """Return the size of an input in bytes."""
    with _errors(name, uri):
        return int(input_path(name, uri).stat().st_size)


def open_regular(path: str) -> int:
    """Open a regular file by its real path and return its descriptor; follow no link, even one made meanwhile."""
    # O_PATH: a folder may be traversable but not readable. O_NONBLOCK: a pipe must not block us.
    through = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
    folder = os.open("/", through)
    *folders, last = path.strip("/").split("/")
    try:
        for part in folders:
            inner = os.open(part, through, dir_fd=folder)
            os.close(folder)
            folder = inner
        file = os.open(last or ".", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no file")
    return file


@contextmanager
def _opened(name: str, uri: str) -> Iterator[Any]:
    path = input_path(name, uri)
    with _errors(name, uri):
        if path.protocol not in LOCAL:
            with path.open("rb") as file:
                yield file
            return
        held = open_regular(path.path)
        try:
            with path.open("rb") as file:
                if not os.path.sameopenfile(held, file.fileno()):
                    raise PermissionError("another file took its place")
                yield file
        finally:
            os.close(held)


def _errors(name: str, uri: str) -> AbstractContextManager[None]:
    final, passing = ": check the path and who may read it.", "a retry reads it again, which costs nothing."
    return storage_errors(name, uri, "read", final=final, passing=passing)


@lru_cache(maxsize=8)
def _roots(said: str) -> tuple[_Place, ...]:
    roots = []
    for uri in re.split(r"[,\n]", said):
        if uri.strip():
            scheme = urlsplit(uri.strip()).scheme
            if not scheme and not uri.strip().startswith("/"):
                raise InvalidRequestError(
                    f"[segmind] input_roots has {uri.strip()!r}, which is not an absolute path or a URI. Ask your "
                    "Airflow administrator to correct it."
                )
            roots.append(_place(uri.strip()))
    return tuple(roots)


@lru_cache(maxsize=1)
def _system() -> tuple[_Place, ...]:
    return tuple(dict.fromkeys(_place(uri) for uri in SYSTEM)) + tuple(("file", "", uri) for uri in SYSTEM)


def _place(uri: str) -> _Place:
    """Return the place that a URI leads to, split as Airflow splits it."""
    parts = urlsplit(uri)
    if parts.scheme in LOCAL:
        try:
            real = os.path.realpath(os.path.expanduser(_local(uri)))  # noqa: PTH111 - not a Path
        except OSError as error:  # a link disappeared meanwhile
            raise InvalidRequestError(
                f"{shown(uri)} changed while it was looked at: try again ({type(error).__name__})."
            ) from None
        return "file", "", "/" + real.strip("/")
    connection, _, host = parts.netloc.rpartition("@")
    key = uri.partition("://")[2].removeprefix(parts.netloc)
    return SAME_STORAGE.get(parts.scheme, parts.scheme), connection, f"{host}{key}".rstrip("/")


def _local(uri: str) -> str:
    """Return the path of a local file: literal, or if it is there, as ``Path.as_uri`` encodes or a Mac stores it."""
    # fsspec would cut it off at two colons.
    path = str(ObjectStoragePath(uri.replace("::", "\0")).path).replace("\0", "::")
    encoded = uri.lower().startswith(("file:", "local:"))
    # Of a name with accents, a Mac stores another form than most keyboards write.
    others = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
    names = (path, local_path(path) if encoded else path, *others)
    return next((one for one in names if os.path.lexists(one)), path)


def _is_below(place: _Place, root: _Place) -> bool:
    """Return whether a place is below a folder of the same storage and connection."""
    folder = root[2].rstrip("/")
    return place[:2] == root[:2] and (not folder or place[2].startswith(f"{folder}/"))


def _climbs(place: _Place) -> bool:
    """Return whether a storage could interpret a path as leading upwards."""
    return not {".", ".."}.isdisjoint(re.split(r"[/\\]", unquote(place[2])))
