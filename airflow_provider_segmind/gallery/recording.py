"""Records with which tasks show their swaps in the gallery in Airflow's UI."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.answers import id_in
from airflow_provider_segmind.api.errors import JobExpiredError, JobFailedError, SegmindError
from airflow_provider_segmind.api.gallery import (
    END_KEY,
    LOOK,
    MAX_WORDS,
    XCOM_KEY,
    FailedCheck,
    GalleryRecord,
    Pictures,
    to_json,
)
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.uris import public_uri
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW, is_body_swap
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.links import links_of
from airflow_provider_segmind.orders.rules import estimated_cost

log = logging.getLogger(__name__)

_TOLD = ("review", "fail")


def show(context: Context, *records: GalleryRecord) -> None:
    """Show the current state of swaps, instead of the task's earlier records, and link to them from their task."""
    # Never raises: the gallery must not cost a result. If ``[segmind] gallery_roots`` is empty, there is no gallery and
    # nothing is stored.
    try:
        if not records or not _is_on():
            return
        ti = context["ti"]
        said = to_json(records)
        if len(said) < len(records):
            log.info("Of %s swaps the gallery shows %s; of a batch it shows all.", len(records), len(said))
        ti.xcom_push(key=XCOM_KEY, value=said if len(records) > 1 else said[0])
        for key, url in links_of(ti, records[0]).items():
            ti.xcom_push(key=key, value=url)
    except Exception:
        log.warning("This swap is not shown in the gallery; its result is not touched by that.", exc_info=True)


def is_shown(workflow: str | None, needs_image: bool) -> bool:
    """Return whether a job belongs in the gallery: every job that needs an image is a swap of people."""
    return needs_image or is_body_swap(workflow or "")


def show_end(context: Context, outcome: Mapping[str, Any] | SegmindError) -> None:
    """Show how a swap ended that a task waited for. Never raises, like :func:`show`."""
    try:
        record = ended(outcome)
        if record is not None:
            context["ti"].xcom_push(key=END_KEY, value=record.to_json())
    except Exception:
        log.warning(
            "The end of this swap is not shown in the gallery; its result is not touched by that.", exc_info=True
        )


def _is_on() -> bool:
    """Return whether the administrator configured folders for the gallery."""
    return bool(str(conf.get("segmind", "gallery_roots", fallback="") or "").strip())


def ended(outcome: Mapping[str, Any] | SegmindError) -> GalleryRecord | None:
    """Return the record of a swap that has ended; ``None`` if only the wait has ended or there is no gallery."""
    if not _is_on():
        return None
    if not isinstance(outcome, SegmindError):
        return GalleryRecord(request_id=outcome["request_id"])
    if isinstance(outcome, (JobFailedError, JobExpiredError)):
        return GalleryRecord("failed", request_id=outcome.request_id, checks=_failed("job", str(outcome)))
    return None


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


def ordered(job: Job, inputs: Mapping[str, Any], error: str | None = None) -> GalleryRecord:
    """Return the record of an accepted order: failed if ``error`` is given, else waiting."""
    return GalleryRecord(
        state="failed" if error else "waiting",
        before=_in_storage(inputs.get("character_image")),
        reference=_in_storage(inputs.get("reference_character_image")),
        request_id=job.request_id,
        cost=estimated_cost(job.workflow or BODY_SWAP_WORKFLOW),
        submitted_at=job.submitted_at,
        checks=_failed("job", error),
    )


def stored(
    row: Mapping[str, Any], seconds: float | None = None, inputs: Mapping[str, Any] | None = None
) -> GalleryRecord:
    """Return the record of a result that was stored, or could not be; ``row`` is the storage operator's output."""
    given = inputs or {}
    first: Mapping[str, Any] = next(iter(row["files"]), {})
    return GalleryRecord(
        state="completed" if first else "failed",
        before=_in_storage(given.get("character_image")),
        reference=_in_storage(given.get("reference_character_image")),
        after=first.get("uri"),
        thumbs=Pictures(after=first.get("thumbnail")),
        request_id=row["request_id"],
        seconds=seconds,
        checks=_failed("storing", row.get("error")),
    )


def checked(
    report: Mapping[str, Any], inputs: Mapping[str, Any], result: Mapping[str, Any] | None = None
) -> tuple[GalleryRecord, ...]:
    """
    Return the record of pictures of which a check failed or is doubtful, if any.

    :param result: ``None`` before the order.
    """
    failed = tuple(FailedCheck(each["name"], _why(each)) for each in report["checks"] if each["verdict"] in _TOLD)
    if not failed:
        return ()
    known = result or {}
    record = GalleryRecord(
        state="rejected" if result is None else "completed",
        before=_in_storage(inputs.get("character_image")),
        reference=_in_storage(inputs.get("reference_character_image")),
        after=_in_storage(known.get("uri")),
        request_id=known.get("request_id"),
        checks=failed,
    )
    return (record,)


def _why(check: Mapping[str, Any]) -> str:
    """Return what is wrong; what is only doubtful says that a person has to look."""
    return f"{LOOK}{check['why']}" if check["verdict"] == "review" else str(check["why"])


def checked_batch(results: str, summary: Mapping[str, Any]) -> tuple[GalleryRecord, ...]:
    """Return the record of a batch in which checks failed or are doubtful, or no record if all is well."""
    failed, doubtful = summary["failed"], summary.get("doubtful", 0)
    if not failed and not doubtful:
        return ()
    why = f"{failed} of {summary['checked']} results failed a check" + (
        f", {doubtful} need a look." if doubtful else "."
    )
    return (GalleryRecord(request_id=_batch_id(results), checks=_failed("checks", why)),)


def ordered_batch(results: str, total: int, cost: float) -> GalleryRecord:
    """Return the record of a batch that a task waits for: URI of its results, number of swaps, and US dollars."""
    return GalleryRecord(state="waiting", request_id=_batch_id(results), cost=cost, label=f"Batch of {total}")


def stored_batch(results: str, summary: Mapping[str, Any]) -> GalleryRecord:
    """Return the record of a batch whose results are stored; ``summary`` is the storage operator's output."""
    missing = summary["failed"] + summary["without_picture"]
    return GalleryRecord(
        state="completed" if summary["completed"] else "failed",
        request_id=_batch_id(results),
        items=summary["stored_uri"],
        checks=_failed("batch", f"{missing} swaps are without a picture." if missing else None),
    )


def _failed(name: str, why: str | None) -> tuple[FailedCheck, ...]:
    return (FailedCheck(name, why),) if why else ()


def _batch_id(results: str) -> str | None:
    return f"batch {results}" if len(results) < MAX_WORDS - 10 else None


def _in_storage(uri: Any) -> str | None:
    """Return a URI that the gallery can read, else ``None``; it reads nothing from web servers."""
    return public_uri(uri) if isinstance(uri, str) and not uri.lower().startswith(("http:", "https:")) else None
