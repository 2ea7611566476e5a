"""Swaps of a batch, from the storage operator's manifest and the sidecars next to the pictures."""

from __future__ import annotations

import json
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeVar

from airflow_provider_segmind.api.findings import SHOWN, told
from airflow_provider_segmind.api.gallery import MAX_CHECKS, MAX_WORDS, GalleryRecord, read_record
from airflow_provider_segmind.batch.files import CHECKS, STORED
from airflow_provider_segmind.gallery.pictures import PictureError, read_allowed
from airflow_provider_segmind.gallery.recording import file_name
from airflow_provider_segmind.gallery.roots import Root

T = TypeVar("T")

MAX_MANIFEST = 64 * 2**20
"""Bytes of a manifest to read, and of all cached ones together; a batch of 10,000 swaps has about 8 MB."""
_MAX_LINE = 65_536
_MAX_SIDECAR = 65_536
_KEPT = 6  # manifests and check files of three batches
_KEPT_SECONDS = 60.0
_BUDGET = MAX_MANIFEST + 2**20  # of the cache, with Python's overhead
_BUSY_SECONDS = 20.0
_THREADS = 8
_STEP = 4096

_kept: dict[str, tuple[Lines, threading.Timer]] = {}
_lock = threading.Lock()
_reading = threading.Lock()


class Lines:
    """The lines of a text. There may be millions, so a line becomes an object only on access."""

    def __init__(self, text: bytes | bytearray) -> None:
        self._text = text
        counts = (text.count(b"\n", at, at + _STEP) for at in range(0, len(text), _STEP))
        # Number of lines that end before each step of the text, and in all of it.
        self._ended = list(accumulate(counts, initial=0))

    def __len__(self) -> int:
        return self._ended[-1] + (bool(self._text) and not self._text.endswith(b"\n"))

    def __getitem__(self, index: int) -> bytes:
        """Return a line, cut if it is longer than ``_MAX_LINE``."""
        begin = self._begin(index)
        end = self._text.find(b"\n", begin, begin + _MAX_LINE + 1)
        return bytes(self._text[begin : end if end >= 0 else begin + _MAX_LINE + 1])

    @property
    def size(self) -> int:
        """Approximate memory in bytes."""
        return len(self._text) + 40 * len(self._ended)

    def _begin(self, index: int) -> int:
        if index == 0:
            return 0
        step = bisect_left(self._ended, index) - 1
        at = step * _STEP
        for _ in range(index - self._ended[step]):
            at = self._text.index(b"\n", at) + 1
        return at


@dataclass(frozen=True)
class Item:
    """One swap of a batch."""

    index: int  # its line in the manifest, from 0
    record: GalleryRecord
    sidecar: str | None  # URI
    default: str | None = None  # the verdict that the checks suggest, in a review


def read_page(uri: str | None, within: Iterable[Root], offset: int, limit: int) -> tuple[int, list[Item]]:
    """Return the number of swaps of the manifest at a URI, and a page of them with facts from sidecars and checks."""
    within = tuple(within)
    total, page = _page(uri, within, offset, limit)
    found = _failed(uri, within, [said.get("row") for said in page])
    items = [_item(offset + n, said, found) for n, said in enumerate(page)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return total, list(pool.map(lambda item: _with_sidecar(item, within), items))


def _page(uri: str | None, within: tuple[Root, ...], offset: int, limit: int) -> tuple[int, list[Mapping[str, Any]]]:
    def found(lines: Lines) -> tuple[int, list[bytes]]:
        return len(lines), [lines[index] for index in range(len(lines))[offset : offset + limit]]

    total, page = _taken(uri, within, found)
    return total, [_json(line, _MAX_LINE) for line in page]


def _failed(uri: str | None, within: tuple[Root, ...], rows: Iterable[Any]) -> dict[Any, list[dict[str, str]]]:
    """Return the failed checks of some swaps by line in the batch; empty if the batch was not checked."""

    def found(lines: Lines) -> dict[int, bytes]:
        return {row: lines[row] for row in rows if isinstance(row, int) and 0 <= row < len(lines)}

    try:
        known = _taken(f"{(uri or '').removesuffix(STORED)}{CHECKS}", within, found)
    except PictureError:
        return {}
    return {row: list(_failed_of(_json(line, _MAX_LINE))) for row, line in known.items()}


def _failed_of(said: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    report = said.get("report")
    found = report.get("checks") if isinstance(report, Mapping) else None
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping) and each.get("verdict") in SHOWN:
            yield {"name": str(each.get("name"))[:MAX_WORDS], "why": told(each)[:MAX_WORDS]}


def _taken(uri: str | None, within: tuple[Root, ...], take: Callable[[Lines], T]) -> T:
    """Return what is taken, never ``None``, of a manifest's lines; all pictures of a page need them within a minute."""
    # Only one manifest is read at a time, the cache has a size limit, and no request has lines without a lock, so
    # manifests never use more of the API server's memory than two of the largest.
    key = f"{within} {uri}"  # other folders, other access rights
    found = _taken_of_kept(key, take)
    if found is not None:
        return found
    if not _reading.acquire(timeout=_BUSY_SECONDS):
        raise PictureError(503, "Other batches are being read just now: try again.")
    try:
        found = _taken_of_kept(key, take)  # another thread may have read it meanwhile
        if found is None:
            lines = Lines(read_allowed(uri, within, MAX_MANIFEST))
            _keep(key, lines)
            found = take(lines)
    finally:
        _reading.release()
    return found


def _taken_of_kept(key: str, take: Callable[[Lines], T]) -> T | None:
    with _lock:
        return take(_kept[key][0]) if key in _kept else None


def _keep(key: str, lines: Lines) -> None:
    """Cache lines for a minute; if there is no room, drop the oldest."""
    # The timer must not hold the lines: its thread lives on for a moment after they were dropped.
    end = threading.Timer(_KEPT_SECONDS, _forget, (key, weakref.ref(lines)))
    end.daemon = True  # must not delay the server's shutdown
    with _lock:
        while _kept and (len(_kept) >= _KEPT or sum(each.size for each, _ in _kept.values()) + lines.size > _BUDGET):
            _, timer = _kept.pop(next(iter(_kept)))
            timer.cancel()
        _kept[key] = (lines, end)
    end.start()


def _forget(key: str, lines: weakref.ref[Lines]) -> None:
    with _lock:
        if key in _kept and _kept[key][0] is lines():
            del _kept[key]


def _item(index: int, said: Mapping[str, Any], found: Mapping[Any, list[dict[str, str]]]) -> Item:
    files = said.get("files")
    file = files[0] if isinstance(files, list) and files and isinstance(files[0], Mapping) else {}
    error, row = said.get("error"), said.get("row")
    wrong = [{"name": "storing", "why": str(error)[:MAX_WORDS]}] if error else []
    failed = found.get(row, []) if isinstance(row, int) else []
    own = said.get("checks")  # of a review
    checks = [*wrong, *failed, *(own if isinstance(own, list) else ())]
    record = read_record(
        {
            "state": "completed" if file else "failed",
            "after": file.get("uri"),
            "before": said.get("character_image"),
            "reference": said.get("reference_character_image"),
            "thumbs": {"after": file.get("thumbnail")},
            "request_id": said.get("request_id"),
            "label": said.get("id") or file_name(said.get("character_image")),
            "checks": checks[:MAX_CHECKS],
        }
    )
    sidecar, default = file.get("sidecar"), said.get("default")
    # Keep an item for a bad line too: the index of the others is their line number.
    return Item(
        index,
        record or GalleryRecord("failed"),
        sidecar if record and isinstance(sidecar, str) else None,
        default if isinstance(default, str) else None,
    )


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
            "before": inputs.get("character_image") or known.before,
            "reference": inputs.get("reference_character_image") or known.reference,
            "label": said.get("id") or known.label or file_name(inputs.get("character_image")),
            "seconds": said.get("seconds"),
            "cost": said.get("cost"),
        }
    )
    return replace(item, record=more or known)


def _json(data: bytes | bytearray, longest: int) -> Mapping[str, Any]:
    try:
        said = json.loads(data) if len(data) <= longest else None
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, Mapping) else {}
