"""
Files of a batch in object storage, which cannot append: results arrive in part files, each written once.
The newest row of a swap counts, so a part that is written twice does no harm.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.texts import MAX_MANIFEST
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.files.objects import read_up_to, storage_errors, storage_path
from airflow_provider_segmind.files.publish import lines_of, put, write_whole, writing

COMPLETED = "COMPLETED"
FAILED = "FAILED"
EXPIRED = "EXPIRED"
"""Paid for, but Segmind no longer has the result."""
UNFINISHED = "UNFINISHED"
"""Ordered, but not done in time or without an answer; a retry asks for it again."""
UNKNOWN = "UNKNOWN"
"""Possibly ordered; a person has to look."""
NOT_ORDERED = "NOT_ORDERED"

STORED = ".stored.jsonl"
"""Suffix of the manifest that says where the pictures are stored."""
CHECKS = ".checks.jsonl"
"""Suffix of the file with the result of the checks, one line per result."""

_STANDING = (COMPLETED, FAILED, EXPIRED)
_STATUSES = (*_STANDING, UNFINISHED, NOT_ORDERED, UNKNOWN)

Row = dict[str, Any]


class Rows(Mapping[int, Row]):
    """Results by the index of their swap, as JSON: as dicts those of a large batch take three times the memory."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._lines: dict[int, bytes] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take a result, in place of an earlier one."""
        self._lines[row["index"]] = json.dumps(row, separators=(",", ":")).encode()

    def __getitem__(self, index: int) -> Row:
        row: Row = json.loads(self._lines[index])
        return row

    def __contains__(self, index: object) -> bool:
        return index in self._lines

    def __iter__(self) -> Iterator[int]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def dag_of(context: Mapping[str, Any]) -> str | None:
    """Return the id of the task's DAG, which marks the files that the task writes."""
    return getattr(context.get("ti"), "dag_id", None)


def read_file(name: str, uri: str) -> bytes:
    """Return the bytes of a manifest; ``name`` is the operator's parameter, for error messages."""
    data = read_up_to(MAX_MANIFEST + 1, name, uri)
    if len(data) > MAX_MANIFEST:
        raise InvalidRequestError(f"{name} {shown(uri)!r} is larger than {MAX_MANIFEST // 2**20} MiB: split it.")
    return data


def read_lines(name: str, uri: str) -> Iterator[tuple[int, bytes, Row | None]]:
    """Yield each line's number (from 1), its bytes, and its row, or ``None`` for a line that is not a JSON object."""
    for number, line in enumerate(read_file(name, uri).removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, line, row if isinstance(row, dict) else None


@dataclass(frozen=True)
class BatchFiles:
    """
    Files of one batch.

    :param results: URI of the results manifest.
    :param batch: unique name of the batch; it keeps the part files of an earlier batch apart.
    """

    results: str
    batch: str

    @property
    def _parts(self) -> ObjectStoragePath:
        return ObjectStoragePath(f"{self.results}.parts") / self.batch

    def check(self, swaps: Iterable[Row]) -> None:
        """Check that results can be written, by writing the list of swaps before the first order."""
        storage_path("results_uri", self.results)
        nothing = "nothing was ordered now"
        final, passing = (
            f", so {nothing}: check the path and who may write there.",
            f"{nothing}, and a retry orders it.",
        )
        with storage_errors("results_uri", self.results, "written", final=final, passing=passing):
            write_whole(self._parts / "swaps.jsonl", lines_of(swaps))

    def write_swaps(self, swaps: Iterable[Row]) -> None:
        """Write all swaps of the batch with their handles, for the trigger."""
        self._write(self._parts / "swaps.jsonl", swaps)

    def read_swaps(self) -> Iterator[Row]:
        """Yield all swaps with their handles. Raise if there are none: an empty batch would count as a success."""
        count = 0
        for count, swap in enumerate(_rows(self._parts / "swaps.jsonl"), 1):  # noqa: B007 - it is counted
            yield swap
        if not count:
            raise SegmindError(
                f"{shown(str(self._parts / 'swaps.jsonl'))} is missing or empty, so it is not known which orders to "
                "wait for. A retry resumes the orders that are on record. Set results_uri to a place that every "
                "worker and triggerer reads and writes, and keep the files next to it until the task has ended."
            )

    def write_part(self, rows: Iterable[Row]) -> None:
        """Store new results in a part file."""
        self._write(self._parts / f"part-{time.time_ns():020d}.jsonl", rows)

    def read_parts(self) -> dict[int, Row]:
        """Return the newest result of each swap, by index."""
        # Storage is data, too: a status that this package never writes would become part of an event.
        rows = (row for part in self._part_files() for row in _rows(part))
        return {row["index"]: row for row in rows if row.get("status") in _STATUSES}

    def standing(self) -> dict[int, Row]:
        """Return the final results, by index; a retry asks for the other swaps again."""
        return {index: row for index, row in self.read_parts().items() if row["status"] in _STANDING}

    def compact(self, rows: Iterable[Row]) -> None:
        """Replace all results by ``rows``."""
        # One new part replaces the old ones. A kill in between leaves some rows twice, which does no harm.
        old = self._part_files()
        if old:
            self.write_part(rows)
            with writing(self._parts, "results_uri"):
                for path in old:
                    path.unlink()

    def write_results(self, rows: Iterable[Row]) -> None:
        """Write the results manifest, whole or not at all."""
        self._write(ObjectStoragePath(self.results), rows)

    def _part_files(self) -> list[ObjectStoragePath]:
        folder = self._parts
        with writing(folder, "results_uri"):
            found = folder.iterdir() if folder.exists() else ()
            return sorted((path for path in found if path.name.startswith("part-")), key=lambda path: path.name)

    @staticmethod
    def _write(path: ObjectStoragePath, rows: Iterable[Row]) -> None:
        put(path, lines_of(rows), "results_uri")


def result_in(parts: Mapping[int, Row], swap: Row) -> Row | None:
    """Return the result of a swap's current order, if it is there; not that of an order that was replaced."""
    part = parts.get(swap["index"])
    return part if part is not None and part["request_id"] == swap["request_id"] else None


def own(swaps: Iterable[Row], parts: Mapping[int, Row]) -> dict[int, Row]:
    """Return the results of the swaps' current orders, by index."""
    return {swap["index"]: part for swap in swaps if (part := result_in(parts, swap)) is not None}


def compose(swaps: Iterable[Row], parts: Mapping[int, Row]) -> list[Row]:
    """Return the rows of the results manifest: each swap with its result, in the order of the batch."""
    return list(composed(swaps, parts))


def composed(swaps: Iterable[Row], parts: Mapping[int, Row]) -> Iterator[Row]:
    """Yield the rows of :func:`compose`, one at a time: all rows of a large batch need much memory."""
    for swap in swaps:
        rest: Row = {"outputs": [], "image_url": None, "seconds": None, "error": None}
        if (part := result_in(parts, swap)) is not None:
            yield {**swap, **rest, **part}
        else:
            yield {**swap, "status": UNFINISHED if swap["request_id"] else NOT_ORDERED, **rest}


def summary_of(rows: Iterable[Row], results: str, price: float) -> dict[str, Any]:
    """
    Return the summary of a batch for the XCom.

    :param price: US dollars for one swap; ``cost`` counts every accepted order, repeated orders included.
    """
    by_status: dict[str, int] = {}
    good = ordered = 0
    for row in rows:
        by_status[row["status"]] = by_status.get(row["status"], 0) + 1
        good += is_good(row)
        ordered += orders_of(row)
    total = sum(by_status.values())
    return {
        "results_uri": results,
        "total": total,
        "completed": good,
        "failed": total - good,
        "by_status": by_status,
        "cost": round(ordered * price, 4),
    }


def orders_of(row: Mapping[str, Any]) -> int:
    """Return the number of accepted, and thus billed, orders of a swap."""
    # Rows from an earlier version of this package name only the newest order.
    return len(row["requests"]) if "requests" in row else int(bool(row["request_id"]))


def is_good(row: Mapping[str, Any]) -> bool:
    """Return whether a swap has its picture."""
    return bool(row["status"] == COMPLETED and not row.get("error"))


def too_many(summary: Mapping[str, Any], max_failures: float) -> bool:
    """Return whether more swaps failed than allowed: a count, or below 1 a share of all."""
    failed, total = summary["failed"], summary["total"]
    return bool(failed > max_failures * total if 0 < max_failures < 1 else failed > max_failures)


def _rows(path: ObjectStoragePath) -> Iterator[Row]:
    with writing(path, "results_uri"):
        data = path.read_bytes() if path.exists() else b""
    for line in io.BytesIO(data):
        yield json.loads(line)
