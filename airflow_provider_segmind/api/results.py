"""Read what a job made, or why it failed, and turn it into plain values for the DAG."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.answers import MAX_WORDS, line, name
from airflow_provider_segmind.api.errors import InvalidRequestError, JobFailedError, ServiceError
from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES

MAX_LISTED = 10
"""Most outputs that a message lists."""


def handle_of(job: Job) -> dict[str, Any]:
    """Return an accepted order as plain XCom values that a sensor needs to wait for it."""
    return {
        "request_id": job.request_id,
        "poll_url": job.poll_url,
        "workflow": job.workflow,
        "submitted_at": job.submitted_at,
        **prepared_of(job),
        **reused_of(job),
    }


def reused_of(job: Job) -> dict[str, Any]:
    """Return that a job costs nothing here, if another task or run ordered it."""
    return {"reused": True, "cost": 0} if job.reused else {}


def prepared_of(job: Job) -> dict[str, Any]:
    """Return what was done to a job's pictures as plain values; nothing if they were sent as they were."""
    return {"prepared": {name: list(done) for name, done in job.prepared.items()}} if job.prepared else {}


def read_prepared(value: object) -> dict[str, list[str]]:
    """Return what was done to the pictures of a swap, bounded; any user who can write XComs may have written it."""
    said = value if isinstance(value, Mapping) else {}
    found = {name: said[name] for name in BODY_SWAP_IMAGES if isinstance(said.get(name), list)}
    return {name: [answers.name(words) for words in done[:MAX_LISTED]] for name, done in found.items() if done}


def read_handle(handle: Mapping[str, Any]) -> dict[str, Any]:
    """Return the valid fields of a handle; any user who can write XComs may have written it."""
    at, workflow = handle.get("submitted_at"), handle.get("workflow")
    is_time = isinstance(at, int | float) and not isinstance(at, bool) and 0 < at < 1e11
    return {
        "request_id": name(handle.get("request_id")) or None,
        "poll_url": handle.get("poll_url"),
        "workflow": name(workflow) or None if isinstance(workflow, str) else None,
        "submitted_at": at if is_time else None,
        **({"reused": True} if handle.get("reused") is True else {}),
    }


def outputs_of(job: Job) -> list[dict[str, str]]:
    """Return a job's outputs as plain values."""
    return [{"keyname": o.keyname, "type": o.type, "url": o.url} for o in job.outputs]


def result_of(job: Job, *, output_key: str | None = None, needs_image: bool = False) -> dict[str, Any]:
    """
    Return the result of a finished job as plain values for XCom.

    :param output_key: ``keyname`` of the output for ``image_url``; by default the first image.
    :param needs_image: whether a job without an image is an error.
    :raises JobFailedError: if the job FAILED.
    :raises InvalidRequestError: if there is no output ``output_key``; the message lists the outputs.
    :raises ServiceError: if an image is needed and there is none.
    """
    check_not_failed(job)
    image_url = next((output.url for output in job.outputs if is_image(output)), None)
    if output_key is not None:
        named = [output.url for output in job.outputs if output.keyname == output_key]
        if not named:
            raise InvalidRequestError(
                f"The job is COMPLETED but has no output {output_key!r}: set output_key to one of these, "
                f"whose results are paid for: {_listed(job)}.",
                request_id=job.request_id,
            )
        image_url = named[0]
    if needs_image and image_url is None:
        raise ServiceError(
            f"The job is COMPLETED and paid for, but none of its outputs is an image: {_listed(job)}.",
            request_id=job.request_id,
        )
    return {
        "request_id": job.request_id,
        "poll_url": job.poll_url,
        "status": job.status,
        "outputs": outputs_of(job),
        "image_url": image_url,
        **prepared_of(job),
        **reused_of(job),
    }


def check_not_failed(job: Job) -> Job:
    """
    Return the job unless it is ``FAILED``.

    :raises JobFailedError: if it is, with the service's reason.
    """
    if job.status == "FAILED":
        raise JobFailedError(
            "Segmind reports that the job FAILED. Assume that it was billed, and read the reason; to order again is a "
            "new bill.",
            detail=job.error or "no reason given",
            request_id=job.request_id,
        )
    return job


def _listed(job: Job) -> str:
    """Return the outputs as one line of limited length, so that paid results can be found again."""
    listed = [f"{o.keyname} ({o.type or 'no type'}): {line(o.url, MAX_WORDS)}" for o in job.outputs[:MAX_LISTED]]
    more = len(job.outputs) - MAX_LISTED
    return (", ".join(listed) or "none") + (f" and {more} more" if more > 0 else "")


_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")
MAX_OUTPUT_URL = 16 * 1024
"""Longest URL of a result in characters; signed ones have up to 2,000."""


def read_outputs(output: object, key: str) -> tuple[Output, ...]:
    """
    Read the ``output`` of a completed job: a JSON string as documented, or a parsed list.

    :raises ValueError: if it is neither; the message says what is wrong.
    """
    if isinstance(output, str):
        try:
            output = answers.read_json(output, key)
        except ValueError:
            raise ValueError("it is no JSON") from None
    if isinstance(output, dict):
        output = [output]
    if not isinstance(output, list) or not output:
        raise ValueError("it is no list of outputs")
    return tuple(part for index, item in enumerate(output) for part in _read_item(item, index))


def _read_item(item: object, index: int) -> Iterator[Output]:
    if not isinstance(item, dict):
        raise ValueError(f"entry {index} is no object")
    keyname = answers.name(item.get("keyname"), f"output_{index}")
    value = item.get("value")
    kind = ""
    if isinstance(value, dict):
        kind = answers.name(value.get("type"))
        value = value.get("data")
    for data in value if isinstance(value, list) else [value]:
        if not isinstance(data, str) or not data:
            raise ValueError(f"entry {index} ({keyname}) has no data")
        yield _in_one_line(Output(keyname=keyname, type=kind, url=data))


def _in_one_line(output: Output) -> Output:
    """Clean a URL for messages, logs and pages; a text keeps its line breaks."""
    is_url = output.url.lstrip()[:8].lower().startswith(("http://", "https://"))
    if not is_url and not is_image(output):
        return output
    return replace(output, url=answers.line(output.url, MAX_OUTPUT_URL if is_url else len(output.url)))


def is_image(output: Output) -> bool:
    """Whether an output is a picture, by its type, or without a type by its name."""
    if output.type:
        return output.type.lower().startswith("image")
    return output.url.partition("?")[0].partition("#")[0].lower().endswith(_SUFFIXES)


def failure_text(body: Mapping[str, Any]) -> str:
    """Return the service's words about a failure, from ``error`` and ``error_message`` in every known shape."""
    texts = _texts([answers.brief(body.get(name)) for name in ("error", "error_message")])
    return "; ".join(dict.fromkeys(texts))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        words = next(iter(_texts([value.get(k) for k in ("error", "message", "detail", "error_message")])), "")
        model = value.get("model")
        if words:
            yield f"{model}: {words}" if isinstance(model, str) and model else words
        elif value:
            yield json.dumps(value, sort_keys=True, ensure_ascii=False)
