"""Store the pictures of results, and make photographs readable for Segmind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow.sdk import Context, ObjectStoragePath

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.gallery import GalleryRecord
from airflow_provider_segmind.api.parameters import SHARES, check_one_of
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.batch.files import STORED, dag_of, too_many
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.failures import task_error
from airflow_provider_segmind.files.objects import storage_errors, storage_path
from airflow_provider_segmind.files.pictures import share_all
from airflow_provider_segmind.files.publish import lines_of, put
from airflow_provider_segmind.gallery.recording import show, stored, stored_batch
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.observability.assets import Stored, announce
from airflow_provider_segmind.observability.lineage import BatchFacts
from airflow_provider_segmind.storage.deliveries import Deliveries, Delivery, read_deliveries
from airflow_provider_segmind.storage.keep import Item, StoreOptions
from airflow_provider_segmind.storage.signing import signer
from airflow_provider_segmind.storage.store import StoragePlan, name_of, store_all

Outcome = dict[str, Any] | SegmindError


class StoreRun:
    """
    One attempt of a task that stores pictures.

    :param task: the operator, with what its author wrote.
    """

    def __init__(self, task: Any, context: Context) -> None:
        self.task = task
        self.context = context

    def store(self) -> Any:
        """Check all names, then store what is not stored yet."""
        hook = SegmindHook(self.task.segmind_conn_id)
        try:
            found = read_deliveries(self.task.results)
            items = self._plan().items(found.jobs)
            signs = signer() if self.task.label_pictures else None
            outcomes = store_all(hook, items, StoreOptions(self.task.thumbnails, self.task.label_pictures, signs))
        except SegmindError as error:
            self.task.note_error(error)
            raise task_error(error) from None
        rows = _rows(found, outcomes)
        summary = _summary(found, outcomes)
        if found.manifest is not None:
            try:
                summary |= self._write_manifest(found, rows)
            except SegmindError as error:
                self.task.note_error(error)
                raise task_error(error) from None
        self.task.log.info("%s", _in_words(rows, summary, self.task.destination))
        self._note(found, outcomes, summary)
        self._show(found, rows, summary)
        self._raise_for(outcomes, summary)
        announce(self.context, _told(items, outcomes), whole=_whole(summary))
        if found.manifest is not None:
            return summary
        return rows[0] if isinstance(self.task.results, Mapping) else rows

    def _show(self, found: Deliveries, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
        if found.manifest is not None:
            show(self.context, stored_batch(found.manifest, summary))
        else:
            show(self.context, *(self._shown(job, row) for job, row in zip(found.jobs, rows, strict=True)))

    def _shown(self, job: Delivery, row: Mapping[str, Any]) -> GalleryRecord:
        facts = {**(self.task.details or {}), **job.facts}
        inputs = facts.get("inputs")
        return stored(row, facts.get("seconds"), inputs if isinstance(inputs, Mapping) else None)

    def _note(self, found: Deliveries, outcomes: Sequence[Outcome], summary: Mapping[str, Any]) -> None:
        self.task.fetched = [picture.url for job in found.jobs for picture in job.pictures]
        self.task.lineage_made = [file["uri"] for file in _parted(outcomes)[0]]
        if found.manifest is None and len(found.jobs) == 1:
            facts = found.jobs[0].facts
            self.task.note_facts(
                request_id=found.jobs[0].request_id,
                workflow=facts.get("workflow"),
                consent=facts.get("consent_reference") or (self.task.details or {}).get("consent_reference"),
            )
        else:
            self.task.lineage_facts = BatchFacts(summary=summary)

    def _plan(self) -> StoragePlan:
        values: dict[str, Any] = {"run_id": self.context.get("run_id"), **_times(self.context)}
        values |= {"dag_id": dag_of(self.context), "task_id": self.task.task_id}
        # Only tasks of the DAG named in a sidecar may add to it.
        own = {"dag_id": values["dag_id"]} if values["dag_id"] else {}
        plan = StoragePlan(self.task.destination, self.task.name, values, {**(self.task.details or {}), **own})
        storage_path("destination", self.task.destination)
        return plan

    def _write_manifest(self, found: Deliveries, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Write the outcome of each swap next to a manifest of this DAG's own batch, else to the destination."""
        # An XCom may name any other manifest, and the task must not write next to that.
        manifest, told = str(found.manifest), {}
        place = manifest
        if found.dag_ids != {dag_of(self.context)}:
            name = f"{hashlib.sha256(manifest.encode()).hexdigest()[:8]}-{manifest.rpartition('/')[2]}"
            place = f"{self.task.destination.rstrip('/')}/{name_of('{id}', {'id': name}, local=True)}"
            told = {"results_uri": manifest}
        path = ObjectStoragePath(f"{place}{STORED}")
        put(path, lines_of({**row, "row": job.row} for job, row in zip(found.jobs, rows, strict=True)))
        return {"stored_uri": str(path), **told}

    def _raise_for(self, outcomes: Sequence[Outcome], summary: Mapping[str, Any]) -> None:
        if not too_many(summary, self.task.max_failures):
            return
        _, errors = _parted(outcomes)
        if len(outcomes) == 1:
            raise task_error(errors[0]) from errors[0]
        # Prefer a retryable error: the retry skips stored pictures, and each other failure costs only one request.
        first = next((error for error in errors if error.retryable), errors[0])
        said = (
            f"{len(errors)} of {len(outcomes)} pictures could not be stored in {shown(self.task.destination)}; the "
            f"others are there. {type(first).__name__}: {first}"
        )
        raise SegmindError(said) if first.retryable else AirflowFailException(said)


def share(task: Any) -> list[str]:
    """Check all pictures of a task, then share them, and return their URLs."""
    sources = [task.source] if isinstance(task.source, str) else task.source
    check_one_of("share", task.share, SHARES)
    passing = "a retry shares all of them, which costs nothing."
    with storage_errors("source", shown(task.source), "shared", final=": check it.", passing=passing):
        return share_all(SegmindHook(task.segmind_conn_id), sources, task.share, task.expires)


def _times(context: Context) -> dict[str, str | None]:
    """Return ``ds`` and ``ts_nodash`` of the logical date, or else of the time at which the run was due."""
    run_after: Any = getattr(context.get("dag_run"), "run_after", None)
    formats = {"ds": "%Y-%m-%d", "ts_nodash": "%Y%m%dT%H%M%S"}
    meant = {name: run_after.strftime(form) if run_after else None for name, form in formats.items()}
    values: Mapping[str, Any] = context
    return {name: values.get(name) or meant[name] for name in formats}


def _rows(found: Deliveries, outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return the result row of each job: its files, and the errors of missing ones."""
    left = iter(outcomes)
    return [_row(job.request_id, [next(left) for _ in job.pictures]) for job in found.jobs]


def _in_words(rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], destination: str) -> str:
    if len(rows) == 1 and rows[0].get("uri"):
        return f"Stored: {shown(rows[0]['uri'])}"
    said = f"Stored {summary['completed']} of {summary['total']} results in {shown(destination)}"
    lost = ", ".join(f"{summary[name]} {words}" for name, words in _MISSED.items() if summary.get(name))
    return f"{said}; {lost}." if lost else f"{said}."


_MISSED = {"failed": "failed", "skipped": "were there already", "without_picture": "have no picture"}


def _parted(outcomes: Iterable[Outcome]) -> tuple[list[dict[str, Any]], list[SegmindError]]:
    """Split outcomes into stored files and errors."""
    files: list[dict[str, Any]] = []
    errors: list[SegmindError] = []
    for outcome in outcomes:
        if isinstance(outcome, SegmindError):
            errors.append(outcome)
        else:
            files.append(outcome)
    return files, errors


def _row(request_id: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    files, errors = _parted(outcomes)
    row = {"request_id": request_id, "uri": files[0]["uri"] if files else None, "files": files}
    return {**row, "error": "; ".join(map(str, errors))} if errors else row


def _summary(found: Deliveries, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    files, errors = _parted(outcomes)
    return {
        "total": len(outcomes),
        "completed": len(files),
        "failed": len(errors),
        "skipped": sum(entry["skipped"] for entry in files),
        "without_picture": found.without_picture,
    }


def _told(items: Iterable[Item], outcomes: Iterable[Outcome]) -> list[Stored]:
    """Return an asset event for each stored picture."""
    return [
        Stored(
            outcome["uri"],
            {
                "request_id": item.request_id,
                "cost": item.facts.get("cost"),
                "seconds": item.facts.get("seconds"),
                "sha256": outcome["sha256"],
                "sidecar": outcome["sidecar"],
            },
        )
        for item, outcome in zip(items, outcomes, strict=True)
        if not isinstance(outcome, SegmindError)
    ]


def _whole(summary: Mapping[str, Any]) -> Stored | None:
    counts = {name: summary[name] for name in ("total", "completed", "failed")}
    return Stored(summary["stored_uri"], counts) if "stored_uri" in summary else None
