"""Ask a host for a picture or its beginning, with its redirects; only a result is asked for with the key."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from airflow_provider_segmind.api import protocol, uris
from airflow_provider_segmind.api.answers import line
from airflow_provider_segmind.api.errors import InvalidRequestError, RateLimitError, ServiceError, TransportError
from airflow_provider_segmind.api.media import MAX_BYTES, media_type_of
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.texts import unpack
from airflow_provider_segmind.api.transport import MOVED, RESULT_REDIRECTS, Exchange, NoticingAdapter, exchange
from airflow_provider_segmind.api.urls import is_local, is_private, parse_url, why_unreadable
from airflow_provider_segmind.api.wire import Request
from airflow_provider_segmind.api.workflows import check_image_url
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.files import refused
from airflow_provider_segmind.files.addresses import ForbiddenAddressError, PublicOnly, check_host
from airflow_provider_segmind.hooks.segmind import SegmindHook

log = logging.getLogger(__name__)

LOOKS = ("batches", "always", "never")
_BEGINNING = 2048  # bytes that show what a file is
_LONGEST_LOOK = 15.0  # seconds for one URL, with its redirects
_SILENT_AFTER = 3  # looks in a row that a host does not answer
_SILENT_FOR = 60.0  # seconds without another look at such a host: a batch may have thousands of pictures there
_GZIP_OR_ZLIB = 47


class UnseenError(InvalidRequestError):
    """A worker must not fetch it, but Segmind perhaps can: its network may have another address for the host."""


@dataclass(frozen=True)
class Wanted:
    """What is fetched, for the words of errors, and how."""

    name: str = ""  # the parameter of an input; empty for a result, which alone may need the key
    beginning: int = 0  # bytes to ask for; 0 for all
    accept: str = "image/*"  # media types

    def said(self, url: str) -> str:
        """Return a URL for a message."""
        return f"{self.name} {uris.shown(url)!r}" if self.name else uris.shown(url)

    @property
    def redirects(self) -> int:
        """How many are followed; those who share files use more than Segmind."""
        return 10 if self.name else RESULT_REDIRECTS

    @property
    def again(self) -> str:
        """What fetching it again costs."""
        if self.name:
            return "a retry reads it again, which costs nothing"
        return "the result is kept for seven days, and fetching it again costs nothing"


@contextmanager
def answer_of(hook: SegmindHook, url: str, wanted: Wanted, whole: Exchange) -> Iterator[tuple[requests.Response, str]]:
    """Give the answer, after redirects, and the URL that it is of."""
    target, with_key = url, not wanted.name
    for _ in range(wanted.redirects + 1):
        with _open(hook, target, wanted, whole, with_key=with_key) as answer:
            if answer.status_code not in MOVED:
                yield answer, target
                return
            location = answer.headers.get("location", "")
        try:
            target, with_key = urljoin(target, location), False
        except ValueError as error:
            raise _unfetched(wanted, url, type(error).__name__) from None
    advice = "give its final address" if wanted.name else "ask Segmind's support what has become of the result"
    raise InvalidRequestError(
        f"{wanted.said(url)} leads through more than {wanted.redirects} redirects, so it is not fetched: {advice}."
    )


def fetch_input(hook: SegmindHook, name: str, url: str, seconds: float) -> bytes:
    """Return the bytes of an input unchecked, as those of a file are; never with the key."""
    wanted = Wanted(name)
    with exchange(seconds) as whole, answer_of(hook, url, wanted, whole) as (answer, target):
        _check_status(answer, target, wanted, url)
        data = body_of(answer, url, wanted, whole, most=MAX_BYTES)
    if data is None:
        raise refused.too_large(wanted.said(url))
    if refused.HTML.match(data):
        log.warning("%s %s", wanted.said(url), refused.page(url))
    return data


def etag_of(hook: SegmindHook, name: str, url: str) -> str:
    """Return the ETag of an input, without reading it; raise if its host sends none."""
    wanted = Wanted(name, beginning=1)
    with exchange(_LONGEST_LOOK) as whole, answer_of(hook, url, wanted, whole) as (answer, target):
        _check_status(answer, target, wanted, url)
        if tag := answer.headers.get("etag", "").strip():
            return tag
    raise InvalidRequestError(f"{wanted.said(url)} has no ETag: use reuse='auto', which reads it.")


def look_at_url(hook: SegmindHook, name: str, url: str) -> None:
    """
    Check the URL of an input, and what is there by its first bytes, before an order is paid for.

    What may pass, or what Segmind may see and this worker not, is only logged: it must not stop an order.

    :raises InvalidRequestError: if Segmind cannot read it, or it is no picture that Segmind takes.
    """
    check_image_url(name, url, hook.settings.base_url)
    host = urlsplit(url).netloc.lower()
    if looks() == "never" or _silent.is_silent(host):
        return
    try:
        _look(hook, Wanted(name, _BEGINNING), url)
    except (TransportError, RateLimitError, ServiceError, UnseenError) as error:
        log.warning("%s It is ordered without a look at it.", error)
        if isinstance(error, TransportError) and error.status is None and _silent.note(host):
            log.warning("%s does not answer, and is not looked at for %.0f s.", host, _SILENT_FOR)
    else:
        _silent.forget(host)


def _look(hook: SegmindHook, wanted: Wanted, url: str) -> None:
    head = bytearray()
    with exchange(_LONGEST_LOOK) as whole, answer_of(hook, url, wanted, whole) as (answer, target):
        size = _size_of(answer)
        if answer.status_code == 416 and size == 0:
            raise InvalidRequestError(f"{wanted.said(url)} is an empty file: check the link.")
        if answer.status_code == 416:
            raise UnseenError(f"{wanted.said(url)} cannot be read in part, as its host says.", status=416)
        _check_status(answer, target, wanted, url)
        for chunk in _chunks(answer, url, wanted, whole):
            head += chunk
            if len(head) >= wanted.beginning:
                break
    data = bytes(head[: wanted.beginning])
    if _is_packed(answer):
        try:
            data = zlib.decompressobj(wbits=_GZIP_OR_ZLIB).decompress(data, wanted.beginning)
        except zlib.error:
            raise UnseenError(f"{wanted.said(url)} is sent compressed, and cannot be unpacked.") from None
    if not data:
        raise InvalidRequestError(f"{wanted.said(url)} is an empty file: check the link.")
    if media_type_of(data) is None:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        raise InvalidRequestError(f"{wanted.said(url)} {refused.what(url, data, kind)}")
    if size is not None and size > MAX_BYTES:
        raise refused.too_large(wanted.said(url))
    if size == len(data):
        _check_whole(data, wanted.said(url))


def _check_whole(data: bytes, said: str) -> None:
    from airflow_provider_segmind.quality import prepare, reading

    try:
        prepare.check(data)
    except (reading.TooManyPixelsError, reading.UnusableError):
        pass  # what Segmind takes of a URL, it says itself
    except reading.UnreadableError as error:
        raise InvalidRequestError(
            f"{said} begins like a picture, but {line(str(error), 200)}: upload the picture again, or give another."
        ) from None


def body_of(answer: requests.Response, url: str, wanted: Wanted, whole: Exchange, *, most: int) -> bytes | None:
    """Return all bytes of an answer, or ``None`` if there are more than ``most``; raise if it was cut off."""
    body = bytearray()
    for chunk in _chunks(answer, url, wanted, whole):
        body += chunk
        if len(body) > most:
            return None
    _check_length(answer, url, wanted, len(body))
    if not _is_packed(answer):
        return bytes(body)
    try:
        data = unpack(bytes(body), most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TransportError(
            f"{wanted.said(url)} came compressed and was cut off or damaged ({type(error).__name__}); fetching it "
            "again costs nothing."
        ) from None
    return data if len(data) <= most else None


def _chunks(answer: requests.Response, url: str, wanted: Wanted, whole: Exchange) -> Iterator[bytes]:
    """Yield the bytes of an answer as they arrive."""
    try:
        # read1 returns the bytes that have arrived; iter_content would wait for a whole chunk from a slow host.
        while chunk := answer.raw.read1(65536, decode_content=False):
            yield chunk
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        why = _reason(error, whole)
        raise TransportError(f"{wanted.said(url)} was cut off ({why}); fetching it again costs nothing.") from None


def _check_length(answer: requests.Response, url: str, wanted: Wanted, size: int) -> None:
    """Raise if fewer or more bytes came than the host had announced."""
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) != size and "transfer-encoding" not in answer.headers:
        raise TransportError(
            f"{wanted.said(url)} was cut off: {size} of {length} bytes came; fetching it again costs nothing."
        )


@contextmanager
def _open(
    hook: SegmindHook, url: str, wanted: Wanted, whole: Exchange, *, with_key: bool
) -> Iterator[requests.Response]:
    settings = hook.settings
    own = _check_url(settings, url, wanted)
    # "identity": length and size limit are meaningful only for uncompressed bytes.
    headers = {"Accept": wanted.accept, "Accept-Encoding": "identity", "User-Agent": "airflow-provider-segmind"}
    if wanted.beginning:
        headers["Range"] = f"bytes=0-{wanted.beginning - 1}"
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
            kind = InvalidRequestError if is_private(urlsplit(url).hostname or "") else UnseenError
            raise kind(
                f"{wanted.said(url)} is not fetched: {error}. Only the connection's own host may have such an address. "
                "Check where this URL comes from."
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # A ValueError is of a redirect that no library can read. A traceback would show the URL's signature.
            if wanted.name and not (proxies or is_local(settings.base_url)) and refused.is_unknown_host(error):
                raise refused.unknown_host(wanted.said(url), url) from None
            raise _unfetched(wanted, url, _reason(error, whole)) from None
        with answer:
            yield answer


def _unfetched(wanted: Wanted, url: str, why: str) -> TransportError:
    return TransportError(f"{wanted.said(url)} could not be fetched ({why}); {wanted.again}.")


def _bundle() -> str | bool:
    """Return the CA bundle from the environment, which requests uses for all other requests of this package."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _check_url(settings: Settings, url: str, wanted: Wanted) -> bool:
    """Return whether a URL is on the connection's own host and port; raise if it is not and is not https."""
    target, base = parse_url(url), urlsplit(settings.base_url)
    own = target is not None and (target.scheme, target.netloc.lower()) == (base.scheme, base.netloc.lower())
    if target is None and wanted.name:
        raise UnseenError(f"{wanted.said(url)} is not fetched: it {why_unreadable(url)}")
    if target is None or not (target.scheme == "https" or own):
        kind = UnseenError if wanted.name else InvalidRequestError
        raise kind(
            f"{wanted.said(url)} is not fetched: {'it' if wanted.name else 'an output'} must be an https:// URL. Only "
            "the connection's own host, if it is an emulator, may have an http:// URL. Check where this URL comes from."
        )
    return own


def _reason(error: Exception, whole: Exchange) -> str:
    return f"not there whole within {whole.seconds:g} s" if whole.left <= 0 else type(error).__name__


def _check_status(answer: requests.Response, target: str, wanted: Wanted, url: str) -> None:
    if answer.status_code not in (200, 203, 206):
        raise refused.error_of(answer, target, wanted.said(url))


def _is_packed(answer: requests.Response) -> bool:
    """Whether a host sends a file compressed, as some keep it, though it was asked not to."""
    return answer.headers.get("content-encoding", "").strip().lower() in ("gzip", "deflate")


def _size_of(answer: requests.Response) -> int | None:
    """Return the size of a whole file in bytes, as its host says it."""
    if _is_packed(answer):
        return None
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    said = answer.headers.get("content-length", "") if answer.status_code == 200 else total
    return int(said) if said.isdecimal() else None


def looks() -> str:
    """Return which orders are looked at, as the administrator says."""
    said = str(conf.get("segmind", refused.OPTION, fallback=None) or LOOKS[0]).strip().lower()
    if said not in LOOKS:
        raise InvalidRequestError(
            f"[segmind] {refused.OPTION} is {said!r}. Ask your Airflow administrator to set it to one of "
            f"{', '.join(LOOKS)}."
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
