"""Read inputs by their URLs, and look at them before an order is paid for, in the words of an input."""

from __future__ import annotations

import logging
import re
import threading
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from airflow_provider_segmind.api import refusals
from airflow_provider_segmind.api.errors import InvalidRequestError, RateLimitError, ServiceError, TransportError
from airflow_provider_segmind.api.media import MAX_BYTES, NAMES, media_type_of
from airflow_provider_segmind.api.picture_urls import expiry_of
from airflow_provider_segmind.api.transport import exchange
from airflow_provider_segmind.api.uris import is_signed
from airflow_provider_segmind.api.wire import Response
from airflow_provider_segmind.api.workflows import check_image_url
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.files.fetching import UnseenError, Wanted, answer_of, check_length, chunks
from airflow_provider_segmind.hooks.segmind import SegmindHook

log = logging.getLogger(__name__)

OPTION = "look_at_urls"
LOOKS = ("batches", "always", "never")
REDIRECTS = 10
"""Redirects of an input; those who share files use more than Segmind."""
_BEGINNING = 2048  # bytes that show what a file is
_LONGEST_LOOK = 15.0  # seconds for one URL, with its redirects
_SILENT_AFTER = 3  # looks in a row that a host does not answer
_SILENT_FOR = 60.0  # seconds without another look at such a host: a batch may have thousands of pictures there

_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|title|script|!--)", re.IGNORECASE)
_KINDS = (
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), "a HEIC picture"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "an AVIF picture"),
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


def fetch_input(hook: SegmindHook, name: str, url: str, seconds: float) -> bytes:
    """Return the bytes of an input unchecked, as those of a file are; never with the key."""
    wanted, body = Wanted(name, REDIRECTS), bytearray()
    with exchange(seconds) as whole, answer_of(hook, url, wanted, whole) as (answer, target):
        said = wanted.said(url)
        _check_status(answer, target, said)
        for chunk in chunks(answer, said, whole):
            body += chunk
            if len(body) > MAX_BYTES:
                raise _too_large(said)
        check_length(answer, said, len(body))
    data = bytes(body)
    if _HTML.match(data):
        log.warning("%s %s", said, _page(url))
    return data


def look_at_url(hook: SegmindHook, name: str, url: str, *, single: bool = False) -> None:
    """
    Check the URL of an input, and what is there by its first bytes, before an order is paid for.

    What may pass, or what Segmind may see and this worker not, is only logged: it must not stop an order.

    :param single: whether it is of an order by itself, which is looked at only if the administrator wants it.
    :raises InvalidRequestError: if Segmind cannot read it, or it is no picture that Segmind takes.
    """
    check_image_url(name, url, hook.settings.base_url)
    how = _option()
    host = urlsplit(url).netloc.lower()
    if how == "never" or (single and how != "always") or _silent.is_silent(host):
        return
    try:
        _look(hook, Wanted(name, REDIRECTS, _BEGINNING), url)
    except (TransportError, RateLimitError, ServiceError, UnseenError) as error:
        log.warning("%s It is ordered without a look at it.", error)
        if isinstance(error, TransportError) and error.status is None and _silent.note(host):
            log.warning("%s does not answer, and is not looked at for %.0f s.", host, _SILENT_FOR)
    else:
        _silent.forget(host)


def _look(hook: SegmindHook, wanted: Wanted, url: str) -> None:
    said, head = wanted.said(url), bytearray()
    with exchange(_LONGEST_LOOK) as whole, answer_of(hook, url, wanted, whole) as (answer, target):
        size = _size_of(answer)
        if answer.status_code == 416 and size == 0:
            raise InvalidRequestError(f"{said} is an empty file: check the link.")
        if answer.status_code == 416:
            raise UnseenError(f"{said} cannot be read in part, as its host says.", status=416)
        _check_status(answer, target, said)
        for chunk in chunks(answer, said, whole):
            head += chunk
            if len(head) >= wanted.beginning:
                break
    data = bytes(head[: wanted.beginning])
    if not data:
        raise InvalidRequestError(f"{said} is an empty file: check the link.")
    if media_type_of(data) is None:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        raise InvalidRequestError(f"{said} {_what(url, data, kind)}")
    if size is not None and size > MAX_BYTES:
        raise _too_large(said)


def _size_of(answer: requests.Response) -> int | None:
    """Return the size of a whole file in bytes, as its host says it."""
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    said = answer.headers.get("content-length", "") if answer.status_code == 200 else total
    return int(said) if said.isdecimal() else None


def _check_status(answer: requests.Response, url: str, said: str) -> None:
    status = answer.status_code
    if status in (200, 206):
        return
    if status == 429:
        fields = {name.lower(): value for name, value in answer.headers.items()}
        wait = refusals.retry_after(Response(status, fields, b"", time.time()))
        raise RateLimitError(f"{said} is asked for too often by this worker.", retry_after=wait)
    if status >= 500:
        raise ServiceError(f"{said}: its host fails now.", status=status)
    if status in (407, 408, 425, 451):
        raise TransportError(f"{said}: a proxy or a firewall answers, as it seems.", status=status)
    if status in (404, 410):
        raise InvalidRequestError(
            f"{said} is not there: check the link, and whether the file has moved.", status=status
        )
    if is_signed(url) and status in (400, 401, 403):
        raise InvalidRequestError(f"{said} may not be read: {_signature(url)}", status=status)
    if status in (401, 403):
        raise InvalidRequestError(
            f"{said} may not be read: its host wants a login or refuses this worker. Give a link that anybody can "
            "open, or the picture's storage URI. If Segmind can open it all the same, ask your Airflow administrator "
            f"to set [segmind] {OPTION} to never.",
            status=status,
        )
    raise InvalidRequestError(
        f"{said} is answered with an error and not with a picture: check the link.", status=status
    )


def _signature(url: str) -> str:
    expiry = expiry_of(url)
    if expiry is not None and expiry <= time.time():
        ended = datetime.fromtimestamp(expiry, UTC).isoformat(sep=" ", timespec="seconds")
        return f"the signature of the link expired at {ended}. Sign a new one that outlasts the queue."
    return "the signature of the link is wrong or has expired. Sign a new one that outlasts the queue."


def _page(url: str) -> str:
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    direct = next((said for known, said in _DIRECT.items() if host == known or host.endswith(f".{known}")), None)
    advice = f"here {direct}" if direct else "open the picture alone in a browser and copy its address"
    return f"is a web page, not a picture: give the direct link ({advice}), or the picture's path or storage URI."


def _what(url: str, data: bytes, kind: str) -> str:
    """Return what a file is that is no picture for Segmind; ``kind`` is the media type that its host gives."""
    found = next((said for known, said in _KINDS if known.match(data)), None)
    if found is None and (_HTML.match(data) or kind in ("text/html", "application/xhtml+xml")):
        return _page(url)
    said = found or (f"of the type {kind[:60]!r}" if kind else "of no known type")
    return f"is no {NAMES} picture but {said}: give it in one of these formats."


def _too_large(said: str) -> InvalidRequestError:
    return InvalidRequestError(f"{said} is larger than {MAX_BYTES // 2**20} MiB: give a smaller picture.")


def _option() -> str:
    said = str(conf.get("segmind", OPTION, fallback=None) or LOOKS[0]).strip().lower()
    if said not in LOOKS:
        raise InvalidRequestError(
            f"[segmind] {OPTION} is {said!r}. Ask your Airflow administrator to set it to one of {', '.join(LOOKS)}."
        )
    return said


class _Silent:
    """Hosts that did not answer lately, for all threads of a process."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def is_silent(self, host: str) -> bool:
        """Return whether a host is not worth another look now."""
        count, last = self._failures.get(host, (0, 0.0))
        return count >= _SILENT_AFTER and time.monotonic() - last < _SILENT_FOR

    def note(self, host: str) -> bool:
        """Note that a host did not answer; return whether this makes it silent."""
        with self._lock:
            count = self._failures.get(host, (0, 0.0))[0] + 1
            self._failures[host] = count, time.monotonic()
        return count == _SILENT_AFTER

    def forget(self, host: str) -> None:
        """Note that a host answered."""
        self._failures.pop(host, None)


_silent = _Silent()
