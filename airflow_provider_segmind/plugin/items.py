"""The swaps of a batch, from the manifest that the storage operator wrote and the sidecars beside the pictures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from airflow_provider_segmind.api.gallery import GalleryRecord, read_record
from airflow_provider_segmind.plugin.pictures import PictureError, Root, read_allowed

MAX_MANIFEST = 64 * 2**20
"""Bytes of a manifest that is read; a batch of 10,000 swaps has about 8 MB."""
_MAX_LINE = 65_536
_MAX_SIDECAR = 65_536
_KEPT = 3
_KEPT_SECONDS = 60.0
_THREADS = 8

_kept: dict[str, tuple[float, list[bytes]]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Item:
    """
    One swap of a batch.

    :param index: its line in the manifest, from 0.
    :param record: what is known of it.
    :param sidecar: URI of the file that says where its picture comes from.
    """

    index: int
    record: GalleryRecord
    sidecar: str | None


def read_lines(uri: str | None, within: Iterable[Root]) -> Sequence[bytes]:
    """
    Return the lines of a manifest, which is not read again for a minute: every picture of a page asks for it.

    :param uri: where it is.
    :param within: the folders whose files may be shown.
    :raises PictureError: when it may not be read, or cannot be.
    """
    within = tuple(within)
    key = f"{within} {uri}"  # other folders are another question
    with _lock:
        at, lines = _kept.get(key, (0.0, []))
    if time.monotonic() - at < _KEPT_SECONDS and at:
        return lines
    lines = read_allowed(uri, within, MAX_MANIFEST).splitlines()
    with _lock:
        _kept[key] = (time.monotonic(), lines)
        for oldest in sorted(_kept, key=lambda each: _kept[each][0])[:-_KEPT]:
            del _kept[oldest]
    return lines


def read_items(lines: Sequence[bytes], indexes: Iterable[int], within: Iterable[Root]) -> list[Item]:
    """
    Return some swaps of a batch, with what their sidecars say.

    :param lines: of the manifest.
    :param indexes: which of them.
    :param within: the folders whose files may be shown.
    """
    within = tuple(within)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda index: _with_sidecar(_item(index, lines[index]), within), indexes))


def _item(index: int, line: bytes) -> Item:
    said = _json(line, _MAX_LINE)
    files = said.get("files")
    file = files[0] if isinstance(files, list) and files and isinstance(files[0], Mapping) else {}
    error = said.get("error")
    record = read_record(
        {
            "state": "completed" if file else "failed",
            "after": file.get("uri"),
            "thumbs": {"after": file.get("thumbnail")},
            "request_id": said.get("request_id"),
            "checks": [{"name": "storing", "why": str(error)[:300]}] if error else [],
        }
    )
    sidecar = file.get("sidecar")
    # A line that is not as it must be still counts: the numbers of the others are their places.
    return Item(index, record or GalleryRecord("failed"), sidecar if record and isinstance(sidecar, str) else None)


def _with_sidecar(item: Item, within: tuple[Root, ...]) -> Item:
    if item.sidecar is None:
        return item
    try:
        said = _json(read_allowed(item.sidecar, within, _MAX_SIDECAR), _MAX_SIDECAR)
    except PictureError:
        return item
    inputs = said.get("inputs")
    inputs = inputs if isinstance(inputs, Mapping) else {}
    known = item.record
    more = read_record(
        {
            **known.to_json(),
            "before": inputs.get("character_image"),
            "reference": inputs.get("reference_character_image"),
            "label": said.get("id"),
            "seconds": said.get("seconds"),
            "cost": said.get("cost"),
        }
    )
    return Item(item.index, more or known, item.sidecar)


def _json(data: bytes, longest: int) -> Mapping[str, Any]:
    try:
        said = json.loads(data) if len(data) <= longest else None
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, Mapping) else {}
