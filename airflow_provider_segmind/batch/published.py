"""Read a manifest from a storage, or from the web, where a sheet can be published, by the rules for any download."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_segmind.api.errors import InvalidRequestError, TransportError
from airflow_provider_segmind.api.texts import MAX_MANIFEST
from airflow_provider_segmind.api.transport import exchange
from airflow_provider_segmind.batch.files import read_file
from airflow_provider_segmind.files.fetching import Wanted, answer_of, body_of
from airflow_provider_segmind.hooks.segmind import SegmindHook

SECONDS = 120.0
"""For one download, with its redirects."""

_AGAIN = "Nothing was ordered now; a retry fetches it again."


def manifest_bytes(hook: SegmindHook, name: str, uri: str) -> bytes:
    """
    Return the bytes of a manifest.

    Of web servers, only public hosts and the connection's are asked, and none gets the API key.

    :param name: the operator's parameter, for error messages.
    :param uri: a path, a URI of object storage, or a URL.
    :raises InvalidRequestError: it is not there, may not be read, or is too large.
    :raises TransportError: a retry may help.
    """
    if urlsplit(uri.strip()).scheme.lower() in ("http", "https"):
        return _fetched(hook, name, uri)
    return read_file(name, uri)


def _fetched(hook: SegmindHook, name: str, url: str) -> bytes:
    wanted, url = Wanted(name, accept="*/*"), url.strip()
    said = wanted.said(url)
    with exchange(SECONDS) as whole, answer_of(hook, url, wanted, whole) as (answer, _):
        _check_status(said, answer.status_code)
        data = body_of(answer, url, wanted, whole, most=MAX_MANIFEST)
    if data is None:
        raise InvalidRequestError(f"{said} is larger than {MAX_MANIFEST // 2**20} MiB: split it.")
    return data


def _check_status(said: str, status: int) -> None:
    if status == 200:
        return
    if status == 429 or status >= 500 or status in (407, 408, 425):
        raise TransportError(f"{said} is answered with an error that can pass. {_AGAIN}", status=status)
    if status in (401, 403):
        raise InvalidRequestError(
            f"{said} may not be read: publish it for all who have the URL (Google Sheets: File > Share > Publish to "
            "web), or put the manifest into object storage.",
            status=status,
        )
    raise InvalidRequestError(f"{said} is not there: check the URL, and that it is still published.", status=status)
