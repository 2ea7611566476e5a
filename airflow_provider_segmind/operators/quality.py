"""Operators that check pictures before a body swap is paid for, and its result afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.findings import findings_in
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, check_image
from airflow_provider_segmind.batch import checks as quality_batch
from airflow_provider_segmind.batch.files import dag_of
from airflow_provider_segmind.compat import AirflowFailException, AirflowSkipException, conf
from airflow_provider_segmind.failures import task_error
from airflow_provider_segmind.files.download import picture_bytes
from airflow_provider_segmind.gallery.recording import checked, checked_batch, show
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import reject
from airflow_provider_segmind.quality.inspect import check_input, check_swap
from airflow_provider_segmind.quality.interpreters import check_pose_model
from airflow_provider_segmind.quality.report import Report
from airflow_provider_segmind.quality.thresholds import Thresholds
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin
from airflow_provider_segmind.storage.keep import add_to_sidecar

ON_FAILURE = ("fail", "skip", "report")


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
        segmind_conn_id: str = SegmindHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, given in (("on_failure", on_failure), ("on_review", on_review)):
            if given not in ON_FAILURE:
                raise InvalidRequestError(f"{name} is {given!r}: set it to one of {ON_FAILURE}.")
        self.character_image = character_image
        self.reference_character_image = reference_character_image
        self.thresholds = thresholds
        self.on_failure = on_failure
        self.on_review = on_review
        self.qa = qa
        self.segmind_conn_id = segmind_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Read and check the pictures, and act on the verdict as ``on_failure`` says."""
        try:
            with quiet():
                report = self.check(SegmindHook(self.segmind_conn_id), Thresholds.of(self.thresholds or {}))
        except SegmindError as error:
            raise task_error(error) from None
        said, result = report.to_json(), self._checked_result()
        said["findings"] = findings_in(said)
        self.keep_report(context, said)
        if result is not None or self._ending(said["verdict"]):  # otherwise the swap may still be ordered
            show(context, *checked(said, self._given(), result))
        return self.end(context, said, report.summary())

    def keep_report(self, context: Context, report: Mapping[str, Any]) -> None:
        """Store the report outside this task's XComs; does nothing here."""

    def _given(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in BODY_SWAP_IMAGES}

    def _checked_result(self) -> Mapping[str, Any] | None:
        """Return the known facts of the ordered swap, or ``None`` if the pictures are not ordered yet."""
        return None

    def end(self, context: Context, report: dict[str, Any], said: str) -> dict[str, Any]:
        """Push the report as an XCom, then fail, skip or return as ``on_failure`` and ``on_review`` say."""
        self.log.info("%s", said)
        context["ti"].xcom_push(key="report", value=report)
        if ending := self._ending(report["verdict"]):
            raise ending(said)
        return report

    def _ending(self, verdict: str) -> type[Exception] | None:
        """Return the exception with which a verdict ends the task, if it does."""
        do = {"fail": self.on_failure, "review": self.on_review}.get(verdict, "report")
        return {"fail": AirflowFailException, "skip": AirflowSkipException}.get(do)

    def check(self, hook: SegmindHook, thresholds: Thresholds) -> Report:
        """Check the pictures and return the report."""
        raise NotImplementedError

    def inputs(self, hook: SegmindHook) -> tuple[bytes, bytes | None]:
        """Return the bytes of the two input pictures."""
        person = self.reference_character_image
        scene = _picture(hook, "character_image", self.character_image)
        return scene, None if person is None else _picture(hook, "reference_character_image", person)


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

    def check(self, hook: SegmindHook, thresholds: Thresholds) -> Report:
        """Check the pictures and return the report."""
        scene, person = self.inputs(hook)
        return check_input(scene, person, thresholds=thresholds, qa=self.qa)


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
        self._made = b""

    def execute(self, context: Context) -> dict[str, Any]:
        """Read and check the pictures, and act on the verdict as ``on_failure`` says."""
        return self._check_many(context) if quality_batch.is_many(self.results) else super().execute(context)

    def check(self, hook: SegmindHook, thresholds: Thresholds) -> Report:
        """Check the result and return the report."""
        made = self._made = _picture(hook, "results", quality_batch.result_uri(self.results))
        scene, person = self.inputs(hook)
        return check_swap(scene, made, person, thresholds=thresholds, qa=self.qa, pose_model=self._pose_model())

    def keep_report(self, context: Context, report: Mapping[str, Any]) -> None:
        """Add the report to the picture's sidecar if this DAG stored the picture."""
        if not isinstance(self.results, Mapping):
            return
        if self.results.get("files"):
            add_to_sidecar(self.results, self._made, dag_of(context), {"checks": report})
        if report["verdict"] == "fail":
            bad = [f"{check['name']}: {check['why']}" for check in report["checks"] if check["verdict"] == "fail"]
            reject(self.results.get("request_id"), dag_of(context), "; ".join(bad))

    def _write_reports(
        self, context: Context, manifest: str, found: Sequence[quality_batch.Checked], summary: dict[str, Any]
    ) -> None:
        """Write all reports next to the manifest, but only for a batch of this DAG: an XCom may name any manifest."""
        owners = {one.item.dag_id for one in found}
        if owners == {dag_of(context)}:
            summary["reports_uri"] = quality_batch.write_reports(manifest, found)
        else:
            self.log.warning(
                "%s is not of a batch that this DAG ordered, so nothing is written beside it: the reports are in the "
                "XCom alone, %d at most.",
                shown(manifest),
                quality_batch.MOST_TOLD,
            )

    def _checked_result(self) -> Mapping[str, Any]:
        return self.results if isinstance(self.results, Mapping) else {"uri": self.results}

    def _pose_model(self) -> Path | None:
        return None if self.qa is False else pose_model()

    def _check_many(self, context: Context) -> dict[str, Any]:
        manifest = quality_batch.manifest_of(self.results)
        try:
            thresholds = Thresholds.of(self.thresholds or {})
            items = quality_batch.items_of(self.results, self.character_image, self.reference_character_image)
            with quiet():
                found = quality_batch.check_all(
                    SegmindHook(self.segmind_conn_id), items, thresholds, self.qa, self._pose_model()
                )
            summary = quality_batch.summary_of(found)
            for one in found:
                if one.verdict == "fail":
                    reject(one.item.request_id, dag_of(context), "; ".join(one.reasons))
            if manifest:
                self._write_reports(context, manifest, found, summary)
                show(context, *checked_batch(manifest, summary))
        except SegmindError as error:
            raise task_error(error) from None
        report = self.end(context, summary, quality_batch.told(summary))
        kept_from_it = quality_batch.first_error(found)
        if kept_from_it is not None and self.on_failure != "report":
            raise kept_from_it
        return report


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the models' runtime says about itself out of the log, where Airflow shows it as an error."""
    with TemporaryFile() as said:
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            with os.fdopen(2, "wb", closefd=False) as log:
                log.writelines(line for line in said if not line.startswith(b"INFO: Created TensorFlow Lite"))


def _picture(hook: SegmindHook, name: str, uri: object) -> bytes:
    """Return a picture's bytes unchecked; the checks judge them."""
    return picture_bytes(hook, name, check_image(name, uri))


def pose_model() -> Path | None:
    """Return the path in ``[segmind] pose_model`` after checking the model, or ``None`` if the option is empty."""
    path = str(conf.get("segmind", "pose_model", fallback=None) or "").strip()
    if not path:
        return None
    try:
        check_pose_model(Path(path))
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"[segmind] pose_model cannot be used. {error.message} Ask your Airflow administrator to change the option."
        ) from None
    return Path(path)
