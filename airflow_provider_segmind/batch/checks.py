"""Check all results of a batch in one task, several at a time, and summarize the checks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.uris import key_of, shown
from airflow_provider_segmind.api.workflows import check_image
from airflow_provider_segmind.batch.files import CHECKS, STORED, is_good, read_lines
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.files.download import picture_bytes
from airflow_provider_segmind.files.objects import storage_errors
from airflow_provider_segmind.files.pictures import is_url
from airflow_provider_segmind.files.publish import lines_of, write_whole
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.quality.many import Pair, check_many
from airflow_provider_segmind.quality.report import Report
from airflow_provider_segmind.quality.thresholds import Thresholds

log = logging.getLogger(__name__)

REPORT_SECONDS = 30.0
MOST_TOLD = 50
"""Results with reasons in the XCom; the reports file, if there is one, has all."""
_LONGEST_REASON = 300
_MANIFESTS = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Item:
    """
    One result to check, and the URIs of its pictures.

    :param images: the scene, the result and, if there is one, the new person; empty if there is no result.
    :param why_not: why there is nothing to check.
    :param dag_id: the DAG that ordered it, according to the manifest.
    :param request_id: the id of its job, according to the manifest.
    """

    index: int
    id: str | None
    images: tuple[str, ...]
    why_not: str = ""
    dag_id: str | None = None
    request_id: object = None


@dataclass(frozen=True)
class Checked:
    """One result with its report, or the error that prevented the check."""

    item: Item
    report: Report | None = None
    error: Exception | None = None

    @property
    def verdict(self) -> str:
        """``pass``, ``warn``, ``review``, ``fail``, or ``not checked``."""
        return "not checked" if self.report is None else self.report.verdict

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass, in words."""
        if self.report is not None:
            bad = [check for check in self.report.checks if check.verdict in ("warn", "review", "fail")]
            return [f"{check.name}: {check.why}"[:_LONGEST_REASON] for check in bad]
        why = f"{type(self.error).__name__}: {self.error}" if self.error else self.item.why_not
        return [why[:_LONGEST_REASON]]

    def to_json(self) -> dict[str, Any]:
        """Return one line of the reports file."""
        line: dict[str, Any] = {"index": self.item.index, "id": self.item.id, "verdict": self.verdict}
        if self.report is None:
            return {**line, "reasons": self.reasons}
        return {**line, "report": self.report.to_json()}


def manifest_of(result: object) -> str | None:
    """Return the URI of the results manifest if the value is or names one, else ``None``."""
    if isinstance(result, Mapping):
        if isinstance(result.get("results_uri"), str):
            return str(result["results_uri"])
        if isinstance(result.get("stored_uri"), str):
            return str(result["stored_uri"]).removesuffix(STORED)
    if isinstance(result, str) and key_of(result).lower().endswith(_MANIFESTS):
        return result.removesuffix(STORED)
    return None


def is_many(result: object) -> bool:
    """Return whether the value stands for several results."""
    return manifest_of(result) is not None or (isinstance(result, Sequence) and not isinstance(result, (str, bytes)))


def result_uri(result: object) -> object:
    """Return the URI of a result's picture: where this package stored it, or else at Segmind."""
    return (result.get("uri") or result.get("image_url")) if isinstance(result, Mapping) else result


def items_of(result: object, scenes: object, persons: object) -> list[Item]:
    """
    Return the results to check.

    :param result: the summary of a batch, the URI of its manifest, or a list of results.
    :param scenes: one scene for all or a list with one for each; ``None`` uses those that the results name.
    :param persons: the new persons, in the same forms.
    """
    manifest = manifest_of(result)
    if manifest is not None:
        given: list[Any] = _stored(result, list(_rows(manifest)))
    else:
        given = list(result) if isinstance(result, Sequence) else []
    if not given:
        raise InvalidRequestError("results is empty, so nothing would be checked: give what came back.")
    scenes, persons = _each("character_image", scenes, given), _each("reference_character_image", persons, given)
    return [_item(*entry) for entry in zip(range(len(given)), given, scenes, persons, strict=True)]


def _stored(result: object, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the URIs of the stored pictures, if the storage operator's manifest was given."""
    uri = result.get("stored_uri") if isinstance(result, Mapping) else result
    if not isinstance(uri, str) or not uri.endswith(STORED):
        return rows
    places = {row.get("request_id"): row.get("uri") for row in _rows(uri)}
    return [{**row, "uri": places.get(row.get("request_id"))} for row in rows]


def _rows(uri: str) -> Iterator[dict[str, Any]]:
    for number, _, row in read_lines("results", uri):
        if row is None:
            raise InvalidRequestError(
                f"Line {number} of results {shown(uri)!r} is no JSON object. Give the manifest as "
                "BodySwapBatchOperator wrote it, without changes."
            )
        yield row


def _each(name: str, value: object, given: Sequence[object]) -> list[object]:
    """Return one image for each result."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if len(value) != len(given):
            raise InvalidRequestError(
                f"{name} has {len(value)} entries and results has {len(given)}: give one for all, or "
                "as many as there are results."
            )
        return list(value)
    if value is not None:
        return [value] * len(given)
    return [entry.get(name) if isinstance(entry, Mapping) else None for entry in given]


def _item(position: int, result: object, scene: object, person: object) -> Item:
    row = result if isinstance(result, Mapping) else {}
    dag_id = str(row["dag_id"]) if row.get("dag_id") else None
    index = row["index"] if isinstance(row.get("index"), int) else position
    uri = result_uri(result)
    if not uri or ("status" in row and not is_good(row)):
        why = row.get("error") or f"there is no picture: {row.get('status', 'nothing is known')}"
        return Item(index, row.get("id"), (), str(why), dag_id)
    if scene is None:
        raise InvalidRequestError(
            f"Nothing says which scene result {index} was made from: give character_image, one for "
            "all or a list, or the manifest of a batch, which names them."
        )
    images = [check_image("character_image", scene), check_image("results", uri)]
    if person is not None:
        images.append(check_image("reference_character_image", person))
    return Item(index, row.get("id"), tuple(images), dag_id=dag_id, request_id=row.get("request_id"))


def check_all(
    hook: SegmindHook,
    items: Sequence[Item],
    thresholds: Thresholds,
    qa: bool | None = None,
    pose_model: Path | None = None,
) -> list[Checked]:
    """Check the results in parallel, as far as this machine's cores and memory allow; keep their order."""
    reader = _Reader(hook)
    done = [Checked(item) for item in items]
    ready = [position for position, item in enumerate(items) if item.images]
    pairs = (Pair(*(partial(reader.read, *named) for named in _named(items[position]))) for position in ready)
    said = time.monotonic()
    for count, (number, seen) in enumerate(check_many(pairs, thresholds=thresholds, qa=qa, pose_model=pose_model), 1):
        if time.monotonic() - said >= REPORT_SECONDS:
            said = time.monotonic()
            log.info("Checked: %d of %d.", count, len(ready))
        item = items[ready[number]]
        done[ready[number]] = Checked(item, report=seen) if isinstance(seen, Report) else Checked(item, error=seen)
    return done


def _named(item: Item) -> Iterator[tuple[str, str]]:
    names = ("character_image", "results", "reference_character_image")
    return zip(names, item.images, strict=False)


class _Reader:
    """Reads pictures from several threads."""

    # Airflow 3.1 allows only one thread of a task at a time to ask for a connection. So the hook's connection is looked
    # up before the threads start, and a storage's connection by one thread, on first use, while the others wait.

    def __init__(self, hook: SegmindHook) -> None:
        self._hook = hook
        self._known: set[tuple[str, str | None]] = set()
        self._lock = threading.Lock()
        _ = hook.settings, hook.client

    def read(self, name: str, uri: str) -> bytes:
        parts = urlsplit(uri)
        storage = parts.scheme, parts.username
        if is_url(uri) or storage in self._known:
            return picture_bytes(self._hook, name, uri)
        with self._lock:
            data = picture_bytes(self._hook, name, uri)
            self._known.add(storage)
            return data


def write_reports(manifest: str, checked: Iterable[Checked]) -> str:
    """Write all reports as JSON Lines next to the manifest and return the URI of the file."""
    uri = f"{manifest}{CHECKS}"
    passing = "a retry checks the pictures again, which costs nothing."
    final = ": check the path, and whether the worker may write there."
    with storage_errors("results", uri, "written", final=final, passing=passing):
        write_whole(ObjectStoragePath(uri), lines_of(one.to_json() for one in checked))
    return uri


def summary_of(checked: Sequence[Checked]) -> dict[str, Any]:
    """Return the summary of all checks for the XCom: worst verdict, counts, and up to 50 bad reports, worst first."""
    counts = {verdict: sum(one.verdict == verdict for one in checked) for verdict in _ORDER}
    told = sorted((one for one in checked if one.verdict != "pass"), key=lambda one: _ORDER.index(one.verdict))
    return {
        "verdict": next((verdict for verdict in ("fail", "review", "warn") if counts[verdict]), "pass"),
        "checked": len(checked) - counts["not checked"],
        "passed": counts["pass"],
        "warned": counts["warn"],
        "doubtful": counts["review"],
        "failed": counts["fail"],
        "not_checked": counts["not checked"],
        "reports": [
            {"index": one.item.index, "id": one.item.id, "verdict": one.verdict, "reasons": one.reasons}
            for one in told[:MOST_TOLD]
        ],
    }


def first_error(checked: Iterable[Checked]) -> Exception | None:
    """Return the exception for results that could not be checked, if any; prefer one that a retry may resolve."""
    errors = [one.error for one in checked if one.error is not None]
    if not errors:
        return None
    lasting = [error for error in errors if isinstance(error, SegmindError) and not error.retryable]
    error = next((error for error in errors if error not in lasting), errors[0])
    said = f"{len(errors)} of the results could not be checked. {type(error).__name__}: {error}"
    return AirflowFailException(said) if error in lasting else SegmindError(said)


_ORDER = ("fail", "not checked", "review", "warn", "pass")


def told(summary: Mapping[str, Any]) -> str:
    """Return a summary as a few lines for a log or an error."""
    header = ", ".join(f"{summary[name]} {name.replace('_', ' ')}" for name in _TOLD)
    first = [f"{one['id'] or one['index']}: {'; '.join(one['reasons'])}" for one in summary["reports"][:5]]
    return "\n".join((header, *first))


_TOLD = ("checked", "passed", "warned", "doubtful", "failed", "not_checked")
