"""
Name files without the secrets in their URIs. Pure.

A signed URL's query, and a password before an ``@``, never appear in a name, a message, a log, an event or a lineage.
A key in object storage and a path are literal: a ``#``, ``?``, ``%`` or blank is part of the name. They are cut only
where a signature begins, as of a URL of that storage that somebody has pasted.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

SAME_STORAGE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "wasbs"}
"""Other schemes of the same storage, mapped to the scheme of OpenLineage's naming conventions."""
_AZURE = ("abfss", "wasbs")

MAX_SHOWN = 500
"""Longest value in a message, in characters."""

_MAX_READ = 100_000

_URI = re.compile(r"\b[A-Za-z][\w+.-]{0,30}(?:::[\w+.-]{1,30}){0,3}://[^\s'\"<>]*")
_QUERY = re.compile(r"[?&;#][\w.~%-]+=[^\s'\")<>,}\]]*")
_SIGNED = re.compile(
    r"[?&;#](?:x-(?:amz|goog|ms)-[\w-]+|(?:[\w.~%-]*[_.-])?(?:sig|signature|token|secret|password|passwd|pwd|policy"
    r"|credentials?|auth|jwt|authorization|(?:(?:access|account|api|secret|shared)[_-]?)?key(?:[_-]?id)?|awsaccesskeyid"
    r"|googleaccessid|sharedaccesssignature|accesstoken))=",
    re.IGNORECASE,
)
"""A parameter that a signed URL has."""
_PATH = re.compile(r"/|file:/")
_DATA = re.compile(r"\b(data:[\w/+.-]*[;,])[\w;=,+/%-]*")
_INSTEAD = ("\N{REPLACEMENT CHARACTER}", " ")
_SAFE_IN_PATHS = "/!$&'()*+,;=:@"
"""What RFC 3986 lets stand in a path, and browsers leave there."""
_WEB = ("http", "https", "ws", "wss", "ftp", "ftps")


def shown(value: object, *, most: int = MAX_SHOWN) -> str:
    """
    Return a value for a message: one line of limited length, without passwords and signatures of URIs.

    :param value: a URI or path, a text that quotes some, or any other value, whose ``repr`` is shown.
    """
    text = (value if isinstance(value, str) else repr(value))[:_MAX_READ]
    if isinstance(value, str) and _URI.match(text.strip()):
        text = public_uri(text)
    elif isinstance(value, str) and _PATH.match(text) and "://" not in text:
        text = _unsigned(text)
    else:
        text = without_secrets(text)
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else _INSTEAD[sign.isspace()] for sign in text)
    return text if len(text) <= most else f"{text[:most]}…"


def without_secrets(text: str) -> str:
    """Return a text whole, but without the secrets of the URIs that it quotes and the content of data URLs."""
    return _shown_text(_DATA.sub(r"\1…", text))


def _shown_text(text: str) -> str:
    """Return a text without the secrets of the URIs that it quotes."""
    shown_parts, end = [], 0
    for found in _URI.finditer(text):
        # What stands between is cut like the Web's: a blank may have cut a URL in two.
        shown_parts += [_QUERY.sub("", text[end : found.start()]), public_uri(found.group())]
        end = found.end()
    return "".join((*shown_parts, _QUERY.sub("", text[end:])))


def quoted(value: object, *, most: int = MAX_SHOWN) -> str:
    """Return :func:`shown` of a value; a text gets quotation marks."""
    return repr(shown(value, most=most)) if isinstance(value, str) else shown(value, most=most)


def cause(error: BaseException) -> str:
    """Return the type and the safe words of another library's error."""
    return f"{type(error).__name__}: {shown(str(error))}"


def public_uri(uri: str) -> str:
    """Return a URI without passwords and signatures; a connection's id, a container and an object's key stay."""
    if "://" not in uri:
        return uri
    scheme, _, rest = uri.strip().partition("://")
    web = is_web(scheme)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and re.match(r"[^@]*:(?!\d+$)" if web else r"[^@]*:", authority):
        # A password may itself contain characters that end an authority; the host follows its last "@".
        authority = rest[: rest.rindex("@") + 1] + re.split(r"[/?#]", rest[rest.rindex("@") + 1 :], maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    rest = f"{'***' if at and (web or ':' in user) else user}{at}{host}{rest[len(authority) :]}"
    if web:
        return f"{scheme}://{re.split('[?#]', rest, maxsplit=1)[0]}"
    # With a password it is no URI that a storage reads: whatever is in a query may be another secret.
    return f"{scheme}://{_QUERY.split(rest, maxsplit=1)[0] if ':' in user else _unsigned(rest)}"


def _unsigned(key: str) -> str:
    """Return a key or path up to the query in which a signature stands; without a signature, all of it."""
    return _QUERY.split(key, maxsplit=1)[0] if _SIGNED.search(key) else key


def is_signed(uri: str) -> bool:
    """Return whether a URI has a parameter of a signature."""
    return bool(_SIGNED.search(uri))


def key_of(uri: str) -> str:
    """Return what stands after the host: of a URL its path, of a storage its literal key, of a path itself."""
    scheme, there, rest = uri.partition("://")
    if not there:
        return uri
    return urlsplit(f"//{rest}").path if is_web(scheme) else rest.partition("/")[2]


def is_web(scheme: str) -> bool:
    """Return whether a scheme's URIs have a query and a fragment."""
    return scheme.rpartition("::")[2].lower() in _WEB


def bare_uri(uri: str) -> str:
    """Return a URI without query, fragment and password; an absolute path becomes a ``file://`` URI."""
    text = uri.strip()
    if text.startswith("/"):
        return f"file://{text}"
    if "://" not in text:
        return text
    scheme, _, rest = text.partition("://")
    rest = public_uri(text).partition("://")[2]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{_store(SAME_STORAGE.get(scheme, scheme), host)}{slash}{path}"


def dataset_name(uri: object) -> tuple[str, str] | None:
    """
    Return namespace and name by https://openlineage.io/docs/spec/naming; ``None`` if it is no file.

    The conventions do not cover ``https``: there, scheme and host, and the path.
    """
    text = str(uri).strip() if uri is not None else ""
    if text.startswith("/"):
        return "file", text
    text = re.sub(r"^(?i:file):/(?!/)", "file:///", text)
    scheme, there, rest = text.partition("://")
    scheme = SAME_STORAGE.get(scheme.lower(), scheme.lower())
    host, _, key = rest.partition("/")
    if not there or not re.fullmatch(r"[A-Za-z][\w+.-]*", scheme):
        return None
    if is_web(scheme):
        return _web_name(text)
    if scheme == "file":
        remote = host not in ("", "localhost")
        return (f"file://{host}" if remote else "file", local_path(f"/{_unsigned(key)}")) if key else None
    host, key = _store(scheme, host), _unsigned(key).strip("/")
    return (f"{scheme}://{host}", key) if host and key else None


def local_path(path: str) -> str:
    """Return the path that the URI of a file means: decoded if ``Path.as_uri``, or a browser, would have written it."""
    plain = unquote(path)
    return str(PurePosixPath(plain if path in (quote(plain), quote(plain, safe=_SAFE_IN_PATHS)) else path))


def _web_name(text: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.hostname}{f':{port}' if port else ''}", parts.path or "/"


def _store(scheme: str, netloc: str) -> str:
    """Return bucket or container; before an ``@`` stands a connection or a password, except in Azure."""
    before, _, host = netloc.rpartition("@")
    return netloc if scheme in _AZURE and before and "." in host and ":" not in before else host
