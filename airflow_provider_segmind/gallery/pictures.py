"""Read only files that the gallery may show: their URIs come from XComs, which many people may write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.media import media_type_of
from airflow_provider_segmind.files.objects import LOCAL, open_regular
from airflow_provider_segmind.gallery.roots import Root, allowed

MAX_PICTURE = 32 * 2**20
"""Bytes of a picture to show. A photograph of 50 megapixels has about 20 MB as JPEG."""
_CHUNK = 2**16  # memory that each slow client takes
_BLOCK = 4 * 2**20  # bytes per request to a storage; some use 50 MB per open file by default


class PictureError(Exception):
    """Something that is not shown: the HTTP status, and the reason for the user."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


def read_chunks(uri: str | None, within: Iterable[Root], limit: int) -> Iterator[bytes]:
    """Yield a file in small chunks if it is in one of the folders and has at most ``limit`` bytes, else raise."""
    within = tuple(within)
    if uri is None or not allowed(uri, within):
        raise PictureError(404, "There is no such picture, or [segmind] gallery_roots does not have its folder.")
    read = 0
    try:
        with _open(uri, within, limit) as file:
            while chunk := file.read(_CHUNK):
                read += len(chunk)
                _check_size(read, limit)
                yield chunk
    except PictureError:
        raise
    except Exception as error:
        # Storage libraries raise any type, and a stack trace in the browser would reveal too much.
        raise PictureError(404, f"The picture cannot be read ({type(error).__name__}).") from error


def read_allowed(uri: str | None, within: Iterable[Root], limit: int) -> bytearray:
    """Return a file's bytes if it may be shown; see ``read_chunks``."""
    data = bytearray()
    for chunk in read_chunks(uri, within, limit):
        data += chunk
    return data


def media_type(data: bytes) -> str:
    """Return the type of a picture from its first bytes, since a name or a storage can lie; raise if it is none."""
    kind = media_type_of(data)
    if kind is None:
        raise PictureError(415, "This is no PNG, JPEG or WebP.")
    return kind


def _open(uri: str, within: Iterable[Root], limit: int) -> IO[Any]:
    if urlsplit(uri).scheme in LOCAL:
        return _open_local(uri, within, limit)
    if "::" in uri:  # fsspec would cut it off there, and open another file
        raise PictureError(404, "There is no such picture.")
    path = ObjectStoragePath(uri)
    _check_size(path.stat().st_size, limit)
    file: IO[Any] = path.open("rb", block_size=_BLOCK)
    return file


def _open_local(uri: str, within: Iterable[Root], limit: int) -> IO[bytes]:
    path = Path(urlsplit(uri).path).resolve(strict=True)
    if not any(path.is_relative_to(_real(root)) for root in within if root.scheme == "file"):
        raise PictureError(404, "There is no such picture.")
    file = open(open_regular(str(path)), "rb")  # noqa: PTH123, SIM115 - of a descriptor; the caller closes it
    try:
        _check_size(os.fstat(file.fileno()).st_size, limit)
    except BaseException:
        file.close()
        raise
    return file


def _real(root: Root) -> Path:
    """Return the real path of a folder. Follow links only in the part that the administrator wrote out."""
    return Path(root.fixed or "/").resolve() / root.path.removeprefix(root.fixed).lstrip("/")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise PictureError(413, f"The picture has {size / 2**20:.0f} MB; up to {limit / 2**20:.0f} MB are shown.")
