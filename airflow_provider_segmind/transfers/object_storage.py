"""Operators that transfer pictures between object storage and Segmind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context, ObjectStoragePath, XComArg

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.gallery import GalleryRecord
from airflow_provider_segmind.api.parameters import SHARES, check_failures, check_interval, check_one_of
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.batch.files import STORED, dag_of, too_many
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.failures import task_error
from airflow_provider_segmind.files.objects import storage_errors, storage_path
from airflow_provider_segmind.files.pictures import share_all
from airflow_provider_segmind.files.publish import lines_of, put
from airflow_provider_segmind.gallery.recording import show, stored, stored_batch
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.observability.assets import Stored, announce
from airflow_provider_segmind.observability.lineage import BatchFacts, LineageMixin
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin
from airflow_provider_segmind.storage.deliveries import Deliveries, Delivery, read_deliveries
from airflow_provider_segmind.storage.keep import Item, StoreOptions
from airflow_provider_segmind.storage.signing import signer
from airflow_provider_segmind.storage.store import StoragePlan, name_of, store_all

Outcome = dict[str, Any] | SegmindError


class SegmindToObjectStorageOperator(LineageMixin, AuthorsTemplatesMixin, BaseOperator):
    """
    Store the pictures of one result, a list of results, or a batch, each with a thumbnail and a sidecar file.

    A file is stored whole or not at all. The operator does not fetch again what an earlier attempt stored, and never
    overwrites other content. A lost or failed result does not stop the others.

    :param results: the output of a sensor or ``BodySwapOperator``, or a list of such outputs; or the output of
        ``BodySwapBatchOperator``, or the URI of its results manifest.
    :param destination: URI of a folder: ``s3://…``, ``gs://…``, ``abfs://…``, ``file://…`` or a path.
    :param name: path of each picture in ``destination``, without a suffix, with the fields ``{request_id}``, ``{row}``,
        ``{index}``, ``{keyname}``, ``{id}``, ``{ds}``, ``{ts_nodash}``, ``{run_id}``, ``{dag_id}``, ``{task_id}``. In a
        run without a logical date, ``{ds}`` and ``{ts_nodash}`` are the day and time at which it was due to run.
    :param details: more facts for each sidecar, such as the inputs or a consent reference.
    :param thumbnails: whether to store a WebP of at most 640 pixels next to each picture.
    :param label_pictures: whether the metadata of each stored picture says that a model made part of it (IPTC's digital
        source type). No pixel changes.
    :param max_failures: number of pictures that may be missing before the task fails; below 1, their share of all
        pictures.
    :param segmind_conn_id: id of the Airflow connection. Its key is sent to its own hosts only.
    :return: ``request_id``, ``uri`` (of the first picture) and ``files``; for a list, a list of these. For a batch:
        ``stored_uri`` (URI of a manifest with one such line per swap), ``total``, ``completed``, ``failed``,
        ``skipped`` and ``without_picture``.
    :raises AirflowFailException: a retry cannot help.
    :raises SegmindError: a retry may help; it fetches only what is not stored.
    """

    operator_extra_links = (BeforeAfterLink(), ResultPictureLink())
    template_fields: Sequence[str] = ("results", "destination", "name", "details", "segmind_conn_id")
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        results: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | XComArg,
        destination: str,
        name: str = "{request_id}/{keyname}-{index}",
        details: Mapping[str, Any] | None = None,
        thumbnails: bool = True,
        label_pictures: bool = True,
        max_failures: float = 0,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.results = results
        self.destination = destination
        self.name = name
        self.details = details
        self.thumbnails = thumbnails
        self.label_pictures = label_pictures
        self.max_failures = check_failures(max_failures)
        self.segmind_conn_id = segmind_conn_id
        self._fetched: list[object] = []

    def execute(self, context: Context) -> Any:
        """Check all names, then store what is not stored yet."""
        hook = SegmindHook(self.segmind_conn_id)
        try:
            found = read_deliveries(self.results)
            items = self._plan(context).items(found.jobs)
            signs = signer() if self.label_pictures else None
            outcomes = store_all(hook, items, StoreOptions(self.thumbnails, self.label_pictures, signs))
        except SegmindError as error:
            self.note_error(error)
            raise task_error(error) from None
        rows = _rows(found, outcomes)
        summary = _summary(found, outcomes)
        if found.manifest is not None:
            try:
                summary |= self._write_manifest(context, found, rows)
            except SegmindError as error:
                self.note_error(error)
                raise task_error(error) from None
        self.log.info("%s", _in_words(rows, summary, self.destination))
        self._note(found, outcomes, summary)
        self._show(context, found, rows, summary)
        self._raise_for(outcomes, summary)
        announce(context, _told(items, outcomes), whole=_whole(summary))
        if found.manifest is not None:
            return summary
        return rows[0] if isinstance(self.results, Mapping) else rows

    def lineage_inputs(self) -> list[object]:
        """Return the URLs of the fetched pictures."""
        return self._fetched

    def _show(
        self, context: Context, found: Deliveries, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]
    ) -> None:
        if found.manifest is not None:
            show(context, stored_batch(found.manifest, summary))
        else:
            show(context, *(self._shown(job, row) for job, row in zip(found.jobs, rows, strict=True)))

    def _shown(self, job: Delivery, row: Mapping[str, Any]) -> GalleryRecord:
        facts = {**(self.details or {}), **job.facts}
        inputs = facts.get("inputs")
        return stored(row, facts.get("seconds"), inputs if isinstance(inputs, Mapping) else None)

    def _note(self, found: Deliveries, outcomes: Sequence[Outcome], summary: Mapping[str, Any]) -> None:
        self._fetched = [picture.url for job in found.jobs for picture in job.pictures]
        self.lineage_made = [file["uri"] for file in _parted(outcomes)[0]]
        if found.manifest is None and len(found.jobs) == 1:
            facts = found.jobs[0].facts
            self.note_facts(
                request_id=found.jobs[0].request_id,
                workflow=facts.get("workflow"),
                consent=facts.get("consent_reference") or (self.details or {}).get("consent_reference"),
            )
        else:
            self.lineage_facts = BatchFacts(summary=summary)

    def _plan(self, context: Context) -> StoragePlan:
        values: dict[str, Any] = {"run_id": context.get("run_id"), **_times(context)}
        values |= {"dag_id": dag_of(context), "task_id": self.task_id}
        # Only tasks of the DAG named in a sidecar may add to it.
        own = {"dag_id": values["dag_id"]} if values["dag_id"] else {}
        plan = StoragePlan(self.destination, self.name, values, {**(self.details or {}), **own})
        storage_path("destination", self.destination)
        return plan

    def _write_manifest(self, context: Context, found: Deliveries, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Write the outcome of each swap next to a manifest of this DAG's own batch, else to the destination."""
        # An XCom may name any other manifest, and the task must not write next to that.
        manifest, told = str(found.manifest), {}
        place = manifest
        if found.dag_ids != {dag_of(context)}:
            name = f"{hashlib.sha256(manifest.encode()).hexdigest()[:8]}-{manifest.rpartition('/')[2]}"
            place = f"{self.destination.rstrip('/')}/{name_of('{id}', {'id': name}, local=True)}"
            told = {"results_uri": manifest}
        path = ObjectStoragePath(f"{place}{STORED}")
        put(path, lines_of({**row, "row": job.row} for job, row in zip(found.jobs, rows, strict=True)))
        return {"stored_uri": str(path), **told}

    def _raise_for(self, outcomes: Sequence[Outcome], summary: Mapping[str, Any]) -> None:
        if not too_many(summary, self.max_failures):
            return
        _, errors = _parted(outcomes)
        if len(outcomes) == 1:
            raise task_error(errors[0]) from errors[0]
        # Prefer a retryable error: the retry skips stored pictures, and each other failure costs only one request.
        first = next((error for error in errors if error.retryable), errors[0])
        said = (
            f"{len(errors)} of {len(outcomes)} pictures could not be stored in {shown(self.destination)}; the others "
            f"are there. {type(first).__name__}: {first}"
        )
        raise SegmindError(said) if first.retryable else AirflowFailException(said)


class ObjectStorageToSegmindOperator(AuthorsTemplatesMixin, BaseOperator):
    """
    Make private photographs readable for Segmind, and return their URLs.

    The ordering operators do this themselves for a URI. Use this operator for pictures that several swaps share, or for
    a signed link instead of an upload.

    :param source: a path or URI that Airflow's object storage reads, or a list of these.
    :param share: ``upload`` puts a copy on Segmind's storage, which anyone with the URL can see and nobody can delete.
        ``sign`` returns a link to the object itself that expires after ``expires``, if the storage can sign (S3, GCS,
        Azure).
    :param expires: seconds that a signed link is valid; it must outlast the queue.
    :param segmind_conn_id: id of the Airflow connection.
    :return: the ``https://`` URL; for a list, a list of URLs. Keep a signed URL secret until it expires.
    :raises AirflowFailException: a file cannot be read or is not a picture; nothing is shared then.
    :raises SegmindError: a retry may help.
    """

    template_fields: Sequence[str] = ("source", "share", "segmind_conn_id")
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        source: str | Sequence[str] | XComArg,
        share: str = "upload",
        expires: timedelta | float = 3600,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.share = share
        self.expires = check_interval("expires", expires)
        self.segmind_conn_id = segmind_conn_id

    def execute(self, context: Context) -> str | list[str]:
        """Check all pictures, then share them."""
        sources = [self.source] if isinstance(self.source, str) else self.source
        try:
            check_one_of("share", self.share, SHARES)
            passing = "a retry shares all of them, which costs nothing."
            with storage_errors("source", shown(self.source), "shared", final=": check it.", passing=passing):
                urls = share_all(SegmindHook(self.segmind_conn_id), sources, self.share, self.expires)
        except SegmindError as error:
            raise task_error(error) from None
        return urls[0] if isinstance(self.source, str) else urls


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
