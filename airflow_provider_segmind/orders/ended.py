"""What a task raises and keeps if its order did not end well."""

from __future__ import annotations

from dataclasses import replace

from airflow.sdk import Context

from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.errors import OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.failures import paid_error, task_error
from airflow_provider_segmind.orders.store import OrderStore


def place_error(context: Context, error: SegmindError) -> Exception:
    """Return the exception for a task that could not place or resume its order."""
    # If an attempt of this series has paid, a retry may follow any temporary error. The message names paid
    # requests.
    store = OrderStore(context)
    try:
        record = store.load()
    except Exception:  # noqa: BLE001 - record unreadable or store unavailable: must not hide the original error
        return task_error(error)
    max_tries = int(getattr(context["ti"], "max_tries", 0))
    if record is None or record.max_tries != max_tries or (error.status and not record.perhaps):
        return task_error(error)  # nothing is paid for, even if the intent of a refused order is still on record
    for said, ids in (
        ("Earlier attempts of this task ordered and paid for", record.ordered),
        ("An order of unknown outcome can be", record.candidates if record.pending else ()),
    ):
        unnamed = [request_id for request_id in ids if request_id not in str(error)]
        error.message += f" {said}: {', '.join(unnamed)}." if unnamed else ""
    if record.pending and not isinstance(error, OutcomeUnknownError):
        error.message += f" An order was being sent at {moment(record.at)}, and is looked up by a retry."
    return paid_error(error, kept=store.durable, how="Look at what it ordered before.")


def mark_failed(context: Context, job: Job) -> None:
    """Record that a job ended FAILED, so that the next retry orders again."""
    store = OrderStore(context)
    record = store.load()
    if record is not None and record.request_id == job.request_id:
        store.save(replace(record, failed=True))
