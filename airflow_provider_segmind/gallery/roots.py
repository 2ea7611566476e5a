"""Folders whose files each DAG may show in the gallery: ``[segmind] gallery_roots``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from airflow_provider_segmind.api.uris import SAME_STORAGE
from airflow_provider_segmind.compat import conf

log = logging.getLogger(__name__)

TEAM = "{team}"
DAG_ID = "{dag_id}"

_FIELD = re.compile(r"\{team\}|\{dag_id\}")
# Airflow's own rule for ids, except ids of dots only, which can be path steps.
_VALUE = re.compile(r"(?!\.+$)[\w.-]+")
# With these, the API server would send requests to any address in an XCom (server-side request forgery).
_NO_STORAGE = ("", "http", "https")


@dataclass(frozen=True)
class Root:
    """A folder whose files may be shown."""

    scheme: str
    netloc: str  # bucket and, if named, connection
    path: str  # without a trailing slash
    fixed: str  # the part of the path before its first field

    @property
    def text(self) -> str:
        """The folder as the administrator wrote it."""
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def parts(self) -> list[str]:
        """Bucket and folders, without the connection: two connections can lead to the same bucket."""
        return [self.netloc.rpartition("@")[2], *self.path.split("/")[1:]]


@dataclass(frozen=True)
class Roots:
    """The configured folders, which may have ``{team}`` and ``{dag_id}``, and why others may not be shown."""

    folders: tuple[Root, ...]
    refused: tuple[str, ...] = ()  # one sentence each

    @property
    def by_team(self) -> bool:
        """Whether the team of a DAG is needed."""
        return any(TEAM in root.text for root in self.folders)

    def of(self, dag_id: str, team: str | None) -> tuple[Root, ...]:
        """Return the folders whose files a DAG may show; without a team, no folder that belongs to a team."""
        filled = (_filled(root, dag_id, team) for root in self.folders)
        return tuple(root for root in filled if root is not None)


def roots() -> Roots:
    """Return the folders in ``[segmind] gallery_roots``."""
    said = conf.get("segmind", "gallery_roots", fallback="") or ""
    return roots_of(
        said.replace("\n", ",").split(","), multi_team=conf.getboolean("core", "multi_team", fallback=False)
    )


def log_refused() -> None:
    """Log which configured folders are not shown and why; called when the API server starts."""
    for why in roots().refused:
        log.error("%s Until then the gallery shows nothing of it.", why)


def roots_of(uris: Iterable[str], *, multi_team: bool = False) -> Roots:
    """Return the folders that are safe to show; if several teams share this Airflow, each must name its team."""
    folders: list[Root] = []
    refused: list[str] = []
    for uri in (each.strip() for each in uris):
        root = _root(uri) if uri else None
        why = _unsafe(uri, root, multi_team) if uri else None
        if why is not None:
            refused.append(why)
        elif root is not None:
            folders.append(root)
    clashes = list(_clashes(folders))
    refused += [
        f"[segmind] gallery_roots has {one.text!r} and {other.text!r}, and a team or a DAG can have a name that makes "
        "a folder of one a folder of the other, so neither is shown: give them folders that differ by more than that."
        for one, other in clashes
    ]
    ambiguous = {root for pair in clashes for root in pair}
    return Roots(tuple(root for root in folders if root not in ambiguous), tuple(refused))


def allowed(uri: str | None, within: Iterable[Root]) -> bool:
    """Return whether a URI or local path is below one of the folders, under the strictest reading."""
    parts = _split(uri) if uri else None
    if parts is None:
        return False
    scheme, netloc, path = parts
    return any(
        scheme == root.scheme and netloc == root.netloc and path.startswith(f"{root.path}/") and path != f"{root.path}/"
        for root in within
    )


def _root(uri: str) -> Root | None:
    parts = _split(uri.rstrip("/"))
    if parts is None or not any(parts[1:]):
        return None
    path = parts[2]
    field = _FIELD.search(path)
    fixed = path if field is None else path[: path.rindex("/", 0, field.start() + 1)]
    return Root(*parts, fixed)


def _unsafe(uri: str, root: Root | None, multi_team: bool) -> str | None:
    """Return why a folder is not shown, or ``None`` if it may be."""
    said = f"[segmind] gallery_roots has {uri!r}, "
    if root is None:
        return f"{said}which is no folder of an object storage: write it as a DAG writes its destination."
    if any(sign in _FIELD.sub("", root.text) for sign in "{}"):
        return f"{said}with a field that nothing fills: use {TEAM} and {DAG_ID} only."
    if any(len(set(_FIELD.findall(part))) > 1 for part in root.parts):
        return f"{said}where two names can be read in more than one way: write {TEAM}/{DAG_ID}."
    if multi_team and TEAM not in root.text:
        return (
            f"{said}which teams would share, since [core] multi_team is on: put {TEAM} into it, where the name of a "
            "team is to stand."
        )
    return None


def _filled(root: Root, dag_id: str, team: str | None) -> Root | None:
    """Return a folder with a DAG's values in its fields, or ``None`` if a value is missing or unsafe."""
    values = {TEAM: team or "", DAG_ID: dag_id}
    if any(not _VALUE.fullmatch(values[field]) for field in _FIELD.findall(root.text)):
        return None

    def fill(text: str) -> str:
        return _FIELD.sub(lambda found: values[found.group()], text)

    return replace(root, netloc=fill(root.netloc), path=fill(root.path))


def _clashes(folders: Iterable[Root]) -> Iterator[tuple[Root, Root]]:
    """Return pairs of folders that can be inside each other for some names of teams or DAGs."""
    for one, other in combinations([root for root in folders if _FIELD.search(root.text)], 2):
        pairs = list(zip(one.parts, other.parts, strict=False))
        differ = any(a != b for a, b in pairs)
        if _storage(one) == _storage(other) and differ and all(_may_be_same(a, b) for a, b in pairs):
            yield one, other


def _storage(root: Root) -> str:
    return SAME_STORAGE.get(root.scheme, root.scheme)


def _may_be_same(one: str, other: str) -> bool:
    """Return whether two names can be equal once their fields are filled."""
    (a, *more_a), (b, *more_b) = _FIELD.split(one), _FIELD.split(other)
    if not more_a and not more_b:
        return a == b
    ends = ([a, *more_a][-1], [b, *more_b][-1])
    return (a.startswith(b) or b.startswith(a)) and (ends[0].endswith(ends[1]) or ends[1].endswith(ends[0]))


def _split(uri: str) -> tuple[str, str, str] | None:
    """Return scheme, netloc and path, or ``None`` for a URI that can be read in more than one way."""
    if any(sign in uri for sign in ("?", "#", "\\", "::")) or not uri.isprintable():
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    scheme = parts.scheme or ("file" if uri.startswith("/") else "")
    scheme = "file" if scheme == "local" else scheme
    plain = normpath(unquote(parts.path)) == parts.path and not parts.path.startswith("//")
    if scheme in _NO_STORAGE or not (plain or not parts.path) or (scheme == "file" and parts.netloc):
        return None
    return scheme, parts.netloc, parts.path
