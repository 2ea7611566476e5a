"""Operators that check pictures before a body swap is paid for, and its result afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_segmind.api.parameters import CONN_ID, REACTIONS, check_one_of
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin


class _ChecksPictures(AuthorsTemplatesMixin, BaseOperator):
    """What both operators share that check pictures."""

    template_fields: Sequence[str] = (
        "character_image",
        "reference_character_image",
        "thresholds",
        "segmind_conn_id",
    )
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        character_image: str | Sequence[str] | None,
        reference_character_image: str | Sequence[str] | None = None,
        thresholds: Mapping[str, Any] | None = None,
        on_failure: str = "fail",
        on_review: str = "report",
        qa: bool | None = None,
        segmind_conn_id: str = CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, given in (("on_failure", on_failure), ("on_review", on_review)):
            check_one_of(name, given, REACTIONS)
        self.character_image = character_image
        self.reference_character_image = reference_character_image
        self.thresholds = thresholds
        self.on_failure = on_failure
        self.on_review = on_review
        self.qa = qa
        self.segmind_conn_id = segmind_conn_id


class CheckSwapInputOperator(_ChecksPictures):
    """
    Check the pictures of a body swap before it is paid for.

    The report is in the XCom ``report``, even if the task fails or is skipped.

    :param character_image: the scene: an ``https://`` URL, or a path or storage URI.
    :param reference_character_image: the new person, in the same forms; ``None`` checks only the scene.
    :param thresholds: thresholds that differ from the defaults, by name; see ``docs/quality.md``.
    :param on_failure: what a failed check does to the task: ``fail`` it permanently, ``skip`` it and the tasks that
        follow, or only ``report``.
    :param on_review: what a doubtful check does, in the same words. The default, ``report``, goes on, so that a person
        looks at the picture in the approval that follows.
    :param qa: ``True`` requires the checks with models, ``False`` omits them, ``None`` runs them if the extra ``qa`` is
        installed.
    :param segmind_conn_id: id of the Airflow connection. Only its own host may be in a private network.
    :return: the report: ``kind``, ``verdict`` (``pass``, ``warn``, ``review``, ``fail``), ``layers``, ``seconds``,
        ``checks``, and ``findings``: in words, what is not well.
    :raises AirflowFailException: a check failed, or a picture is not available and a retry cannot help.
    :raises SegmindError: a picture is not available now.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Read and check the pictures, and act on the verdict as ``on_failure`` says."""
        from airflow_provider_segmind.tasks.check import CheckRun

        return CheckRun(self, context).run()


class CheckSwapOperator(_ChecksPictures):
    """
    Check the result of a body swap, or the results of many, against the pictures they were made from.

    The report is in the XCom ``report``, even if the task fails or is skipped. The checks find gross faults: nothing
    changed, a blank or squashed picture, the reference returned. Only a person can judge whether a swap is good.

    If the administrator set ``[segmind] pose_model``, the operator also checks that the new person keeps the pose.

    If the storage operator of the same DAG stored the picture, the operator also adds the report to its sidecar. In the
    memory of swaps a picture that fails is marked, so that it is not reused.

    It checks many results in parallel, as far as cores and memory allow. A result whose pictures are not available does
    not stop the other checks.

    :param results: the output of a sensor, of ``BodySwapOperator`` or of the storage operator, or a URI. For many: the
        output of ``BodySwapBatchOperator``, the URI of its manifest (``.jsonl``), or a list of results.
    :param character_image: the scene that was sent; for a list, one scene for all or a list of scenes. The manifest of
        a batch names its own.
    :param reference_character_image: the new person that was sent, in the same forms. ``None`` omits the checks that
        need it, unless a manifest names one.
    :param thresholds: thresholds that differ from the defaults, by name; see ``docs/quality.md``.
    :param qa: as for :class:`CheckSwapInputOperator`.
    :param on_failure: as for :class:`CheckSwapInputOperator`; for many results, what one failed check does to the task.
    :param on_review: likewise for a doubtful one, if none failed.
    :param segmind_conn_id: id of the Airflow connection.
    :return: the report, as of :class:`CheckSwapInputOperator`. For many: ``verdict``, ``checked``, ``passed``,
        ``warned``, ``doubtful``, ``failed``, ``not_checked``, ``reports`` of those that did not pass (50 at most), and
        for a manifest of this DAG's own batch ``reports_uri``: JSON Lines next to the manifest with the report of each.
    :raises AirflowFailException: a check failed, or a picture is not available and a retry cannot help.
    :raises SegmindError: a picture is not available now.
    """

    template_fields: Sequence[str] = (*_ChecksPictures.template_fields, "results")

    def __init__(
        self,
        *,
        results: str | Mapping[str, Any] | Sequence[Any],
        character_image: str | Sequence[str] | None = None,
        reference_character_image: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(character_image=character_image, reference_character_image=reference_character_image, **kwargs)
        self.results = results

    def execute(self, context: Context) -> dict[str, Any]:
        """Read and check the pictures, and act on the verdict as ``on_failure`` says."""
        from airflow_provider_segmind.tasks.check import CheckSwapRun

        return CheckSwapRun(self, context).run()
