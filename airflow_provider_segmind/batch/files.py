"""
The files of a batch in object storage: what was ordered, results as they come, and the manifest of results.

Object storage cannot append, so results come in part files, each written once. Whoever reads them takes the newest row
of each swap, so a part that is written twice does no harm.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.manifest import MAX_MANIFEST
from airflow_provider_segmind.api.uris import cause, shown
from airflow_provider_segmind.files.objects import read_up_to, storage_path
from airflow_provider_segmind.files.publish import lines_of, write_whole

COMPLETED = "COMPLETED"
FAILED = "FAILED"
EXPIRED = "EXPIRED"
"""Paid for, and its result can no longer be asked for."""
UNFINISHED = "UNFINISHED"
"""Ordered, and not done in time or not answered for; asked for again by a retry."""
UNKNOWN = "UNKNOWN"
"""Perhaps ordered; a person has to look."""
NOT_ORDERED = "NOT_ORDERED"

STORED = ".stored.jsonl"
"""What follows the manifest's name in the name of the one that says where its pictures are stored."""
CHECKS = ".checks.jsonl"
"""What follows it in the name of the one that says, line by line, what checks found in them."""

_STANDING = (COMPLETED, FAILED, EXPIRED)

Row = dict[str, Any]


def dag_of(context: Mapping[str, Any]) -> str | None:
    """Return the DAG of a task, by which files that it writes are known as its own."""
    return getattr(context.get("ti"), "dag_id", None)


def read_file(name: str, uri: str) -> bytes:
    """
    Read a manifest from object storage.

    :param name: the operator's parameter, for messages.
    :raises InvalidRequestError: when it cannot be read, or is too large.
    """
    data = read_up_to(MAX_MANIFEST + 1, name, uri)
    if len(data) > MAX_MANIFEST:
        raise InvalidRequestError(f"{name} {shown(uri)!r} is larger than {MAX_MANIFEST // 2**20} MiB: split it.")
    return data


def read_lines(name: str, uri: str) -> Iterator[tuple[int, bytes, Row | None]]:
    """
    Read a manifest of results.

    :param name: the operator's parameter, for messages.
    :return: the number of each line from 1, the line, and its row, or ``None`` where it is no JSON object.
    :raises InvalidRequestError: when it cannot be read, or is too large.
    """
    for number, line in enumerate(read_file(name, uri).splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, line, row if isinstance(row, dict) else None


@dataclass(frozen=True)
class BatchFiles:
    """
    Where a batch keeps its files.

    :param results: URI of the manifest of results.
    :param batch: the batch's own name, so that an earlier one's parts are not mistaken for its own.
    """

    results: str
    batch: str

    @property
    def _parts(self) -> ObjectStoragePath:
        return ObjectStoragePath(f"{self.results}.parts") / self.batch

    def check(self, swaps: Iterable[Row]) -> None:
        """
        Make sure that results can be written, by writing the swaps before any is ordered.

        :raises InvalidRequestError: when they cannot.
        """
        storage_path("results_uri", self.results)
        try:
            self.write_swaps(swaps)
        except (OSError, ValueError, ImportError) as error:
            raise InvalidRequestError(
                f"results_uri {shown(self.results)!r} cannot be written ({cause(error)}), so nothing was "
                "ordered now: check the path and who may write there."
            ) from error

    def write_swaps(self, swaps: Iterable[Row]) -> None:
        """Write all swaps of the batch with their handles, for whoever waits for them."""
        self._write(self._parts / "swaps.jsonl", swaps)

    def read_swaps(self) -> list[Row]:
        """
        Return all swaps of the batch with their handles.

        :raises SegmindError: when they are not there: a batch without swaps would count as a success.
        """
        swaps = list(_rows(self._parts / "swaps.jsonl"))
        if not swaps:
            raise SegmindError(
                f"{shown(str(self._parts / 'swaps.jsonl'))} is not there, or empty, so nobody knows here what to wait "
                "for. Whoever wrote the DAG gives results_uri a place that every worker and triggerer reads and "
                "writes, and keeps what is beside it until the task has ended. A retry goes on with the orders that "
                "are on record."
            )
        return swaps

    def write_part(self, rows: Iterable[Row]) -> None:
        """Store results that have just come."""
        self._write(self._parts / f"part-{time.time_ns():020d}.jsonl", rows)

    def read_parts(self) -> dict[int, Row]:
        """Return the newest result of each swap, by index."""
        return {row["index"]: row for part in self._part_files() for row in _rows(part)}

    def compact(self) -> dict[int, Row]:
        """
        Return the results that stand, and forget the others: those that were not there in time are asked for again.

        One new part takes the place of all others. What is killed in between leaves rows twice, which does no harm.
        """
        old = self._part_files()
        standing = {index: row for index, row in self.read_parts().items() if row["status"] in _STANDING}
        if old:
            self.write_part(standing.values())
            for path in old:
                path.unlink()
        return standing

    def write_results(self, rows: Iterable[Row]) -> None:
        """Write the manifest of results, whole or not at all."""
        self._write(ObjectStoragePath(self.results), rows)

    def _part_files(self) -> list[ObjectStoragePath]:
        folder = self._parts
        if not folder.exists():
            return []
        return sorted((path for path in folder.iterdir() if path.name.startswith("part-")), key=lambda path: path.name)

    @staticmethod
    def _write(path: ObjectStoragePath, rows: Iterable[Row]) -> None:
        write_whole(path, lines_of(rows))


def own(swaps: Iterable[Row], parts: Mapping[int, Row]) -> dict[int, Row]:
    """Return the results of the swaps' own orders, without those of orders that were placed anew since."""
    ids = {swap["index"]: swap["request_id"] for swap in swaps}
    return {index: row for index, row in parts.items() if index in ids and ids[index] == row["request_id"]}


def compose(swaps: Iterable[Row], parts: Mapping[int, Row]) -> list[Row]:
    """
    Return the manifest of results: each swap with what became of it, in the order of the batch.

    :param swaps: all swaps, with their handles.
    :param parts: results by index.
    """
    swaps = list(swaps)
    results = own(swaps, parts)
    return [_composed(swap, results.get(swap["index"])) for swap in swaps]


def _composed(swap: Row, part: Row | None) -> Row:
    rest: Row = {"outputs": [], "image_url": None, "seconds": None, "error": None}
    if part is not None:
        return {**swap, **rest, **part}
    return {**swap, "status": UNFINISHED if swap["request_id"] else NOT_ORDERED, **rest}


def summary_of(rows: Iterable[Row], results: str, price: float) -> dict[str, Any]:
    """
    Return what an XCom says of a batch.

    :param rows: the manifest of results.
    :param results: its URI.
    :param price: US dollars for one swap.
    :return: ``results_uri``, ``total``, ``completed``, ``failed`` (all others), ``by_status``, and ``cost`` in US
        dollars, an estimate: every accepted order times the price, also of those that were ordered again.
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
    """Return how many orders of a swap were accepted, each of which is billed."""
    # What an earlier version of this package wrote names only the newest.
    return len(row["requests"]) if "requests" in row else int(bool(row["request_id"]))


def is_good(row: Mapping[str, Any]) -> bool:
    """Whether a swap has its picture."""
    return bool(row["status"] == COMPLETED and not row.get("error"))


def too_many(summary: Mapping[str, Any], max_failures: float) -> bool:
    """Whether more swaps failed than the author accepts: a count, or below 1 a share of all."""
    failed, total = summary["failed"], summary["total"]
    return bool(failed > max_failures * total if 0 < max_failures < 1 else failed > max_failures)


def check_failures(value: Any) -> float:
    """
    Return the value of ``max_failures``, if it is a count or a share.

    :raises InvalidRequestError: when it is neither.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and (0 <= value < 1 or (value >= 1 and float(value).is_integer())):
        return float(value)
    raise InvalidRequestError(
        f"max_failures is {value!r}: it must be a whole number of swaps, or a share of them below 1."
    )


def _rows(path: ObjectStoragePath) -> Iterator[Row]:
    if path.exists():
        for line in path.read_bytes().splitlines():
            yield json.loads(line)
