"""Make a picture readable for Segmind: a public URL goes as it is, anything else is read and uploaded."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.hooks.segmind import SegmindHook

MAX_PICTURE = 50 * 1024 * 1024
"""Bytes of a picture that is uploaded; the whole of it is held in memory and sent as base64."""


def readable_url(hook: SegmindHook, name: str, uri: str) -> str:
    """
    Return an ``https://`` URL of a picture, uploading it if it has none.

    :param hook: sends the upload.
    :param name: the input's name, for messages.
    :param uri: an ``http(s)://`` URL, which is returned as it is, or a path, ``file://``, ``s3://`` or any other
        URI that Airflow's object storage reads.
    :raises InvalidRequestError: when it cannot be read, or is no picture. An upload is public and cannot be deleted,
        so only what its bytes show to be a PNG, JPEG or WebP leaves.
    """
    if urlsplit(uri).scheme.lower() in ("http", "https", "data"):
        return uri
    data = _read(name, uri)
    media_type = media_type_of(data)
    if media_type is None:
        raise InvalidRequestError(
            f"{name} {uri!r} is not a PNG, JPEG or WebP picture, so it is not uploaded: check the path."
        )
    return hook.upload(data, media_type=media_type)


def media_type_of(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes, or ``None`` if it is none that Segmind takes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _read(name: str, uri: str) -> bytes:
    try:
        with ObjectStoragePath(uri).open("rb") as file:
            data: bytes = file.read(MAX_PICTURE + 1)
    except (OSError, ValueError, ImportError) as error:
        raise InvalidRequestError(
            f"{name} {uri!r} cannot be read ({type(error).__name__}: {error}): check the path and who may read it."
        ) from error
    if len(data) > MAX_PICTURE:
        raise InvalidRequestError(f"{name} {uri!r} is larger than {MAX_PICTURE // 2**20} MiB: give a smaller picture.")
    return data
