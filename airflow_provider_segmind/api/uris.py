"""
Name files without the secrets in their URIs. Pure.

A signed URL's query, and a password before an ``@``, never appear in a name, a message, a log, an event or a lineage.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

SAME_STORAGE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "wasbs"}
"""Other schemes of the same storage, mapped to the scheme of OpenLineage's naming conventions."""
_AZURE = ("abfss", "wasbs")

MAX_SHOWN = 500
"""Longest value in a message, in characters."""

_MAX_READ = 100_000

_URI = re.compile(r"\b[A-Za-z][\w+.-]{0,30}(?:::[\w+.-]{1,30}){0,3}://[^\s'\"<>]*")
_QUERY = re.compile(r"[?&;#][\w.~%-]+=[^\s'\")<>,}\]]*")
_DATA = re.compile(r"\b(data:[\w/+.-]*[;,])[\w;=,+/%-]*")
_INSTEAD = ("\N{REPLACEMENT CHARACTER}", " ")
_WEB = ("http", "https", "ws", "wss", "ftp", "ftps")


def shown(value: object, *, most: int = MAX_SHOWN) -> str:
    """
    Return a value for a message: one line of limited length, without passwords and signatures of URIs.

    :param value: a URI or path, a text that quotes some, or any other value, whose ``repr`` is shown.
    """
    text = (value if isinstance(value, str) else repr(value))[:_MAX_READ]
    if isinstance(value, str) and _URI.match(text.strip()):
        text = public_uri(text)
    else:
        text = _QUERY.sub("", _URI.sub(lambda found: public_uri(found.group()), _DATA.sub(r"\1…", text)))
    text = "".join(sign if sign.isprintable() else _INSTEAD[sign.isspace()] for sign in text)
    return text if len(text) <= most else f"{text[:most]}…"


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
    web = scheme.rpartition("::")[2].lower() in _WEB
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and re.match(r"[^@]*:(?!\d+$)" if web else r"[^@]*:", authority):
        # A password may itself contain characters that end an authority; the host follows its last "@".
        authority = rest[: rest.rindex("@") + 1] + re.split(r"[/?#]", rest[rest.rindex("@") + 1 :], maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    rest = f"{'***' if at and (web or ':' in user) else user}{at}{host}{rest[len(authority) :]}"
    return f"{scheme}://{re.split('[?#]', rest, maxsplit=1)[0] if web else _QUERY.split(rest, maxsplit=1)[0]}"


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
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    scheme = SAME_STORAGE.get(parts.scheme, parts.scheme)
    if scheme == "file":
        host = parts.hostname if parts.hostname not in (None, "localhost") else ""
        return (f"file://{host}" if host else "file", _path(parts.path)) if parts.path else None
    if "://" not in text or not parts.netloc or not parts.hostname:
        return None
    if scheme in ("http", "https"):
        return f"{scheme}://{parts.hostname}{f':{port}' if port else ''}", parts.path or "/"
    path = unquote(parts.path).strip("/")
    return (f"{scheme}://{_store(scheme, parts.netloc)}", path) if path else None


def _store(scheme: str, netloc: str) -> str:
    """Return bucket or container; before an ``@`` stands a connection or a password, except in Azure."""
    before, _, host = netloc.rpartition("@")
    return netloc if scheme in _AZURE and before and "." in host and ":" not in before else host


def _path(path: str) -> str:
    return str(PurePosixPath(unquote(path)))
