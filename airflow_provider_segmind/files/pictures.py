"""Make a picture readable for Segmind: a public URL is sent unchanged, anything else is uploaded."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import MAX_BYTES, NAMES, media_type_of
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.files.objects import read_up_to, size_of
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
