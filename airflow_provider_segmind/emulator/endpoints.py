"""The endpoints' actions on accepted requests, without a socket."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_segmind.emulator import answers
from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.faults import Endpoint
from airflow_provider_segmind.emulator.state import Asset, Job, State

if TYPE_CHECKING:
    from aiohttp import web

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL)
_MAX_WINDOW = timedelta(days=31)
_DEFAULT_WINDOW = timedelta(days=7)
_WORKFLOW = re.compile(r"v2/.+|.+-v\d+")
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}
_RUNNING = {
    "QUEUED": answers.as_json({"output": "", "status": "QUEUED"}),
    "PROCESSING": answers.as_json({"output": "", "status": "PROCESSING"}),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the key check and the rate limit."""

    on: Endpoint
    subject: str
    """A workflow's or a job's id."""
    request: web.BaseRequest
    body: bytes
    base: str
    """URL under which the client reaches the emulator."""


def carry_out(state: State, call: Call) -> Answer:
    """Carry out a request."""
    return _ENDPOINTS[call.on](state, call)


def _submit(state: State, call: Call) -> Answer:
    workflow = call.subject
    if call.request.content_type != "application/json":
        return answers.NOT_JSON_TYPE
    if "missing" in workflow or not _WORKFLOW.fullmatch(workflow):
        return answers.NO_WORKFLOW
    inputs = _json_object(call.body)
    if inputs is None:
        return answers.error(400, "Bad Request: the body is not a JSON object")
    if not state.can_pay():
        return answers.NO_CREDITS
    job = state.accept(workflow, inputs)
    return answers.as_json(
        {
            "message": "queued",
            "poll_url": f"{call.base}/workflows/request/{job.request_id}",
            "request_id": job.request_id,
            "status": "QUEUED",
        }
    )


def _poll(state: State, call: Call) -> Answer:
    found = state.poll(call.subject)
    if found is None:
        return answers.no_request(call.subject)
    job, status = found
    if status in _RUNNING:
        return _RUNNING[status]
    if job.failure and status == "FAILED":
        return answers.as_json(job.failure.body(), job.failure.status)
    return answers.as_json({"output": _output(state, job, call.base), "status": "COMPLETED"})


def _output(state: State, job: Job, base: str) -> Any:
    value = {"data": f"{base}/outputs/{job.picture}", "type": "image"}
    output = [{"keyname": "body_swap_image", "value": value}]
    return output if state.settings.output_as == "list" else json.dumps(output)


def _credits(state: State, _: Call) -> Answer:
    return answers.as_json({"credits": state.settings.credits, "free-credits": state.settings.free_credits})


def _upload(state: State, call: Call) -> Answer:
    body = _json_object(call.body)
    data_urls = body.get("data_urls") if body else None
    if not isinstance(data_urls, list) or not data_urls:
        return answers.error(400, "Bad Request: data_urls must be a list of data URLs")
    assets = [read_data_url(url) for url in data_urls]
    stored = [asset for asset in assets if asset is not None]
    if len(stored) < len(assets):
        return answers.error(400, "Bad Request: not a base64 data URL")
    names = [state.store(asset, _SUFFIXES.get(asset.media_type, "")) for asset in stored]
    urls = [f"{call.base}/assets/{name}" for name in names]
    return answers.as_json({"message": "Assets uploaded successfully", state.settings.upload_as: urls})


def _history(state: State, call: Call) -> Answer:
    if not state.settings.history:
        return answers.error(404, "Not found")
    if not call.subject:
        return _page(state, call.request.query, call.base)
    job = state.jobs.get(call.subject)
    return answers.as_json(_row(state, job, call.base)) if job else answers.no_request(call.subject)


def read_data_url(url: object) -> Asset | None:
    """Return the file in a base64 data URL; ``None`` if it is anything else."""
    match = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        return None
    try:
        return Asset(base64.b64decode(match["data"], validate=True), match["type"].lower())
    except binascii.Error:
        return None


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _page(state: State, query: Mapping[str, str], base: str) -> Answer:
    """Answer one page of the history, newest request first."""
    try:
        number, size = int(query.get("page", 1)), int(query.get("per_page", 20))
        first, last = _window(query, datetime.fromtimestamp(state.clock(), UTC).date())
    except ValueError as problem:
        return answers.error(400, f"Bad Request: {problem}")
    if number < 1 or not 1 <= size <= 100 or last - first > _MAX_WINDOW:
        return answers.error(400, "Bad Request: page from 1, per_page 1 to 100, at most 31 days")
    rows = [
        row
        for row in (_row(state, job, base) for job in reversed(state.jobs.values()) if state.is_listed(job))
        if first.isoformat() <= row["model_created"][:10] <= last.isoformat()
        and query.get("status", row["model_status"]) == row["model_status"]
        and query.get("model_name", "") in row["model_name"]
    ]
    shown = rows[(number - 1) * size : number * size]
    return answers.as_json({"data": shown, "page": number, "per_page": size, "total": len(rows)})


def _window(query: Mapping[str, str], today: date) -> tuple[date, date]:
    last = date.fromisoformat(query["to_date"]) if "to_date" in query else today
    first = date.fromisoformat(query["from_date"]) if "from_date" in query else last - _DEFAULT_WINDOW
    return first, last


def _row(state: State, job: Job, base: str) -> dict[str, Any]:
    now = state.clock()
    status, ended, skew = job.status(now), job.ended(now), state.like.skew
    return {
        "request_id": job.request_id,
        "model_name": job.workflow,
        "model_status": status if ended else "PENDING",
        "credits_deduction": job.cost,
        "request_body": job.inputs,
        "generation_url": f"{base}/outputs/{job.picture}" if status == "COMPLETED" else None,
        "latency_ms": round((ended - job.created) * 1000) if ended else None,
        "model_created": _timestamp(job.created - skew),
        "model_completed": _timestamp(ended - skew) if ended else None,
        "error": job.failure.text if job.failure and status == "FAILED" else None,
    }


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


_ENDPOINTS: dict[Endpoint, Callable[[State, Call], Answer]] = {
    "submit": _submit,
    "poll": _poll,
    "credits": _credits,
    "upload": _upload,
    "history": _history,
}
