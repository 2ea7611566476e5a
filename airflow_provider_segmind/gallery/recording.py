"""Records with which tasks show their swaps in the gallery in Airflow's UI."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow.sdk import Context

from airflow_provider_segmind.api.answers import id_in
from airflow_provider_segmind.api.errors import JobExpiredError, JobFailedError, OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.findings import found_in
from airflow_provider_segmind.api.gallery import (
    END_KEY,
    MAX_WORDS,
    XCOM_KEY,
    FailedCheck,
    GalleryRecord,
    Pictures,
    State,
    to_json,
)
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.uris import public_uri
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW, is_body_swap
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.links import links_of, note_picture
from airflow_provider_segmind.orders.rules import estimated_cost

log = logging.getLogger(__name__)

_MOST_SWAPS = 100
"""Swaps of one task that are shown one by one; their records fit into one XCom."""


def show(context: Context, *records: GalleryRecord) -> None:
    """Show the current state of swaps, instead of the task's earlier records, and link to them from their task."""
    # Never raises: the gallery must not cost a result.
    try:
        if not records or not _is_on():
            return
        ti = context["ti"]
        said = to_json(records)
        if len(said) < len(records):
            log.info("Of %s swaps the gallery shows %s; of a batch it shows all.", len(records), len(said))
        ti.xcom_push(key=XCOM_KEY, value=said if len(records) > 1 else said[0])
        note_picture(ti, records[0])
        for key, url in links_of(ti, records[0]).items():
            ti.xcom_push(key=key, value=url)
    except Exception:
        log.warning("This swap is not shown in the gallery; its result is not touched by that.", exc_info=True)


def is_shown(workflow: str | None, needs_image: bool) -> bool:
    """Return whether a job belongs in the gallery: every job that needs an image is a swap of people."""
    return needs_image or is_body_swap(workflow or "")


def show_end(context: Context, outcome: Mapping[str, Any] | SegmindError) -> None:
    """Show how a swap ended that a task waited for."""
    show_record(context, ended(outcome))


def show_record(context: Context, end: GalleryRecord | None) -> None:
    """Show the end of a wait beside the task's records of what it ordered. Never raises, like :func:`show`."""
    try:
        if end is not None:
            context["ti"].xcom_push(key=END_KEY, value=end.to_json())
    except Exception:
        log.warning(
            "The end of this swap is not shown in the gallery; its result is not touched by that.", exc_info=True
        )


def _is_on() -> bool:
    """Return whether there is anything in Airflow's UI that shows swaps: the page, or pictures in approvals."""
    folders = str(conf.get("segmind", "gallery_roots", fallback="") or "").strip()
    return bool(folders) or conf.getboolean("segmind", "ui_tabs", fallback=True)


def ended(outcome: Mapping[str, Any] | SegmindError) -> GalleryRecord | None:
    """Return the record of a wait that has ended, with its swap or before it; ``None`` if there is no gallery."""
    if not _is_on():
        return None
    if not isinstance(outcome, SegmindError):
        return GalleryRecord(request_id=outcome["request_id"])
    is_lost = isinstance(outcome, (JobFailedError, JobExpiredError))
    return GalleryRecord(
        "failed" if is_lost else "open", request_id=outcome.request_id, checks=_failed("job", str(outcome))
    )


def waiting(poll_url: str, request_id: object = None, submitted_at: object = None) -> GalleryRecord | None:
    """Return the record of a swap that a task waits for, or ``None`` if there is no gallery."""
    if not _is_on():
        return None
    known = isinstance(submitted_at, (int, float)) and not isinstance(submitted_at, bool)
    return GalleryRecord(
        state="waiting",
        request_id=str(request_id or id_in(poll_url)),
        submitted_at=float(str(submitted_at)) if known else None,
    )


def ordered(job: Job, inputs: Mapping[str, Any], orders: int = 1, doubtful: int = 0) -> GalleryRecord:
    """Return the record of an ordered swap; ``orders``: of its task (0: reused), ``doubtful``: of unknown outcome."""
    return GalleryRecord(
        state="waiting",
        **_photographs(inputs),
        **_bill(orders, doubtful, job.workflow or BODY_SWAP_WORKFLOW),
        request_id=job.request_id,
        submitted_at=job.submitted_at,
    )


def unplaced(
    record: OrderRecord | None, inputs: Mapping[str, Any], workflow: str, error: SegmindError
) -> tuple[GalleryRecord, ...]:
    """Return what to show of a swap whose attempt failed before it had an order: earlier attempts' orders, if any."""
    # Airflow has forgotten what the earlier attempts have shown.
    orders = len(record.ordered) if record is not None else 0
    doubtful = max(doubtful_of(record), int(isinstance(error, OutcomeUnknownError)))
    if not orders and not doubtful:
        return ()
    shown = GalleryRecord(
        state="unknown" if doubtful else "failed" if record is not None and record.failed else "open",
        **_photographs(inputs),
        request_id=error.request_id or (record.request_id if record is not None else None) or None,
        **_bill(orders, doubtful, workflow),
        checks=_failed("order", str(error)),
    )
    return (shown,)


def doubtful_of(record: OrderRecord | None) -> int:
    """Return how many orders on record have an unknown outcome."""
    return record.unnamed + record.pending if record is not None else 0


def stored(
    row: Mapping[str, Any], seconds: float | None = None, inputs: Mapping[str, Any] | None = None
) -> GalleryRecord:
    """Return the record of a result that was stored, or could not be; ``row`` is the storage operator's output."""
    first: Mapping[str, Any] = next(iter(row["files"]), {})
    return GalleryRecord(
        state="completed" if first else "failed",
        **_photographs(inputs or {}),
        after=first.get("uri"),
        thumbs=Pictures(after=first.get("thumbnail")),
        request_id=row["request_id"],
        seconds=seconds,
        checks=_failed("storing", row.get("error")),
    )


def checked(
    report: Mapping[str, Any], inputs: Mapping[str, Any], result: Mapping[str, Any] | None = None
) -> tuple[GalleryRecord, ...]:
    """Return the record of pictures of which a check failed or is doubtful, if any; no ``result`` before the order."""
    failed = tuple(FailedCheck(*found) for found in found_in(report))
    if not failed:
        return ()
    known = result or {}
    record = GalleryRecord(
        state="rejected" if result is None else "completed",
        **_photographs(inputs),
        after=_in_storage(known.get("uri")),
        request_id=known.get("request_id"),
        checks=failed,
    )
    return (record,)


def checked_batch(results: str, summary: Mapping[str, Any]) -> tuple[GalleryRecord, ...]:
    """Return the record of a batch in which checks failed or are doubtful, or no record if all is well."""
    failed, doubtful = summary["failed"], summary.get("doubtful", 0)
    if not failed and not doubtful:
        return ()
    why = f"{failed} of {summary['checked']} results failed a check" + (
        f", {doubtful} need a look." if doubtful else "."
    )
    return (GalleryRecord(request_id=_batch_id(results), checks=_failed("checks", why)),)


def ordered_batch(
    entries: Iterable[OrderRecord],
    total: int,
    workflow: str,
    results: str = "",
    error: str | None = None,
    earlier: int = 0,
) -> GalleryRecord:
    """Return the record of a batch that is ordered, or failed meanwhile; ``earlier``: orders from before a clear."""
    entries = list(entries)
    orders, doubtful = earlier + sum(len(entry.ordered) for entry in entries), sum(map(doubtful_of, entries))
    state: State = "waiting" if error is None else "open" if orders else "unknown" if doubtful else "failed"
    return GalleryRecord(
        state=state,
        request_id=_batch_id(results) if results else None,
        **_bill(orders, doubtful, workflow),
        checks=_failed("order", error),
        label=f"Batch of {total}",
        total=total,
    )


def ordered_swaps(
    entries: Sequence[OrderRecord], labels: Sequence[str | None], workflow: str, earlier: int = 0
) -> list[GalleryRecord]:
    """Return the records of swaps that one task has ordered for others to wait for: one each, and one for the rest."""
    shown = [
        GalleryRecord(
            state="waiting",
            request_id=entry.request_id,
            **_bill(len(entry.ordered), doubtful_of(entry), workflow),
            submitted_at=entry.at,
            label=label,
        )
        for entry, label in zip(entries[:_MOST_SWAPS], labels, strict=False)
    ]
    if earlier:
        label = f"{earlier} ordered before the task was cleared"
        shown.append(GalleryRecord(**_bill(earlier, 0, workflow), label=label))
    rest = entries[_MOST_SWAPS:]
    return [*shown, replace(ordered_batch(rest, len(rest), workflow), label=f"{len(rest)} more")] if rest else shown


def ended_batch(summary: Mapping[str, Any]) -> GalleryRecord | None:
    """Return the record of a batch that has ended; ``summary`` is the batch operator's output."""
    if not _is_on():
        return None
    missing = summary["failed"]
    return GalleryRecord(
        state="completed" if summary["completed"] else "failed",
        request_id=_batch_id(summary["results_uri"]),
        checks=_failed("batch", f"{missing} of {summary['total']} have no picture." if missing else None),
        total=summary["total"],
        missing=missing,
    )


def stored_batch(results: str, summary: Mapping[str, Any]) -> GalleryRecord:
    """Return the record of a batch whose results are stored; ``summary`` is the storage operator's output."""
    missing = summary["failed"] + summary["without_picture"]
    return GalleryRecord(
        state="completed" if summary["completed"] else "failed",
        request_id=_batch_id(results),
        items=summary["stored_uri"],
        checks=_failed("batch", f"{missing} swaps are without a picture." if missing else None),
        total=summary["completed"] + missing,
        missing=missing,
    )


def _failed(name: str, why: str | None) -> tuple[FailedCheck, ...]:
    return (FailedCheck(name, why),) if why else ()


def _bill(orders: int, doubtful: int, workflow: str) -> dict[str, Any]:
    """Return what orders cost, and what those of unknown outcome may cost."""
    price = estimated_cost(workflow)
    cost, maybe = (None if price is None else round(number * price, 4) for number in (orders, doubtful))
    return {"orders": orders, "cost": cost, "maybe": maybe if doubtful else None}


def _photographs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "before": _in_storage(inputs.get("character_image")),
        "reference": _in_storage(inputs.get("reference_character_image")),
        "label": file_name(inputs.get("character_image")),
    }


def file_name(uri: Any) -> str | None:
    """Return the name of a photograph's file, by which people know it; of a URL nothing but its path is shown."""
    if not isinstance(uri, str):
        return None
    path = unquote(urlsplit(uri).path) if uri.lower().startswith(("http:", "https:")) else uri
    return path.rstrip("/").rpartition("/")[2][:MAX_WORDS] or None


def _batch_id(results: str) -> str | None:
    return f"batch {results}" if len(results) < MAX_WORDS - 10 else None


def _in_storage(uri: Any) -> str | None:
    """Return a URI that the gallery can read, else ``None``; it reads nothing from web servers."""
    return public_uri(uri) if isinstance(uri, str) and not uri.lower().startswith(("http:", "https:")) else None
