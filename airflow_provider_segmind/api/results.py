"""What a finished job becomes for the DAG that waited for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.answers import MAX_WORDS, line, name
from airflow_provider_segmind.api.errors import InvalidRequestError, JobFailedError, ServiceError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.outputs import is_image

MAX_LISTED = 10
"""Outputs that a message names."""


def handle_of(job: Job) -> dict[str, Any]:
    """Return an accepted order as plain values for XCom: what a sensor needs to wait for it."""
    return {
        "request_id": job.request_id,
        "poll_url": job.poll_url,
        "workflow": job.workflow,
        "submitted_at": job.submitted_at,
    }


def read_handle(handle: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a handle says, without what is none of a job's: whoever may write XComs can have written it."""
    at, workflow = handle.get("submitted_at"), handle.get("workflow")
    is_time = isinstance(at, int | float) and not isinstance(at, bool) and 0 < at < 1e11
    return {
        "request_id": name(handle.get("request_id")) or None,
        "poll_url": handle.get("poll_url"),
        "workflow": name(workflow) or None if isinstance(workflow, str) else None,
        "submitted_at": at if is_time else None,
    }


def outputs_of(job: Job) -> list[dict[str, str]]:
    """Return a job's outputs as plain values."""
    return [{"keyname": o.keyname, "type": o.type, "url": o.url} for o in job.outputs]


def result_of(job: Job, *, output_key: str | None = None, needs_image: bool = False) -> dict[str, Any]:
    """
    Return the result of a completed job as plain values for XCom.

    :param job: a job that is done.
    :param output_key: ``keyname`` of the output that ``image_url`` is to name; otherwise the first image.
    :param needs_image: whether a job without an image is an error.
    :return: ``request_id``, ``poll_url``, ``status``, ``outputs`` (a list of ``keyname``, ``type``, ``url``) and
        ``image_url`` (``None`` if there is no image).
    :raises JobFailedError: when the job FAILED.
    :raises InvalidRequestError: when there is no output named ``output_key``; the message lists what there is.
    :raises ServiceError: when an image is needed and there is none.
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
    }


def check_not_failed(job: Job) -> Job:
    """
    Return a job that is not ``FAILED``.

    :raises JobFailedError: when it is, with the service's reason.
    """
    if job.status == "FAILED":
        raise JobFailedError(
            "Segmind reports that the job FAILED.",
            detail=job.error or "no reason given",
            request_id=job.request_id,
        )
    return job


def _listed(job: Job) -> str:
    """Return the outputs as one line of bounded length: what is paid for must be found again."""
    listed = [f"{o.keyname} ({o.type or 'no type'}): {line(o.url, MAX_WORDS)}" for o in job.outputs[:MAX_LISTED]]
    more = len(job.outputs) - MAX_LISTED
    return (", ".join(listed) or "none") + (f" and {more} more" if more > 0 else "")
