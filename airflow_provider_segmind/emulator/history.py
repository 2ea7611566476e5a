"""The request history: rows from jobs, filtered and paged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow_provider_segmind.emulator import answers
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.records import Job
from airflow_provider_segmind.emulator.state import State

_MAX_WINDOW = timedelta(days=31)
_DEFAULT_WINDOW = timedelta(days=7)


def page(state: State, query: Mapping[str, str], base: str) -> Answer:
    """
    Answer one page of the history, newest request first.

    :param query: ``page``, ``per_page``, ``from_date``, ``to_date``, ``status``, ``model_name``.
    :param base: URL under which the client reaches the emulator.
    """
    try:
        number, size = int(query.get("page", 1)), int(query.get("per_page", 20))
        first, last = _window(query, datetime.fromtimestamp(state.clock(), UTC).date())
    except ValueError as problem:
        return answers.error(400, f"Bad Request: {problem}")
    if number < 1 or not 1 <= size <= 100 or last - first > _MAX_WINDOW:
        return answers.error(400, "Bad Request: page from 1, per_page 1 to 100, at most 31 days")
    rows = [
        row
        for row in (_row(state, job, base) for job in reversed(state.jobs.values()))
        if first.isoformat() <= row["model_created"][:10] <= last.isoformat()
        and query.get("status", row["model_status"]) == row["model_status"]
        and query.get("model_name", "") in row["model_name"]
    ]
    shown = rows[(number - 1) * size : number * size]
    return answers.as_json({"data": shown, "page": number, "per_page": size, "total": len(rows)})


def one(state: State, request_id: str, base: str) -> Answer:
    """Answer the history of one request."""
    job = state.jobs.get(request_id)
    return answers.as_json(_row(state, job, base)) if job else answers.no_request(request_id)


def _window(query: Mapping[str, str], today: date) -> tuple[date, date]:
    last = date.fromisoformat(query["to_date"]) if "to_date" in query else today
    first = date.fromisoformat(query["from_date"]) if "from_date" in query else last - _DEFAULT_WINDOW
    return first, last


def _row(state: State, job: Job, base: str) -> dict[str, Any]:
    now = state.clock()
    status, ended = job.status(now), job.ended(now)
    return {
        "request_id": job.request_id,
        "model_name": job.workflow,
        "model_status": status if ended else "PENDING",
        "credits_deduction": job.cost,
        "request_body": job.inputs,
        "generation_url": f"{base}/outputs/{job.picture}" if status == "COMPLETED" else None,
        "latency_ms": round((ended - job.created) * 1000) if ended else None,
        "model_created": _timestamp(job.created),
        "model_completed": _timestamp(ended) if ended else None,
        "error": job.failure.text if job.failure and status == "FAILED" else None,
    }


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
