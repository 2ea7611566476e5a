"""Download an output of a job with size and time limits, sending the key only to hosts that may receive it."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from airflow_provider_segmind.api import answers, protocol, refusals, uris
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
from airflow_provider_segmind.api.models import Settings, parse_url
from airflow_provider_segmind.api.transport import Exchange, NoticingAdapter, exchange
from airflow_provider_segmind.api.wire import Request, Response
from airflow_provider_segmind.files.addresses import ForbiddenAddressError, PublicOnly, check_host
from airflow_provider_segmind.files.pictures import is_url, read_whole
from airflow_provider_segmind.hooks.segmind import SegmindHook

log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
_MOVED = (301, 302, 303, 307, 308)


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
    """Download a picture from a public host or the connection's own; try again after temporary errors."""
    limits = limits or Limits()
    for pause in (*limits.pauses, None):
        try:
            return _fetch(hook, url, limits)
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
    target, with_key = url, True
    with exchange(limits.seconds) as whole:
        for _ in range(MAX_REDIRECTS + 1):
            with _open(hook, target, whole, with_key=with_key) as answer:
                if answer.status_code not in _MOVED:
                    _check_status(answer, target)
                    return _read(answer, target, limits, whole, hook.settings.api_key)
                location = answer.headers.get("location", "")
            target, with_key = urljoin(target, location), False
    raise InvalidRequestError(
        f"{uris.shown(url)} leads through more than {MAX_REDIRECTS} redirects, so it is not fetched: ask Segmind's "
        "support what has become of the result."
    )


@contextmanager
def _open(hook: SegmindHook, url: str, whole: Exchange, *, with_key: bool) -> Iterator[requests.Response]:
    settings, shown = hook.settings, uris.shown(url)
    own = _check_url(settings, url)
    # "identity": length and size limit are meaningful only for uncompressed bytes.
    headers = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "airflow-provider-segmind"}
    if with_key and settings.may_receive_key(url):
        scheme = hook.client.auth.order(settings)[0]
        headers = {**protocol.headers(settings, Request("GET", url, scheme)), **headers}
    with requests.Session() as session:
        session.trust_env = False  # an answer chose this host: never send it a password from .netrc
        # Plain http may carry a key, so it goes directly to the emulator and never through a proxy.
        plain = urlsplit(url).scheme == "http"
        proxies = {} if plain else {**requests.utils.get_environ_proxies(url), **settings.proxies}
        session.mount("http://", NoticingAdapter())
        session.mount("https://", NoticingAdapter() if own else PublicOnly())
        try:
            if proxies and not own:
                check_host(urlsplit(url).hostname or "")
            answer = session.get(
                url,
                headers=headers,
                timeout=(settings.connect_timeout, settings.read_timeout),
                allow_redirects=False,
                verify=_bundle() if settings.verify is True else settings.verify,
                proxies=proxies,
                stream=True,
            )
        except ForbiddenAddressError as error:
            raise InvalidRequestError(
                f"{shown} is not fetched: {error}. Only the connection's own host may have such an address. "
                "Check where this URL comes from."
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise TransportError(
                f"{shown} could not be fetched ({_reason(error, whole)}); the result is kept for seven days, and "
                "fetching it again costs nothing."
            ) from None  # a traceback would show the URL with its signature
        with answer:
            yield answer


def _bundle() -> str | bool:
    """Return the CA bundle from the environment, which requests uses for all other requests of this package."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _check_url(settings: Settings, url: str) -> bool:
    """Return whether a URL is on the connection's own host and port; raise if it is not and is not https."""
    target, base = parse_url(url), urlsplit(settings.base_url)
    own = target is not None and (target.scheme, target.netloc.lower()) == (base.scheme, base.netloc.lower())
    if target is None or not (target.scheme == "https" or own):
        raise InvalidRequestError(
            f"{uris.shown(url)!r} is not fetched: an output must be an https:// URL. Only the connection's own "
            "host, if it is an emulator, may have an http:// URL. Check where this URL comes from."
        )
    return own


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
        fields = {name.lower(): value for name, value in answer.headers.items()}
        wait = refusals.retry_after(Response(status, fields, b"", time.time()))
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
    shown, body = uris.shown(url), bytearray()
    for chunk in _chunks(answer, shown, whole):
        body += chunk
        if len(body) > limits.size:
            raise InvalidRequestError(
                f"{shown} is larger than {limits.size / 2**20:g} MiB, so it is not stored: ask Segmind's "
                "support whether this is a picture."
            )
    data = bytes(body)
    _check_length(answer, shown, len(data))
    media_type = media_type_of(data)
    if media_type is None:
        raise _no_picture(answer, shown, answers.beginning(data, 512, key))
    _check_end(data, shown, media_type)
    return Downloaded(data, media_type, hashlib.sha256(data).hexdigest())


def _chunks(answer: requests.Response, shown: str, whole: Exchange) -> Iterator[bytes]:
    try:
        # read1 returns the bytes that have arrived; iter_content would wait for a whole chunk from a slow host.
        while chunk := answer.raw.read1(65536, decode_content=False):
            yield chunk
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise TransportError(
            f"{shown} was cut off ({_reason(error, whole)}); fetching it again costs nothing."
        ) from None


def _reason(error: Exception, whole: Exchange) -> str:
    return f"not there whole within {whole.seconds:g} s" if whole.left <= 0 else type(error).__name__


def _check_length(answer: requests.Response, shown: str, size: int) -> None:
    said = answer.headers.get("content-length", "")
    if said.isdecimal() and int(said) != size and "transfer-encoding" not in answer.headers:
        raise TransportError(f"{shown} was cut off: {size} of {said} bytes came; fetching it again costs nothing.")


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


def picture_bytes(hook: SegmindHook, name: str, uri: str) -> bytes:
    """Return the bytes of a file; the hook's connection decides which private host is asked and which gets the key."""
    return download(hook, uri).data if is_url(uri) else read_whole(name, uri)
