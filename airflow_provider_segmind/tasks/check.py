"""Check pictures before a body swap is paid for, and its result afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from airflow.sdk import Context

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
from airflow_provider_segmind.storage.keep import add_to_sidecar


class CheckRun:
    """
    One attempt of a task that checks the pictures of a swap before it is ordered.

    :param task: the operator, with what its author wrote.
    """

    def __init__(self, task: Any, context: Context) -> None:
        self.task = task
        self.context = context

    def run(self) -> dict[str, Any]:
        """Read and check the pictures, and act on the verdict as ``on_failure`` says."""
        try:
            with quiet():
                report = self.check(SegmindHook(self.task.segmind_conn_id), Thresholds.of(self.task.thresholds or {}))
        except SegmindError as error:
            raise task_error(error) from None
        said, result = report.to_json(), self._checked_result()
        said["findings"] = findings_in(said)
        self.keep_report(said)
        if result is not None or self._ending(said["verdict"]):  # otherwise the swap may still be ordered
            show(self.context, *checked(said, self._given(), result))
        return self.end(said, report.summary())

    def keep_report(self, report: Mapping[str, Any]) -> None:
        """Store the report outside this task's XComs; does nothing here."""

    def _given(self) -> dict[str, object]:
        return {name: getattr(self.task, name) for name in BODY_SWAP_IMAGES}

    def _checked_result(self) -> Mapping[str, Any] | None:
        """Return the known facts of the ordered swap, or ``None`` if the pictures are not ordered yet."""
        return None

    def end(self, report: dict[str, Any], said: str) -> dict[str, Any]:
        """Push the report as an XCom, then fail, skip or return as ``on_failure`` and ``on_review`` say."""
        self.task.log.info("%s", said)
        self.context["ti"].xcom_push(key="report", value=report)
        if ending := self._ending(report["verdict"]):
            raise ending(said)
        return report

    def _ending(self, verdict: str) -> type[Exception] | None:
        """Return the exception with which a verdict ends the task, if it does."""
        do = {"fail": self.task.on_failure, "review": self.task.on_review}.get(verdict, "report")
        return {"fail": AirflowFailException, "skip": AirflowSkipException}.get(do)

    def check(self, hook: SegmindHook, thresholds: Thresholds) -> Report:
        """Check the pictures and return the report."""
        scene, person = self.inputs(hook)
        return check_input(scene, person, thresholds=thresholds, qa=self.task.qa)

    def inputs(self, hook: SegmindHook) -> tuple[bytes, bytes | None]:
        """Return the bytes of the two input pictures."""
        person = self.task.reference_character_image
        scene = _picture(hook, "character_image", self.task.character_image)
        return scene, None if person is None else _picture(hook, "reference_character_image", person)


class CheckSwapRun(CheckRun):
    """One attempt of a task that checks results."""

    _made = b""

    def run(self) -> dict[str, Any]:
        """Read and check the pictures, and act on the verdict as ``on_failure`` says."""
        return self._check_many() if quality_batch.is_many(self.task.results) else super().run()

    def check(self, hook: SegmindHook, thresholds: Thresholds) -> Report:
        """Check the result and return the report."""
        made = self._made = _picture(hook, "results", quality_batch.result_uri(self.task.results))
        scene, person = self.inputs(hook)
        return check_swap(scene, made, person, thresholds=thresholds, qa=self.task.qa, pose_model=self._pose_model())

    def keep_report(self, report: Mapping[str, Any]) -> None:
        """Add the report to the picture's sidecar if this DAG stored the picture."""
        if not isinstance(self.task.results, Mapping):
            return
        if self.task.results.get("files"):
            add_to_sidecar(self.task.results, self._made, dag_of(self.context), {"checks": report})
        if report["verdict"] == "fail":
            bad = [f"{check['name']}: {check['why']}" for check in report["checks"] if check["verdict"] == "fail"]
            reject(self.task.results.get("request_id"), dag_of(self.context), "; ".join(bad))

    def _write_reports(self, manifest: str, found: Sequence[quality_batch.Checked], summary: dict[str, Any]) -> None:
        """Write all reports next to the manifest, but only for a batch of this DAG: an XCom may name any manifest."""
        owners = {one.item.dag_id for one in found}
        if owners == {dag_of(self.context)}:
            summary["reports_uri"] = quality_batch.write_reports(manifest, found)
        else:
            self.task.log.warning(
                "%s is not of a batch that this DAG ordered, so nothing is written beside it: the reports are in the "
                "XCom alone, %d at most.",
                shown(manifest),
                quality_batch.MOST_TOLD,
            )

    def _checked_result(self) -> Mapping[str, Any]:
        return self.task.results if isinstance(self.task.results, Mapping) else {"uri": self.task.results}

    def _pose_model(self) -> Path | None:
        return None if self.task.qa is False else pose_model()

    def _check_many(self) -> dict[str, Any]:
        manifest = quality_batch.manifest_of(self.task.results)
        try:
            thresholds = Thresholds.of(self.task.thresholds or {})
            items = quality_batch.items_of(
                self.task.results, self.task.character_image, self.task.reference_character_image
            )
            with quiet():
                found = quality_batch.check_all(
                    SegmindHook(self.task.segmind_conn_id), items, thresholds, self.task.qa, self._pose_model()
                )
            summary = quality_batch.summary_of(found)
            for one in found:
                if one.verdict == "fail":
                    reject(one.item.request_id, dag_of(self.context), "; ".join(one.reasons))
            if manifest:
                self._write_reports(manifest, found, summary)
                show(self.context, *checked_batch(manifest, summary))
        except SegmindError as error:
            raise task_error(error) from None
        report = self.end(summary, quality_batch.told(summary))
        kept_from_it = quality_batch.first_error(found)
        if kept_from_it is not None and self.task.on_failure != "report":
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
