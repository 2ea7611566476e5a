"""Make URLs for Segmind of pictures that only their owner can read."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import check_image
from airflow_provider_segmind.files.objects import input_path
from airflow_provider_segmind.files.pictures import is_url, look_at_picture, readable_url
from airflow_provider_segmind.hooks.segmind import SegmindHook

SHARES = ("upload", "sign")
THREADS = 4


def share_all(hook: SegmindHook, sources: Any, share: str, expires: float) -> list[str]:
    """
    Check all pictures, then return a URL for each.

    :param sources: paths and URIs; an ``https://`` URL is returned unchanged.
    :param share: ``upload`` or ``sign``.
    :param expires: seconds that a signed link is valid.
    """
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
