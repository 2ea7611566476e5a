"""Read URLs of the Web, and say why one cannot be that of a picture, and what to write instead. Pure."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

import idna

from airflow_provider_segmind.api.uris import public_uri

_WEB = re.compile(r"https?://", re.IGNORECASE)
_HOSTNAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z")
# Parsers (urllib, requests, yarl, browsers) disagree about blanks, backslashes and what is not ASCII: a key could go to
# the wrong host.
_SUSPICIOUS = re.compile(r"[^!-\[\]-~]")
PORTS = {"https": 443, "http": 80}
_PRIVATE = (".local", ".localhost", ".internal", ".home.arpa")
_UPLOAD = (
    "give the operator a storage URI or a path (it uploads the picture), or upload it with SegmindHook.upload first"
)


def parse_url(url: str) -> SplitResult | None:
    """Return the parts of an absolute http(s) URL that all parsers read alike; else ``None``."""
    if not url or _SUSPICIOUS.search(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or port == 0:
        return None
    if not _HOSTNAME.match(parts.hostname) and not _is_ip(parts.hostname):
        return None
    return parts


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an absolute http(s) URL that all parsers read alike; else ``None``."""
    if _SUSPICIOUS.search(url):
        return None
    # What follows the host says nothing of it. Thousands of jobs are asked for at a few hosts, at each poll.
    end = url.find("/", url.find("://") + 3)
    return _origin(url if end < 0 else url[:end])


@lru_cache(maxsize=256)
def _origin(url: str) -> tuple[str, str, int] | None:
    parts = parse_url(url)
    return parts and (parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS[parts.scheme])


def is_loopback(hostname: str) -> bool:
    """Whether the host is this machine, where plain http stays local."""
    return hostname.lower() == "localhost" or (_is_ip(hostname) and ipaddress.ip_address(hostname).is_loopback)


def is_local(base_url: str) -> bool:
    """Whether the base URL of valid :class:`Settings` is an emulator's: on this machine, or over plain http."""
    parts = urlsplit(base_url)
    return parts.scheme == "http" or is_loopback(parts.hostname or "")


def _is_ip(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True


def why_unreadable(url: str) -> str:
    """Return why Segmind cannot read a URL that is not accepted, and the remedy."""
    if not _WEB.match(url):
        return f"is not an https:// URL that Segmind can read: {_UPLOAD}."
    why = _malformed(url)
    if why is not None:
        return why
    return (
        "is not an https:// URL that Segmind can read, since it begins with http://: write https:// if the host has "
        f"it, or {_UPLOAD}."
    )


def is_private(host: str) -> bool:
    """Return whether a host is this machine or an address of a private network, which Segmind cannot reach."""
    host = host.lower()
    # No public name is so: RFC 6762, RFC 8375, and .internal by ICANN; one without a dot is of a search list.
    if is_loopback(host) or host.endswith(_PRIVATE) or not re.search("[.:]", host):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _malformed(url: str) -> str | None:
    """Return what is wrong with a URL of the Web, and the remedy."""
    if re.search(r"[\x00-\x1f\x7f]", url):
        return "has a line break, a tab or another control character in it: write it in one line."
    if re.search(r"\s", url):
        return "has a blank in it: write %20 instead, and give one URL only."
    if "\\" in url:
        return "has a backslash in it: write / instead."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "has a host or a port that cannot be read: write it like https://shop.example/a.jpg."
    if "@" in parts.netloc:
        return (
            "has a user name or a password before its host, which Segmind's request history would show: give a link "
            f"that needs none, such as a signed one, or {_UPLOAD}."
        )
    if not host:
        return "has no host: write it like https://shop.example/a.jpg."
    if not url.isascii():
        signs = "".join(dict.fromkeys(sign for sign in url if not sign.isascii()))[:10]
        return f"has letters that a URL cannot have ({signs}): write it as {_in_ascii(url)}"
    if port == 0:
        return "has the port 0: write the port of the host, or none."
    if "_" in host:
        return (
            "has an underscore in its host, which many clients refuse: give the picture under another host name (of a "
            "bucket: with the bucket in the path), or its storage URI."
        )
    if host.endswith(".") or ".." in host:
        return "has a host with a dot too many: write it without."
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        return "has a host name with a sign that no host name has: check it."
    if parts.scheme == "https" and not re.search("[.:]", host) and not is_loopback(host):
        return f"has a host without a dot, which only a private network has: complete it, or {_UPLOAD}."
    if parts.scheme == "https" and is_private(host):
        return f"is on this machine or in a private network, where Segmind cannot read it: {_UPLOAD}."
    return None


def _in_ascii(url: str) -> str:
    """Return how a browser sends a URL, without its query, which may be a secret."""
    parts = urlsplit(public_uri(url))
    try:
        host = idna.encode(parts.hostname or "", uts46=True).decode()
    except idna.IDNAError:
        return "your browser sends it: open it there and copy it from the address bar."
    port = f":{parts.port}" if parts.port else ""
    rest = ", and encode its query likewise." if "?" in url else "."
    return f"{parts.scheme}://{host}{port}{quote(parts.path, safe='/%:@!$&()*+,;=~')}{rest}"


def expiry_of(url: str) -> float | None:
    """Return when a signed URL of S3, Google, Azure or CloudFront expires, in seconds since the epoch, if known."""
    given = {name.lower(): values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    try:
        for cloud in ("x-amz", "x-goog"):
            if f"{cloud}-date" in given:
                began = datetime.strptime(given[f"{cloud}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return began.timestamp() + float(given[f"{cloud}-expires"])
        if "expires" in given:
            return float(given["expires"])
        if "se" in given:
            ends = datetime.fromisoformat(given["se"])
            return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp()
    except (ValueError, KeyError, OverflowError):
        pass
    return None
