"""Download a manifest that is published on the web, like a sheet of Google, by the rules for any other download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import requests

from airflow_provider_segmind.api.errors import InvalidRequestError, TransportError
from airflow_provider_segmind.api.texts import MAX_MANIFEST
from airflow_provider_segmind.api.transport import Exchange, exchange
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.files.download import _MOVED, MAX_REDIRECTS, _check_length, _chunks, _open
from airflow_provider_segmind.hooks.segmind import SegmindHook

SECONDS = 120.0
"""For one download, with its redirects."""

_AGAIN = "Nothing was ordered now; a retry fetches it again."


def on_the_web(uri: str) -> bool:
    """Return whether a manifest is fetched from a web server."""
    return urlsplit(uri.strip()).scheme.lower() in ("http", "https")


def fetch_manifest(hook: SegmindHook, name: str, url: str) -> bytes:
    """
    Return the bytes behind a URL. The API key is sent to no host, and only public hosts and the connection's are asked.

    :param name: the operator's parameter, for error messages.
    :raises InvalidRequestError: it is not there, may not be read, or is too large.
    :raises TransportError: a retry may help.
    """
    target = url.strip()
    said = f"{name} {shown(url)!r}"
    with exchange(SECONDS) as whole:
        for _ in range(MAX_REDIRECTS + 1):
            with _worded(said), _open(hook, target, whole, with_key=False) as answer:
                if answer.status_code not in _MOVED:
                    _check_status(said, answer.status_code)
                    return _read(said, answer, target, whole)
                target = urljoin(target, answer.headers.get("location", ""))
    raise InvalidRequestError(f"{said} leads through more than {MAX_REDIRECTS} redirects: give the URL at their end.")


@contextmanager
def _worded(said: str) -> Iterator[None]:
    """Give a download's errors the words of an input: nothing is paid for yet."""
    try:
        yield
    except (TransportError, InvalidRequestError) as error:
        if error.message.startswith(said):
            raise
        if isinstance(error, TransportError):
            raise TransportError(f"{said} could not be fetched: {error.message.split(';')[0]}. {_AGAIN}") from None
        raise InvalidRequestError(
            f"{said} is not fetched: a manifest's URL, and those that it leads to, are https:// URLs of public hosts."
        ) from None


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


def _read(said: str, answer: requests.Response, url: str, whole: Exchange) -> bytes:
    body = bytearray()
    for chunk in _chunks(answer, shown(url), whole):
        body += chunk
        if len(body) > MAX_MANIFEST:
            raise InvalidRequestError(f"{said} is larger than {MAX_MANIFEST // 2**20} MiB: split it.")
    _check_length(answer, shown(url), len(body))
    return bytes(body)
