"""Make a picture readable for Segmind: a public URL is sent unchanged, anything else is uploaded."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import MAX_BYTES, NAMES, media_type_of
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import check_image
from airflow_provider_segmind.files.objects import input_path, read_up_to, size_of
from airflow_provider_segmind.hooks.segmind import SegmindHook


def readable_url(hook: SegmindHook, name: str, uri: str) -> str:
    """Return a URL of a picture, after an upload if it has none."""
    # An upload is public and cannot be deleted, so a file is uploaded only if its bytes show a picture.
    if is_url(uri):
        return uri
    data, media_type = read_picture(name, uri)
    return hook.upload(data, media_type=media_type)


def is_url(uri: str) -> bool:
    """Return whether it is a URL that goes to Segmind unchanged."""
    return urlsplit(uri).scheme.lower() in ("http", "https", "data")


def read_picture(name: str, uri: str) -> tuple[bytes, str]:
    """Return a picture's bytes and media type; raise if it is unreadable, too large, or not a picture."""
    data = read_whole(name, uri)
    return data, _type_of(name, uri, data)


def read_whole(name: str, uri: str) -> bytes:
    """Return a file's bytes unchecked; raise if it is unreadable or too large for a picture."""
    data = read_up_to(MAX_BYTES + 1, name, uri)
    if len(data) > MAX_BYTES:
        raise _too_large(name, uri)
    return data


def look_at_picture(name: str, uri: str) -> None:
    """Check that a picture can be read and is not too large, by its first bytes and its size."""
    _type_of(name, uri, read_up_to(16, name, uri))
    if size_of(name, uri) > MAX_BYTES:
        raise _too_large(name, uri)


def _type_of(name: str, uri: str, data: bytes) -> str:
    media_type = media_type_of(data)
    if media_type is None:
        raise InvalidRequestError(
            f"{name} {shown(uri)!r} is not a {NAMES} picture, so it is not uploaded: check the path."
        )
    return media_type


def _too_large(name: str, uri: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} {shown(uri)!r} is larger than {MAX_BYTES // 2**20} MiB: give a smaller picture."
    )


SHARES = ("upload", "sign")
THREADS = 4


def share_all(hook: SegmindHook, sources: Any, share: str, expires: float) -> list[str]:
    """Check all pictures, then upload or sign each, and return the URLs; a link expires after some seconds."""
    if isinstance(sources, bytes) or not hasattr(sources, "__iter__"):
        raise InvalidRequestError(
            f"source is {shown(sources)}: the DAG's author gives a path, a URI or a list of those."
        )
    uris = [check_image(f"source[{index}]", uri) for index, uri in enumerate(sources)]
    _each(lambda uri: None if is_url(uri) else look_at_picture("source", uri), uris)
    _ = hook.settings  # look up the connection once, before the threads start
    if share == "sign":
        return [uri if is_url(uri) else _signed(uri, expires) for uri in uris]
    return _each(lambda uri: readable_url(hook, "source", uri), uris)


def _each(what: Any, uris: Iterable[str]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(what, uris))


def _signed(uri: str, expires: float) -> str:
    path = input_path("source", uri)
    try:
        url = str(path.fs.sign(path.path, expiration=int(expires)))
    except (NotImplementedError, AttributeError) as error:
        raise InvalidRequestError(
            f"source {shown(uri)!r} is in a storage that cannot sign links ({path.protocol or 'file'}): the DAG's "
            "author uses share='upload'."
        ) from error
    if urlsplit(url).scheme not in ("http", "https"):
        raise InvalidRequestError(f"source {shown(uri)!r} was signed as something that is no URL: use share='upload'.")
    return url
