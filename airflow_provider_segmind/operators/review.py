"""Operator that has people review many pictures in one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context, XComArg

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.gallery import REVIEW_KEY, VERDICTS_KEY, GalleryRecord
from airflow_provider_segmind.failures import task_error
from airflow_provider_segmind.links import BeforeAfterLink, task_tab
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin

FINISH = "Finish the review"


class ReviewSwapsOperator(AuthorsTemplatesMixin, HITLOperator):
    """
    Have people decide about many pictures at once: keep, reject, or order again.

    The task waits, without a worker, until somebody finishes the review on its tab *Body swaps*. Several people may
    review at the same time; each verdict is saved as it is given. Until a person decides, a picture that failed its
    checks is rejected, and any other kept.

    The pictures, and ``review_uri``, must be in folders of ``[segmind] gallery_roots``.

    It takes what Airflow's ``HITLOperator`` takes, too. After ``response_timeout``, a ``timedelta``, the task fails;
    with ``defaults=[FINISH]`` the verdicts stand that were given until then.

    :param results: what ``SegmindToObjectStorageOperator`` returned for a batch or a list, or the URI of the manifest
        that it wrote.
    :param review_uri: URI of the manifest to write, JSON Lines with the verdict for each picture.
    :param subject: the question, as people see it in the list of required actions.
    :return: ``review_uri``; ``kept_uri``, a manifest of the results that are kept; ``again_uri``, a manifest for
        ``BodySwapBatchOperator``; the counts ``total``, ``kept``, ``rejected`` and ``again``; and ``reviewed_by``. The
        URIs are XComs of their own, too.
    :raises AirflowFailException: there is nothing to review, or ``review_uri`` cannot be written.
    """

    operator_extra_links = (BeforeAfterLink(),)
    template_fields: Sequence[str] = ("results", "review_uri", "subject")
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        results: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | XComArg,
        review_uri: str,
        subject: str = "Which of these pictures are kept?",
        **kwargs: Any,
    ) -> None:
        super().__init__(subject=subject, options=[FINISH], **kwargs)
        self.results = results
        self.review_uri = review_uri

    def execute(self, context: Context) -> Any:
        """Write what is to be reviewed, and wait for people."""
        from airflow_provider_segmind.review import items_of, verdicts_on, write_items

        try:
            rows = items_of(self.results)
            items = write_items(self.review_uri, rows)
        except SegmindError as error:
            raise task_error(error) from None
        ti = context["ti"]
        ti.xcom_push(key=REVIEW_KEY, value=GalleryRecord(items=items, label=f"Review of {len(rows)}").to_json())
        ti.xcom_push(key=VERDICTS_KEY, value=verdicts_on(context, rows))
        failed = sum(row["default"] == "reject" for row in rows)
        checks = f"The checks would reject {failed} of them. " if failed else ""
        self.body = f"{len(rows)} pictures. {checks}**[Review them]({task_tab(ti)})**, and finish the review there."
        self.log.info("%d pictures wait for people.", len(rows))
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Write the manifests that follow from the verdicts."""
        from airflow_provider_segmind.batch.files import dag_of
        from airflow_provider_segmind.memory.swaps import reject
        from airflow_provider_segmind.review import decided, keep, read_items, write_decided

        ti = context["ti"]
        verdicts = ti.xcom_pull(task_ids=self.task_id, key=VERDICTS_KEY, map_indexes=ti.map_index) or {}
        keep(context, verdicts)
        super().execute_complete(context, event)
        try:
            rows = decided(read_items(self.review_uri), verdicts)
            summary = write_decided(self.review_uri, rows)
        except SegmindError as error:
            raise task_error(error) from None
        for name in ("review_uri", "kept_uri", "again_uri"):  # for ``review.output["again_uri"]``
            ti.xcom_push(key=name, value=summary[name])
        for row in rows:
            if row["verdict"] != "keep":
                reject(row.get("request_id"), dag_of(context), f"{row['by'] or 'A check'}: {row['verdict']}")
        counts = (summary[name] for name in ("kept", "rejected", "again"))
        self.log.info("Kept: %d, rejected: %d, to order again: %d.", *counts)
        return summary
