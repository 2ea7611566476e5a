"""
The event with which a trigger ends. Airflow logs it in full and stores it, so it is small and has no secrets; a newer
version of this package may read it, so it has a version, and the reader ignores unknown fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.answers import line, storable
from airflow_provider_segmind.api.errors import BY_NAME, SegmindError, ServiceError
from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.api.results import prepared_of, read_prepared

VERSION = 1
START = "start"
MAX_OUTPUTS = 8 * 1024
"""Bytes of outputs in an event; for a job with more, the worker asks Segmind again."""
MAX_MESSAGE = 8 * 1024
"""Bytes of an error message; the service's own text gets half of that. An event stays below 16 KiB."""


def event_of_job(job: Job) -> dict[str, Any]:
    """Return the event for a job that is ``COMPLETED`` or ``FAILED``."""
    outputs = None
    if sum(len(output.url) for output in job.outputs) <= MAX_OUTPUTS:
        listed = [[output.keyname, output.type, output.url] for output in job.outputs]
        outputs = listed if len(json.dumps(listed)) <= MAX_OUTPUTS else None
    return {
        "version": VERSION,
        "status": "success",
        "request_id": job.request_id,
        "job": {
            "poll_url": job.poll_url,
            "status": job.status,
            "outputs": outputs,
            "error": job.error,
            "submitted_at": job.submitted_at,
            **prepared_of(job),
            **({"reused": True} if job.reused else {}),
        },
    }


def event_of_error(error: SegmindError) -> dict[str, Any]:
    """Return the event for a wait that ended before the job was done."""
    return {
        "version": VERSION,
        "status": "error",
        "request_id": error.request_id and line(error.request_id),
        "error": {
            "type": type(error).__name__,
            "message": _bounded(error.message, MAX_MESSAGE),
            "http_status": error.status,
            "detail": _bounded(error.detail, MAX_MESSAGE // 2),
        },
    }


def event_of_batch(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event for a batch whose wait ended, well or badly; the rows are in its results manifest."""
    return {"version": VERSION, "status": "batch", "summary": dict(summary)}


def read_batch_event(event: object) -> dict[str, Any]:
    """Return the summary in a batch's event, or raise the error that ended the wait."""
    summary = event.get("summary") if isinstance(event, dict) else None
    if isinstance(summary, dict):
        summary = dict(summary)
        if "results" in summary:  # its name in events of older versions
            summary["results_uri"] = summary.pop("results")
        return summary
    read_event(event)
    raise ServiceError("The trigger's event says nothing about a batch.")


def event_of_start() -> dict[str, Any]:
    """Return the event of a task that started in the triggerer but must start on a worker."""
    return {"version": VERSION, "status": START}


def is_start(event: object) -> bool:
    """Return whether the event says that the task must start on a worker."""
    return isinstance(event, dict) and event.get("status") == START


def read_event(event: object) -> tuple[Job, bool]:
    """
    Return the job in an event, and whether its outputs are complete.

    :raises SegmindError: the error that ended the wait, with its own class.
    :raises ServiceError: the event is unreadable; ask for the job once more.
    """
    if not isinstance(event, dict):
        raise ServiceError(f"The trigger ended without an event that can be read ({type(event).__name__}).")
    request_id = event.get("request_id")
    job, error = event.get("job"), event.get("error")
    if event.get("status") == "success" and isinstance(job, dict) and job.get("poll_url"):
        outputs = job.get("outputs")
        return (
            Job(
                request_id=str(request_id or ""),
                poll_url=str(job["poll_url"]),
                status=str(job.get("status") or ""),
                outputs=tuple(Output(*map(str, output[:3])) for output in outputs or ()),
                error=str(job.get("error") or ""),
                submitted_at=_number(job.get("submitted_at")),
                prepared=read_prepared(job.get("prepared")),
                reused=job.get("reused") is True,
            ),
            outputs is not None,
        )
    if isinstance(error, dict):
        cls = BY_NAME.get(str(error.get("type")), SegmindError)
        raise cls(
            str(error.get("message") or "The wait failed and said nothing."),
            status=error.get("http_status"),
            detail=str(error.get("detail") or ""),
            request_id=request_id,
        )
    raise ServiceError(f"The trigger's event has the status {event.get('status')!r}, which means nothing here.")


def _bounded(text: str, size: int) -> str:
    """Return a text cut to at most so many bytes of JSON, without characters that a database cannot store."""
    text = storable(text)
    while (length := len(json.dumps(text))) > size:
        text = f"{text[: len(text) * size // length - 2]}…"
    return text


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
