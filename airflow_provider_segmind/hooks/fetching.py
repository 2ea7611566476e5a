"""Get a picture's bytes from wherever it is: object storage, a path, or a URL that anyone can read."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.hooks.download import download
from airflow_provider_segmind.hooks.pictures import MAX_PICTURE, is_url
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.hooks.storage import read_up_to


def picture_bytes(hook: SegmindHook, name: str, uri: str) -> bytes:
    """
    Return the bytes of a file.

    :param hook: its connection says which host may be in a private network, and which may receive the key.
    :param name: the parameter that named it, for messages.
    :param uri: an ``https://`` URL, a path, or a URI that Airflow's object storage reads.
    :raises InvalidRequestError: when it cannot be read, may not be fetched, or is too large.
    :raises SegmindError: when it could not be fetched, see :func:`airflow_provider_segmind.hooks.download.download`.
    """
    if is_url(uri):
        with TemporaryDirectory() as folder:
            return download(hook, uri, Path(folder)).path.read_bytes()
    data = read_up_to(MAX_PICTURE + 1, name, uri)
    if len(data) > MAX_PICTURE:
        raise InvalidRequestError(f"{name} {uri!r} is larger than {MAX_PICTURE // 2**20} MiB: give a smaller picture.")
    return data
