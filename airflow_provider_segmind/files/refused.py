"""Say why an input by URL is refused, in the words of an input: it is not paid for, and nothing is lost."""

from __future__ import annotations

import re
import socket
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from airflow_provider_segmind.api import refusals
from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.media import AVIF, HEIC, MAX_BYTES, NAMES
from airflow_provider_segmind.api.uris import is_signed
from airflow_provider_segmind.api.urls import expiry_of
from airflow_provider_segmind.api.wire import Response

OPTION = "look_at_urls"

HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|title|script|!--)", re.IGNORECASE)
_KINDS = (
    (AVIF.beginning, "an AVIF picture"),
    (HEIC.beginning, "a HEIC picture"),
    (re.compile(rb"....ftypm[is]f1", re.DOTALL), "a HEIC picture"),
    (re.compile(rb"GIF8"), "a GIF picture"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "a TIFF picture or a camera's raw file"),
    (re.compile(rb"BM"), "a BMP picture"),
    (re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<svg", re.IGNORECASE), "an SVG drawing"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
)
_DIRECT = {
    # What leads to the picture itself, by the host of a page that shows it.
    "drive.google.com": "https://drive.google.com/uc?export=download&id=, with the id of the file",
    "docs.google.com": "https://drive.google.com/uc?export=download&id=, with the id of the file",
    "dropbox.com": "the same link with dl=1 instead of dl=0 at its end",
    "github.com": "the same link with ?raw=true at its end",
    "1drv.ms": "the link that OneDrive gives under Embed",
    "sharepoint.com": "the same link with &download=1 at its end",
}


_OF_THE_WAY = (202, 405, 406, 407, 408, 421, 425, 426, 451)
"""Say something about this kind of request or this worker, nothing about the picture."""


def is_unknown_host(error: BaseException | None) -> bool:
    """Return whether the cause of an error is that a name is not in the DNS, as its servers say for certain."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_NONAME
    return error is not None and is_unknown_host(error.__cause__ or error.__context__)


def unknown_host(said: str, url: str) -> InvalidRequestError:
    """Return the error for a URL on a host that does not exist."""
    return InvalidRequestError(
        f"{said} is on a host that does not exist, {urlsplit(url).hostname}: check it. If Segmind finds it all the "
        f"same, ask your Airflow administrator to set [segmind] {OPTION} to never."
    )


def error_of(answer: requests.Response, url: str, said: str) -> SegmindError:
    """Return the error for an answer that is no picture."""
    status = answer.status_code
    if status == 429:
        return RateLimitError(f"{said} is asked for too often by this worker.", retry_after=seconds_to_wait(answer))
    if status >= 500:
        return ServiceError(f"{said}: its host fails now.", status=status)
    if status in _OF_THE_WAY or "cf-mitigated" in answer.headers:  # Cloudflare's challenge
        return TransportError(f"{said}: a proxy or a firewall answers, as it seems.", status=status)
    if status in (404, 410):
        return InvalidRequestError(
            f"{said} is not there: check the link, and whether the file has moved.", status=status
        )
    if is_signed(url) and status in (400, 401, 403):
        return InvalidRequestError(f"{said} may not be read: {_signature(url)}", status=status)
    if status in (401, 403):
        return InvalidRequestError(
            f"{said} may not be read: its host wants a login or refuses this worker. Give a link that anybody can "
            "open, or the picture's storage URI. If Segmind can open it all the same, ask your Airflow administrator "
            f"to set [segmind] {OPTION} to never.",
            status=status,
        )
    return InvalidRequestError(
        f"{said} is answered with an error and not with a picture: check the link.", status=status
    )


def seconds_to_wait(answer: requests.Response) -> float | None:
    """Return the seconds after which a host wants to be asked again, if it says so."""
    fields = {name.lower(): value for name, value in answer.headers.items()}
    return refusals.retry_after(Response(answer.status_code, fields, b"", time.time()))


def _signature(url: str) -> str:
    expiry = expiry_of(url)
    if expiry is not None and expiry <= time.time():
        ended = datetime.fromtimestamp(expiry, UTC).isoformat(sep=" ", timespec="seconds")
        return f"the signature of the link expired at {ended}. Sign a new one that outlasts the queue."
    return "the signature of the link is wrong or has expired. Sign a new one that outlasts the queue."


def page(url: str) -> str:
    """Return what to say of a web page."""
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    direct = next((said for known, said in _DIRECT.items() if host == known or host.endswith(f".{known}")), None)
    advice = f"here {direct}" if direct else "open the picture alone in a browser and copy its address"
    return f"is a web page, not a picture: give the direct link ({advice}), or the picture's path or storage URI."


def what(url: str, data: bytes, kind: str) -> str:
    """Return what a file is that is no picture for Segmind; ``kind`` is the media type that its host gives."""
    found = next((said for known, said in _KINDS if known.match(data)), None)
    if found is None and (HTML.match(data) or kind in ("text/html", "application/xhtml+xml")):
        return page(url)
    said = found or (f"of the type {kind[:60]!r}" if kind else "of no known type")
    return f"is no {NAMES} picture but {said}: give it in one of these formats."


def too_large(said: str) -> InvalidRequestError:
    """Return the error for a file that is too large."""
    return InvalidRequestError(f"{said} is larger than {MAX_BYTES // 2**20} MiB: give a smaller picture.")
