"""Asset events about stored files, for DAGs that are scheduled on assets."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import commonprefix
from typing import Any

from airflow.sdk import Asset, AssetAlias, Context

from airflow_provider_segmind.api.uris import bare_uri, is_web
from airflow_provider_segmind.compat import ALIAS_EXTRAS_NEST

log = logging.getLogger(__name__)

MAX_EVENTS = 100
"""Events that one task adds to an alias; for more files than this, one event stands for all."""


@dataclass(frozen=True)
class Stored:
    """
    A file that a task has stored.

    :param uri: its URI. The event omits secrets: the query and any password.
    :param extra: facts for the event, as plain JSON: ``request_id``, ``cost`` (US dollars), ``seconds``, ``checks`` (a
        verdict), ``sha256``.
    """

    uri: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def announce(context: Context, stored: Sequence[Stored], *, whole: Stored | None = None) -> None:
    """
    Describe in the asset events of a task's outlets what the task has stored.

    An ``AssetAlias`` gets one event per file, with the file as its asset. An ``Asset`` has one event per run of the
    task; its ``extra`` names the file, or the number of files. Never raises: the files are stored, with or without
    events.

    :param context: the task's context, on the worker on which it succeeds.
    :param stored: the stored files.
    :param whole: stands for more than :data:`MAX_EVENTS` files, such as a manifest; by default their common folder
        does.
    """
    outlets = getattr(context.get("task"), "outlets", None) or ()
    if not outlets or not stored:
        return
    try:
        files = list({file.uri: file for file in map(_told, stored)}.values())
        if len(files) > MAX_EVENTS:
            files = [_whole(files, whole)]
    except Exception:
        log.exception("The asset events do not say what was stored.")
        return
    for outlet in outlets:
        try:
            _tell(context["outlet_events"][outlet], outlet, files)
        except Exception:
            log.exception("The asset event of %s does not say what was stored.", outlet)


def _tell(events: Any, outlet: object, files: Sequence[Stored]) -> None:
    if isinstance(outlet, AssetAlias):
        for file in files:
            extra = {name: value for name, value in file.extra.items() if ALIAS_EXTRAS_NEST or not _nests(value)}
            uri = _asset_uri(file.uri)
            events.add(Asset(uri), extra=extra if uri == file.uri else {"uri": file.uri, **extra})
        return
    if len(files) == 1:
        told = {"uri": files[0].uri, **files[0].extra}
    else:
        told = {"count": len(files), "files": [{"uri": file.uri, **file.extra} for file in files]}
    # Values that the DAG author has set there stay.
    events.extra = {**told, **events.extra}


def _asset_uri(uri: str) -> str:
    """Return a URI as an asset's: Airflow would cut the key of a file at a ``#`` or ``?``."""
    if is_web(uri.partition("://")[0]) or not re.search(r"[?#]", uri):
        return uri
    return uri.replace("%", "%25").replace("#", "%23").replace("?", "%3F")


def _nests(value: object) -> bool:
    return isinstance(value, Mapping | list)


def _whole(files: Sequence[Stored], whole: Stored | None) -> Stored:
    folder = commonprefix([file.uri for file in files]).rpartition("/")[0]
    told = _told(whole) if whole is not None else Stored(folder)
    return replace(told, extra={"count": len(files), **told.extra})


def _told(file: Stored) -> Stored:
    known = {key: value for key, value in file.extra.items() if value is not None}
    # Not every database can store NaN.
    return Stored(bare_uri(file.uri), json.loads(json.dumps(known, default=str, allow_nan=False)))
