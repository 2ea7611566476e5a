"""Get a picture's bytes from wherever it is: object storage, a path, or a URL that anyone can read."""

from __future__ import annotations

from airflow_provider_segmind.files.download import download
from airflow_provider_segmind.files.pictures import is_url, read_whole
from airflow_provider_segmind.hooks.segmind import SegmindHook


def picture_bytes(hook: SegmindHook, name: str, uri: str) -> bytes:
    """
    Return the bytes of a file.

    :param hook: its connection says which host may be in a private network, and which may receive the key.
    :param name: the parameter that named it, for messages.
    :param uri: an ``https://`` URL, a path, or a URI that Airflow's object storage reads.
    :raises InvalidRequestError: when it cannot be read, may not be fetched, or is too large.
    :raises SegmindError: when it could not be fetched, see :func:`airflow_provider_segmind.files.download.download`.
    """
    return download(hook, uri).data if is_url(uri) else read_whole(name, uri)
