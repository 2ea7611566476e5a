"""Read a picture from object storage, a path, or a public URL."""

from __future__ import annotations

from airflow_provider_segmind.files.download import download
from airflow_provider_segmind.files.pictures import is_url, read_whole
from airflow_provider_segmind.hooks.segmind import SegmindHook


def picture_bytes(hook: SegmindHook, name: str, uri: str) -> bytes:
    """
    Return the bytes of a file.

    :param hook: its connection decides which host may be in a private network, and which may receive the key.
    :param name: the operator's parameter, for error messages.
    """
    return download(hook, uri).data if is_url(uri) else read_whole(name, uri)
