"""
The one small event with which a trigger ends, and how a task reads it.

Airflow logs events in full and keeps them in its database until the task resumes, possibly on a newer version of this
package. So they carry no secret and nothing large, have a version, and reading tolerates what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.answers import line, storable
from airflow_provider_segmind.api.errors import BY_NAME, SegmindError, ServiceError
from airflow_provider_segmind.api.models import Job, Output

VERSION = 1
START = "start"
MAX_OUTPUTS = 8 * 1024
"""Bytes of outputs that an event carries; a job with more is asked for them once more on the worker."""
MAX_MESSAGE = 8 * 1024
"""Bytes of an error's message, and half of that for the service's own words: an event stays below 16 KiB."""


def event_of_job(job: Job) -> dict[str, Any]:
    """Return the event for a job that is done, be it ``COMPLETED`` or ``FAILED``."""
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
        },
    }


def event_of_error(error: SegmindError) -> dict[str, Any]:
    """Return the event for a wait that ended without the job being done."""
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
    """Return the event for a batch whose wait is over, be it good or bad; the rows are in its manifest of results."""
    return {"version": VERSION, "status": "batch", "summary": dict(summary)}


def read_batch_event(event: object) -> dict[str, Any]:
    """
    Read the event of a batch.

    :return: the summary.
    :raises SegmindError: the error that ended the wait, or that the event cannot be read.
    """
    summary = event.get("summary") if isinstance(event, dict) else None
    if isinstance(summary, dict):
        summary = dict(summary)
        if "results" in summary:  # its name in events that older versions stored
            summary["results_uri"] = summary.pop("results")
        return summary
    read_event(event)
    raise ServiceError("The trigger's event says nothing about a batch.")


def event_of_start() -> dict[str, Any]:
    """Return the event of a task that began in the triggerer and has to begin on a worker after all."""
    return {"version": VERSION, "status": START}


def is_start(event: object) -> bool:
    """Whether a task has to begin."""
    return isinstance(event, dict) and event.get("status") == START


def read_event(event: object) -> tuple[Job, bool]:
    """
    Read an event.

    :return: the job, and whether its outputs are all there.
    :raises SegmindError: the error that ended the wait, of its own class.
    :raises ServiceError: when the event cannot be read; the job is then worth asking for once more.
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
    """Return a text that takes at most so many bytes of JSON, and that a database can hold."""
    text = storable(text)
    while (length := len(json.dumps(text))) > size:
        text = f"{text[: len(text) * size // length - 2]}…"
    return text


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
