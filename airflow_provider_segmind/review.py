"""A review: the files that people look at before, their verdicts, and the files that follow from these."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

from airflow.sdk import Context, ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.findings import found_in
from airflow_provider_segmind.api.gallery import Verdict
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_INPUTS
from airflow_provider_segmind.batch.checks import manifest_of
from airflow_provider_segmind.batch.files import CHECKS, COMPLETED, STORED, Row, read_lines
from airflow_provider_segmind.files.objects import read_up_to, storage_path
from airflow_provider_segmind.files.publish import lines_of, put

log = logging.getLogger(__name__)

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

ITEMS = ".items.jsonl"
"""Suffix of the file with the pictures of a review; the gallery shows it."""
KEPT, AGAIN = ".kept.jsonl", ".again.jsonl"
"""Suffixes of the manifest of what is kept, and of what is to be ordered again."""

_KEPT_VERDICTS = "segmind_verdicts"
"""Key under which a task's store keeps the verdicts, and of which pictures they are."""
_BY_CHECK: Mapping[str, Verdict] = {"fail": "reject"}
"""The verdict that stands for a check's, until a person gives another."""
_MAX_SIDECAR = 65_536
_THREADS = 8
_ORDERED = (*BODY_SWAP_INPUTS, "id", "consent_reference")


def items_of(results: object) -> list[Row]:
    """Return a row for each swap that a review shows: its files, its inputs and the verdict that checks suggest."""
    if isinstance(results, Mapping) and "files" in results:
        results = [results]
    manifest = manifest_of(results)
    if manifest is not None:
        rows = list(_of_manifest(results, manifest))
    elif isinstance(results, Sequence) and not isinstance(results, str):
        with ThreadPoolExecutor(_THREADS) as pool:
            rows = list(pool.map(_of_result, results))
    else:
        rows = []
    if not rows:
        raise InvalidRequestError(
            f"results is {shown(results)}, in which there is nothing to review: give what "
            "SegmindToObjectStorageOperator returned for a batch or a list, or the URI of its manifest."
        )
    return [{**row, "index": index} for index, row in enumerate(rows)]


def write_items(review_uri: str, rows: Iterable[Row]) -> str:
    """Write what is reviewed, and return its URI."""
    return _write(f"{review_uri}{ITEMS}", rows)


def read_items(review_uri: str) -> list[Row]:
    """Return what is reviewed."""
    return [row for _, _, row in read_lines("review_uri", f"{review_uri}{ITEMS}") if row is not None]


def decided(rows: Iterable[Row], verdicts: Mapping[str, Any]) -> list[Row]:
    """Return the rows with their verdicts: a person's, by index, or the one that the checks suggest."""
    return [{**row, **_decision(row, verdicts.get(str(row["index"])))} for row in rows]


def write_decided(review_uri: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Write the three manifests of a review that has ended, and return its summary."""
    by = {verdict: [row for row in rows if row["verdict"] == verdict] for verdict in VERDICTS}
    return {
        "review_uri": _write(review_uri, rows),
        "kept_uri": _write(f"{review_uri}{KEPT}", by["keep"]),
        "again_uri": _write(f"{review_uri}{AGAIN}", _orders(by["again"])),
        "total": len(rows),
        "kept": len(by["keep"]),
        "rejected": len(by["reject"]),
        "again": len(by["again"]),
        "reviewed_by": sorted({str(row["by"]) for row in rows if row.get("by")}),
    }


def verdicts_on(context: Context, rows: Iterable[Row]) -> dict[str, Any]:
    """Return the verdicts of an earlier attempt about the same pictures; Airflow deletes what that attempt pushed."""
    store: Any = context.get("task_state_store")
    if store is None:  # Airflow 3.1 and 3.2
        return {}
    pictures = hashlib.sha256(json.dumps([row["uri"] for row in rows]).encode()).hexdigest()
    known = store.get(_KEPT_VERDICTS) or {}
    verdicts: dict[str, Any] = known["verdicts"] if known.get("pictures") == pictures else {}
    store.set(_KEPT_VERDICTS, {"pictures": pictures, "verdicts": verdicts})
    if verdicts:
        log.info("%d verdicts of an earlier attempt stand, until somebody changes them.", len(verdicts))
    return verdicts


def keep(context: Context, verdicts: Mapping[str, Any]) -> None:
    """Keep the verdicts for a next attempt; the one that ends now has them anyway."""
    store: Any = context.get("task_state_store")
    try:
        if store is not None:
            store.set(_KEPT_VERDICTS, {**(store.get(_KEPT_VERDICTS) or {}), "verdicts": verdicts})
    except Exception:
        log.warning("The verdicts are not kept for another attempt; this one has them.", exc_info=True)


def _of_manifest(results: object, manifest: str) -> Iterator[Row]:
    uri = results.get("stored_uri") if isinstance(results, Mapping) else results
    uri = uri if isinstance(uri, str) and uri.endswith(STORED) else f"{manifest}{STORED}"
    stored = {row.get("request_id"): row for _, _, row in read_lines("results", uri) if row is not None}
    checks = dict(enumerate(_checks_of(manifest)))
    for _, _, row in read_lines("results", manifest):
        if row is not None:
            files = stored.get(row.get("request_id"), {})
            yield _row(row, files, checks.get(row.get("index", -1)))


def _checks_of(manifest: str) -> list[Mapping[str, Any] | None]:
    """Return the report of each result, if the batch was checked."""
    if not storage_path("results", f"{manifest}{CHECKS}").exists():
        return []
    return [(row or {}).get("report") for _, _, row in read_lines("results", f"{manifest}{CHECKS}")]


def _of_result(result: object) -> Row:
    if not isinstance(result, Mapping) or not isinstance(result.get("files"), list):
        raise InvalidRequestError(
            f"results has {shown(result)}, which is not stored: give what SegmindToObjectStorageOperator returned."
        )
    said = _sidecar(result)
    inputs = said.get("inputs")
    row = {**said, **(inputs if isinstance(inputs, Mapping) else {}), "status": COMPLETED}
    return _row(row, result, said.get("checks"))


def _sidecar(result: Mapping[str, Any]) -> Mapping[str, Any]:
    file = result["files"][0] if result["files"] else {}
    try:
        said = json.loads(read_up_to(_MAX_SIDECAR, "results", str(file.get("sidecar") or "")))
    except (ValueError, SegmindError):  # then nothing says what it was made from
        return {}
    return said if isinstance(said, Mapping) else {}


def _row(known: Mapping[str, Any], stored: Mapping[str, Any], report: object) -> Row:
    checked = isinstance(report, Mapping) and isinstance(report.get("checks"), list)
    found = [{"name": name, "why": why} for name, why in found_in(report)] if checked else []  # type: ignore[arg-type]
    verdict = report.get("verdict") if isinstance(report, Mapping) else None
    uri, error = stored.get("uri"), stored.get("error") or known.get("error")
    default = _BY_CHECK.get(str(verdict), "keep") if uri else "reject"
    row = {name: value for name, value in known.items() if name not in ("checks", "inputs")}
    files = {"request_id": stored.get("request_id") or known.get("request_id"), "uri": uri}
    return {**row, **files, "files": stored.get("files") or [], "error": error, "checks": found, "default": default}


def _decision(row: Row, said: Any) -> Row:
    verdict, by, at = said if isinstance(said, list) and len(said) == 3 else (None, None, None)
    if verdict not in VERDICTS:
        return {"verdict": row.get("default", "keep"), "by": None, "at": None}
    return {"verdict": verdict, "by": by, "at": at}


def _orders(rows: Iterable[Row]) -> list[Row]:
    """Return the rows as a manifest that orders them; what is there several times is ordered as often."""
    found: dict[tuple[Any, ...], Row] = {}
    takes: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if all(row.get(name) for name in BODY_SWAP_IMAGES):
            order = {name: row[name] for name in _ORDERED if row.get(name)}
            inputs = tuple(row.get(name) for name in BODY_SWAP_INPUTS)
            take = row.get("take", 1)
            if take == 1 or (*inputs, take) in takes:
                same = found.setdefault(inputs, {**order, "takes": 0})
                same["takes"] += 1
            else:  # with a memory, another take may be one that is kept
                takes[*inputs, take] = {**order, "takes": 1, "first_take": take}
    return [*found.values(), *takes.values()]


def _write(uri: str, rows: Iterable[Row]) -> str:
    put(storage_path("review_uri", uri), lines_of(rows), "review_uri")
    return str(ObjectStoragePath(uri)) if "://" in uri else uri
