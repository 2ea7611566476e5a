"""Read what the gallery may show, and nothing else: URIs come from XComs, which many people may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.media import media_type_of
from airflow_provider_segmind.hooks.compat import conf

MAX_PICTURE = 32 * 2**20
"""Bytes of a picture that is shown. A photograph of 50 megapixels has about 20 MB as JPEG."""

# Reading from these would be a request of the API server's to an address that somebody wrote into an XCom.
_NO_STORAGE = ("", "http", "https")


class PictureError(Exception):
    """
    Something that is not shown.

    :param status: the HTTP status that says so.
    :param said: why, for the person who looks.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Root:
    """
    A folder whose pictures may be shown.

    :param scheme: of its URI.
    :param netloc: of its URI: bucket, and connection if one is named.
    :param path: without a slash at its end.
    """

    scheme: str
    netloc: str
    path: str


def roots() -> tuple[Root, ...]:
    """Return the folders that the administrator lets the gallery show: ``[segmind] gallery_roots``."""
    said = conf.get("segmind", "gallery_roots", fallback="") or ""
    return roots_of(said.replace("\n", ",").split(","))


def roots_of(uris: Iterable[str]) -> tuple[Root, ...]:
    """Return the folders that URIs name; what is no folder of an object storage is left out."""
    split = (_split(uri.strip().rstrip("/")) for uri in uris if uri.strip())
    return tuple(Root(*parts) for parts in split if parts is not None and any(parts[1:]))


def allowed(uri: str | None, within: Iterable[Root]) -> bool:
    """
    Whether a URI is below one of the folders, read as strictly as it can be.

    :param uri: a URI, or a path on this machine.
    :param within: the folders.
    """
    parts = _split(uri) if uri else None
    if parts is None:
        return False
    scheme, netloc, path = parts
    return any(
        scheme == root.scheme and netloc == root.netloc and path.startswith(f"{root.path}/") and path != f"{root.path}/"
        for root in within
    )


def read_allowed(uri: str | None, within: Iterable[Root], limit: int) -> bytes:
    """
    Return a file's bytes, if it may be shown.

    :param uri: where it is.
    :param within: the folders whose files may be shown.
    :param limit: bytes; a larger one is not read at all.
    :raises PictureError: when it may not be shown, is not there, or is too large.
    """
    within = tuple(within)
    if uri is None or not allowed(uri, within):
        raise PictureError(404, "There is no such picture, or [segmind] gallery_roots does not have its folder.")
    try:
        local = urlsplit(uri).scheme in ("", "file", "local")
        return _read_local(uri, within, limit) if local else _read_remote(uri, limit)
    except PictureError:
        raise
    except Exception as error:
        # Whatever a storage's library raises: a stack trace in the browser helps nobody, and tells too much.
        raise PictureError(404, f"The picture cannot be read ({type(error).__name__}).") from error


def media_type(data: bytes) -> str:
    """
    Return what a picture is, by how it begins: what a name or a storage says can be wrong on purpose.

    :raises PictureError: when it is none of the three kinds that carry no script.
    """
    kind = media_type_of(data)
    if kind is None:
        raise PictureError(415, "This is no PNG, JPEG or WebP.")
    return kind


def _split(uri: str) -> tuple[str, str, str] | None:
    """Return scheme, netloc and path, or nothing for what can be read in more than one way."""
    if any(sign in uri for sign in ("?", "#", "\\", "::")) or not uri.isprintable():
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    scheme = parts.scheme or ("file" if uri.startswith("/") else "")
    scheme = "file" if scheme == "local" else scheme
    plain = normpath(unquote(parts.path)) == parts.path and not parts.path.startswith("//")
    if scheme in _NO_STORAGE or not (plain or not parts.path) or (scheme == "file" and parts.netloc):
        return None
    return scheme, parts.netloc, parts.path


def _read_local(uri: str, within: Iterable[Root], limit: int) -> bytes:
    path = Path(urlsplit(uri).path).resolve(strict=True)
    places = [Path(root.path or "/").resolve() for root in within if root.scheme == "file"]
    if not any(path.is_relative_to(place) for place in places):
        raise PictureError(404, "There is no such picture.")
    # A link that takes its place from now on is not followed, and a pipe does not keep us waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise PictureError(404, "There is no such picture.")
        _check_size(found.st_size, limit)
        return _whole(file.read(limit + 1), limit)


def _read_remote(uri: str, limit: int) -> bytes:
    path = ObjectStoragePath(uri)
    _check_size(path.stat().st_size, limit)
    with path.open("rb") as file:
        return _whole(file.read(limit + 1), limit)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise PictureError(413, f"The picture has {size / 2**20:.0f} MB; up to {limit / 2**20:.0f} MB are shown.")


def _whole(data: bytes, limit: int) -> bytes:
    _check_size(len(data), limit)
    return data
