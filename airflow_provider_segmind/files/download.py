"""Download an output of a job, whole and with limits on size and time, or read an input by its URL."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import requests

from airflow_provider_segmind.api import answers, uris
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    RateLimitError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.media import MAX_BYTES, NAMES, media_type_of
from airflow_provider_segmind.api.transport import Exchange, exchange
from airflow_provider_segmind.files.fetching import Wanted, answer_of, body_of, fetch_input
from airflow_provider_segmind.files.objects import is_remembered, remembered_path, storage_errors
from airflow_provider_segmind.files.pictures import is_url, read_whole
from airflow_provider_segmind.files.refused import seconds_to_wait
from airflow_provider_segmind.hooks.segmind import SegmindHook

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Limits of a download."""

    size: int = MAX_BYTES  # bytes
    seconds: float = 300.0  # for one attempt, with its redirects
    pauses: tuple[float, ...] = (1.0, 4.0, 15.0)  # seconds before each further attempt; Retry-After can lengthen one
    longest_pause: float = 60.0  # seconds; a longer Retry-After is left to the task's own retry


@dataclass(frozen=True)
class Downloaded:
    """A picture that was downloaded completely."""

    data: bytes
    media_type: str  # determined from the bytes
    sha256: str  # hexadecimal


def download(hook: SegmindHook, url: str, limits: Limits | None = None) -> Downloaded:
    """
    Download a picture from a public host or the connection's own; try again after temporary errors.

    A picture that is reused is read from the memory of swaps.
    """
    limits = limits or Limits()
    if not is_url(url):
        return _remembered(url, limits)
    return _patiently(lambda: _fetch(hook, url, limits), limits)


def picture_bytes(hook: SegmindHook, name: str, uri: str) -> bytes:
    """
    Return the bytes of a file, unchecked if it is an input.

    The hook's connection decides which private host is asked, and which gets the key for a result.

    :param name: the parameter; ``results`` for what is paid for.
    """
    if not is_url(uri):
        is_own = name == "results" and is_remembered(uri)
        return download(hook, uri).data if is_own else read_whole(name, uri)
    if name == "results":
        return download(hook, uri).data
    limits = Limits()
    return _patiently(lambda: fetch_input(hook, name, uri, limits.seconds), limits)


def _remembered(uri: str, limits: Limits) -> Downloaded:
    """Return a picture of the memory of swaps."""
    path = remembered_path("results", uri)
    final, passing = ": check [segmind] memory and who may read it.", "a retry reads it again, which costs nothing."
    with storage_errors("results", uri, "read", final=final, passing=passing), path.open("rb") as file:
        data: bytes = file.read(limits.size + 1)
    media_type = media_type_of(data)
    if media_type is None or len(data) > limits.size:
        raise InvalidRequestError(f"{uris.shown(uri)} is no {NAMES} picture, so it is not stored: look at the file.")
    return Downloaded(data, media_type, hashlib.sha256(data).hexdigest())


def _patiently(fetch: Callable[[], T], limits: Limits) -> T:
    for pause in (*limits.pauses, None):
        try:
            return fetch()
        except (TransportError, RateLimitError, ServiceError) as error:
            wait = max(pause or 0.0, getattr(error, "retry_after", None) or 0.0)
            if pause is None or _is_settled(error) or wait > limits.longest_pause:
                raise
            log.warning("%s Trying again in %.0f s.", error, wait)
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _is_settled(error: SegmindError) -> bool:
    return isinstance(error, ServiceError) and (error.status or 0) < 500


def _fetch(hook: SegmindHook, url: str, limits: Limits) -> Downloaded:
    with exchange(limits.seconds) as whole, answer_of(hook, url, Wanted(), whole) as (answer, target):
        _check_status(answer, target)
        return _read(answer, target, limits, whole, hook.settings.api_key)


def _check_status(answer: requests.Response, url: str) -> None:
    shown, status = uris.shown(url), answer.status_code
    if status == 200:
        return
    if status in (404, 410):
        raise JobExpiredError(
            f"{shown} is gone: the result was paid for and is lost, since Segmind deletes results after seven days. "
            "A new order is a new bill. Store results within seven days.",
            status=status,
        )
    if status == 429:
        wait = seconds_to_wait(answer)
        raise RateLimitError(f"{shown} is asked for too often; it waits and tries again.", retry_after=wait)
    if status >= 500:
        raise ServiceError(f"{shown}: the host fails; the result may still be there, so try again.", status=status)
    if status in (407, 408, 425, 451) or (status in (401, 403) and "html" in answer.headers.get("content-type", "")):
        raise TransportError(
            f"{shown}: HTTP {status} from a proxy or a firewall, as it seems; the result may still be there, so try "
            "again. If it lasts, check the network of the workers.",
            status=status,
        )
    if status in (401, 403):
        raise AuthenticationError(
            f"{shown} may not be read: the link may have expired, or its host needs the API key and is not in the "
            "connection's trusted_hosts. Check trusted_hosts in the connection.",
            status=status,
        )
    raise InvalidRequestError(f"{shown} is answered with HTTP {status}, not with a picture.", status=status)


def _read(answer: requests.Response, url: str, limits: Limits, whole: Exchange, key: str) -> Downloaded:
    shown, data = uris.shown(url), body_of(answer, url, Wanted(), whole, most=limits.size)
    if data is None:
        raise InvalidRequestError(
            f"{shown} is larger than {limits.size / 2**20:g} MiB, so it is not stored: ask Segmind's "
            "support whether this is a picture."
        )
    media_type = media_type_of(data)
    if media_type is None:
        raise _no_picture(answer, shown, answers.beginning(data, 512, key))
    _check_end(data, shown, media_type)
    return Downloaded(data, media_type, hashlib.sha256(data).hexdigest())


def _check_end(data: bytes, shown: str, media_type: str) -> None:
    # With a wrong Content-Length, HTTP does not show that a picture is cut off, and decoders accept a missing end.
    cut = (
        (media_type == "image/png" and b"IEND\xaeB`\x82" not in data)
        or (media_type == "image/jpeg" and b"\xff\xd9" not in data)
        or (media_type == "image/webp" and int.from_bytes(data[4:8], "little") + 8 > len(data))
    )
    if cut:
        raise TransportError(
            f"{shown} was cut off: the picture's end is missing after {len(data)} bytes; fetch it again."
        )


def _no_picture(answer: requests.Response, shown: str, head: str) -> ServiceError:
    words = answers.line(head, 120)
    return ServiceError(
        f"{shown} is no {NAMES} picture but {answer.headers.get('content-type', 'of no type')!r}, and begins "
        f"with {words!r}: nothing is stored. Look at the URL; a retry fetches it again and costs nothing.",
        status=answer.status_code,
    )
