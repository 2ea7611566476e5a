"""Lineage of pictures for OpenLineage, if it is installed: tasks note facts, and the listener reads them at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.uris import bare_uri, dataset_name, shown

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

log = logging.getLogger(__name__)

INPUTS_KEY = "segmind_inputs"
"""XCom of a task that orders: the URIs of its photographs, for the lineage of the task that waits."""
_MAX_ERROR = 2000
MAX_DATASETS = 100
"""Datasets in one event; a batch that is given as a list may have thousands."""


class JobFacts(NamedTuple):
    """
    Known facts of one job; ``None`` if unknown.

    :param request_id: Segmind's id.
    :param workflow: id and version.
    :param status: its last known status.
    :param cost: estimated price in US dollars.
    :param seconds: from the order until the task had its result.
    :param consent: where consent is on record.
    :param checks: verdict of the checks: ``pass``, ``warn`` or ``fail``.
    :param error: what went wrong.
    """

    request_id: str | None = None
    workflow: str | None = None
    status: str | None = None
    cost: float | None = None
    seconds: float | None = None
    consent: str | None = None
    checks: str | None = None
    error: str | None = None


class BatchFacts(NamedTuple):
    """
    Known facts of a batch.

    :param workflow: id and version.
    :param ordered: number of swaps that this run of the task ordered.
    :param summary: ``total``, ``completed``, ``failed``, ``by_status`` and ``cost``, if there is a summary.
    :param cost: estimated price in US dollars, if there is no summary.
    :param consent: where consent is on record, for swaps that do not set it.
    :param error: what went wrong.
    """

    workflow: str | None = None
    ordered: int | None = None
    summary: Mapping[str, Any] | None = None
    cost: float | None = None
    consent: str | None = None
    error: str | None = None


class LineageMixin:
    """Lets a task note facts while it runs, and answers OpenLineage with them."""

    lineage_facts: JobFacts | BatchFacts = JobFacts()
    lineage_made: Sequence[object] = ()

    def note_facts(self, **known: Any) -> None:
        """Note facts, by the field names of the task's facts; secrets in an error's URIs are removed."""
        if "error" in known:
            known["error"] = shown(known["error"], most=_MAX_ERROR)
        self.lineage_facts = self.lineage_facts._replace(**known)

    def note_result(self, result: Mapping[str, Any], submitted_at: float | None, **known: Any) -> None:
        """Note the result of a job; ``submitted_at`` is in seconds since the epoch, if known."""
        self.lineage_made = [output["url"] for output in result["outputs"]]
        seconds = None
        if isinstance(submitted_at, (int, float)):  # it comes from an XCom, so it can have any type
            seconds = round(max(0.0, time.time() - submitted_at), 3)
        self.note_facts(request_id=result["request_id"], status=result["status"], seconds=seconds, **known)

    def note_error(self, error: SegmindError) -> None:
        """Note an error."""
        self.note_facts(error=f"{type(error).__name__}: {error}")
        if error.request_id and isinstance(self.lineage_facts, JobFacts):
            self.note_facts(request_id=error.request_id)

    def lineage_inputs(self) -> Iterable[object]:
        """Return the URIs that the task read."""
        return ()

    def lineage_outputs(self) -> Iterable[object]:
        """Return the URIs that the task, or Segmind on its behalf, wrote."""
        return self.lineage_made

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return the lineage of a task that has ended, for OpenLineage's listener."""
        return operator_lineage(self.lineage_inputs(), self.lineage_outputs(), self.lineage_facts)

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete  # Airflow adds the exception itself


def is_listened_to() -> bool:
    """Return whether OpenLineage is installed and on; otherwise no photographs are stored or looked up for it."""
    try:
        from airflow.providers.openlineage.conf import is_disabled

        return not is_disabled()
    except Exception as error:  # noqa: BLE001 - lineage must not cost the job
        log.debug("OpenLineage is not asked: %s", error)
        return False


def leave_inputs(context: Mapping[str, Any], poll_url: str, uris: Iterable[object]) -> None:
    """Push the URIs of an order's pictures, without secrets, as an XCom for the task that waits. Never raises."""
    if not is_listened_to():
        return
    try:
        # A path stays one: as the URI of a file, a "%20" in it would be read as a blank.
        inputs = [uri if uri.startswith("/") else bare_uri(uri) for uri in uris if isinstance(uri, str)]
        context["ti"].xcom_push(key=INPUTS_KEY, value={"poll_url": poll_url, "inputs": inputs[:MAX_DATASETS]})
    except Exception:
        log.warning("The lineage of this swap's result will not name its photographs.", exc_info=True)


def operator_lineage(
    inputs: Iterable[object], outputs: Iterable[object], facts: JobFacts | BatchFacts
) -> OperatorLineage[Any, Any]:
    """
    Return a task's lineage in the form that OpenLineage's listener expects.

    :param inputs: URIs and paths that were read; other values are ignored.
    :param outputs: URIs and paths that were written.
    :param facts: the known facts of the job or batch.
    :raises ImportError: OpenLineage is not installed; only OpenLineage needs this function.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

    def datasets(uris: Iterable[object]) -> list[Dataset]:
        named = dict.fromkeys(name for uri in uris if (name := dataset_name(uri)) is not None)
        return [Dataset(namespace=namespace, name=name) for namespace, name in list(named)[:MAX_DATASETS]]

    return OperatorLineage(inputs=datasets(inputs), outputs=datasets(outputs), run_facets=_run_facets(facts))


def _run_facets(facts: JobFacts | BatchFacts) -> dict[str, Any]:
    from airflow_provider_segmind.observability.facets import PRODUCER, SegmindBatchRunFacet, SegmindJobRunFacet

    if all(value is None for value in facts):
        return {}
    known = facts._asdict()
    summary = known.pop("summary", None) or {}
    known |= {name: summary[name] for name in _COUNTED if name in summary}
    fields = {_FIELDS.get(name, name): value for name, value in known.items()}
    if isinstance(facts, JobFacts):
        return {"segmind_job": SegmindJobRunFacet(**fields, producer=PRODUCER)}
    return {"segmind_batch": SegmindBatchRunFacet(**fields, producer=PRODUCER)}


_COUNTED = ("total", "completed", "failed", "by_status", "cost")
"""What is taken of a batch's summary."""
_FIELDS = {"request_id": "requestId", "by_status": "byStatus", "cost": "costUsd", "consent": "consentReference"}
"""Names of facts in OpenLineage's facets, as far as they differ."""
