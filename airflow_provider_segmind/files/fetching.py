"""Ask a host for a picture, with its redirects, sending the key only to hosts that may receive it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from airflow_provider_segmind.api import protocol, uris
from airflow_provider_segmind.api.errors import InvalidRequestError, TransportError
from airflow_provider_segmind.api.models import Settings, parse_url
from airflow_provider_segmind.api.picture_urls import is_private, why_unreadable
from airflow_provider_segmind.api.transport import Exchange, NoticingAdapter
from airflow_provider_segmind.api.wire import Request
from airflow_provider_segmind.files.addresses import ForbiddenAddressError, PublicOnly, check_host
from airflow_provider_segmind.hooks.segmind import SegmindHook

_MOVED = (301, 302, 303, 307, 308)


class UnseenError(InvalidRequestError):
    """A worker must not fetch it, but Segmind perhaps can: another network may have another address for its host."""


@dataclass(frozen=True)
class Wanted:
    """What is fetched, for the words of errors, and how."""

    name: str = ""  # the parameter of an input; empty for a result, which alone may need the key
    redirects: int = 3
    beginning: int = 0  # bytes to ask for; 0 for all

    def said(self, url: str) -> str:
        """Return a URL for a message."""
        return f"{self.name} {uris.shown(url)!r}" if self.name else uris.shown(url)

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
            if answer.status_code not in _MOVED:
                yield answer, target
                return
            location = answer.headers.get("location", "")
        target, with_key = urljoin(target, location), False
    advice = "give its final address" if wanted.name else "ask Segmind's support what has become of the result"
    raise InvalidRequestError(
        f"{wanted.said(url)} leads through more than {wanted.redirects} redirects, so it is not fetched: {advice}."
    )


def chunks(answer: requests.Response, said: str, whole: Exchange) -> Iterator[bytes]:
    """Yield the bytes of an answer as they arrive."""
    try:
        # read1 returns the bytes that have arrived; iter_content would wait for a whole chunk from a slow host.
        while chunk := answer.raw.read1(65536, decode_content=False):
            yield chunk
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise TransportError(
            f"{said} was cut off ({_reason(error, whole)}); fetching it again costs nothing."
        ) from None


def check_length(answer: requests.Response, said: str, size: int) -> None:
    """Raise if fewer or more bytes came than the host had announced."""
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) != size and "transfer-encoding" not in answer.headers:
        raise TransportError(f"{said} was cut off: {size} of {length} bytes came; fetching it again costs nothing.")


@contextmanager
def _open(
    hook: SegmindHook, url: str, wanted: Wanted, whole: Exchange, *, with_key: bool
) -> Iterator[requests.Response]:
    settings, said = hook.settings, wanted.said(url)
    own = _check_url(settings, url, wanted)
    # "identity": length and size limit are meaningful only for uncompressed bytes.
    headers = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "airflow-provider-segmind"}
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
                f"{said} is not fetched: {error}. Only the connection's own host may have such an address. "
                "Check where this URL comes from."
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise TransportError(
                f"{said} could not be fetched ({_reason(error, whole)}); {wanted.again}."
            ) from None  # a traceback would show the URL with its signature
        with answer:
            yield answer


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
