"""
Name files for others, without what may be secret in a URI.

A signed URL's query is a secret, and so is what may stand before an ``@``: neither becomes part of a name.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "wasbs"}
"""Schemes that name the same storage as another, by which the conventions name it."""
_AZURE = ("abfss", "wasbs")


def bare_uri(uri: str) -> str:
    """
    Return a URI without query, fragment and password; an absolute path becomes a ``file://`` URI.

    :param uri: a URI or a path.
    """
    text = uri.strip()
    if text.startswith("/"):
        return f"file://{text}"
    if "://" not in text:
        return text
    scheme, _, rest = text.partition("://")
    rest = rest.partition("#")[0].partition("?")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{_store(_SAME.get(scheme, scheme), host)}{slash}{path}"


def dataset_name(uri: object) -> tuple[str, str] | None:
    """
    Return the namespace and the name of a file, by https://openlineage.io/docs/spec/naming, or ``None`` for no file.

    The conventions say nothing of ``https``; there it is scheme and host, and the path.

    :param uri: a URI or an absolute path.
    """
    text = str(uri).strip() if uri is not None else ""
    if text.startswith("/"):
        return "file", text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    scheme = _SAME.get(parts.scheme, parts.scheme)
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
    """Return bucket or container; what stands before an ``@`` is Airflow's connection or a password, but in Azure."""
    before, _, host = netloc.rpartition("@")
    return netloc if scheme in _AZURE and before and "." in host and ":" not in before else host


def _path(path: str) -> str:
    return str(PurePosixPath(unquote(path)))
