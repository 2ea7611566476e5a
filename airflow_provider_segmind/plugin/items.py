"""The swaps of a batch, from the manifest that the storage operator wrote and the sidecars beside the pictures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from airflow_provider_segmind.api.gallery import MAX_CHECKS, MAX_WORDS, GalleryRecord, read_record
from airflow_provider_segmind.hooks.batch_files import CHECKS, STORED
from airflow_provider_segmind.plugin.pictures import PictureError, Root, read_allowed

MAX_MANIFEST = 64 * 2**20
"""Bytes of a manifest that is read; a batch of 10,000 swaps has about 8 MB."""
_MAX_LINE = 65_536
_MAX_SIDECAR = 65_536
_KEPT = 6  # of three batches: what is stored, and what checks say
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


def read_checks(uri: str | None, within: Iterable[Root]) -> Sequence[bytes]:
    """
    Return the lines in which checks say what they found in a batch; none if it was not checked.

    :param uri: where its manifest is.
    :param within: the folders whose files may be shown.
    """
    try:
        return read_lines(f"{uri.removesuffix(STORED)}{CHECKS}", within) if uri else ()
    except PictureError:
        return ()


def read_items(
    lines: Sequence[bytes], indexes: Iterable[int], within: Iterable[Root], checks: Sequence[bytes] = ()
) -> list[Item]:
    """
    Return some swaps of a batch, with what their sidecars say.

    :param lines: of the manifest.
    :param indexes: which of them.
    :param within: the folders whose files may be shown.
    :param checks: what :func:`read_checks` returns.
    """
    within = tuple(within)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda index: _with_sidecar(_item(index, lines[index], checks), within), indexes))


def _item(index: int, line: bytes, checks: Sequence[bytes]) -> Item:
    said = _json(line, _MAX_LINE)
    files = said.get("files")
    file = files[0] if isinstance(files, list) and files and isinstance(files[0], Mapping) else {}
    error = said.get("error")
    wrong = [{"name": "storing", "why": str(error)[:MAX_WORDS]}] if error else []
    record = read_record(
        {
            "state": "completed" if file else "failed",
            "after": file.get("uri"),
            "thumbs": {"after": file.get("thumbnail")},
            "request_id": said.get("request_id"),
            "checks": [*wrong, *_failed(said.get("row"), checks)][:MAX_CHECKS],
        }
    )
    sidecar = file.get("sidecar")
    # A line that is not as it must be still counts: the numbers of the others are their places.
    return Item(index, record or GalleryRecord("failed"), sidecar if record and isinstance(sidecar, str) else None)


def _failed(row: Any, checks: Sequence[bytes]) -> Iterator[dict[str, str]]:
    """Return the failed checks of a swap, by its line in the batch."""
    if not isinstance(row, int) or not 0 <= row < len(checks):
        return
    report = _json(checks[row], _MAX_LINE).get("report")
    found = report.get("checks") if isinstance(report, Mapping) else None
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping) and each.get("verdict") == "fail":
            yield {name: str(each.get(name))[:MAX_WORDS] for name in ("name", "why")}


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
