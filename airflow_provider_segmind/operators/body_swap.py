"""Operators that order one body swap, with or without waiting for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_segmind.api.answers import MAX_URL, id_in, line
from airflow_provider_segmind.api.errors import JobFailedError, SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import WAITED_OUT, check_interval, check_outage, timed_out
from airflow_provider_segmind.api.remembered import swap_key
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.api.workflows import (
    BODY_SWAP_IMAGES,
    BODY_SWAP_WORKFLOW,
    check_character,
    check_image,
    check_inputs,
    check_workflow,
)
from airflow_provider_segmind.compat import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout
from airflow_provider_segmind.connection import waits_deferred
from airflow_provider_segmind.failures import paid_error
from airflow_provider_segmind.files.fetching import look_at_url, looks
from airflow_provider_segmind.files.pictures import check_prepare, is_url, read_picture, readable
from airflow_provider_segmind.gallery.recording import show_end
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.memory.swaps import digests_in, digests_of, keep, lost
from airflow_provider_segmind.observability.metrics import emit_end
from airflow_provider_segmind.operators.batch import BodySwapBatchOperator, SubmitBodySwapBatchOperator
from airflow_provider_segmind.operators.pixelflow import _OrdersPixelFlow
from airflow_provider_segmind.orders.ended import mark_failed
from airflow_provider_segmind.orders.rules import consent_of, estimated_cost, tagged
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.triggers.segmind import deferral, note_wait
from airflow_provider_segmind.waiting.ending import check_mode, trigger_exit_of
from airflow_provider_segmind.waiting.events import read_event

if TYPE_CHECKING:
    from airflow_provider_segmind.quality.prepare import Prepared

__all__ = ["BodySwapBatchOperator", "BodySwapOperator", "SubmitBodySwapBatchOperator", "SubmitBodySwapOperator"]


class _OrdersBodySwap(_OrdersPixelFlow):
    """What both operators share that order one body swap."""

    operator_extra_links = (BeforeAfterLink(), ResultPictureLink())
    template_fields: Sequence[str] = (
        "character_image",
        "reference_character_image",
        "select_character",
        "workflow",
        "segmind_conn_id",
        "consent_reference",
    )

    def __init__(
        self,
        *,
        character_image: str,
        reference_character_image: str,
        select_character: str = "woman",
        workflow: str = BODY_SWAP_WORKFLOW,
        prepare: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(workflow=workflow, inputs={}, **kwargs)
        self.character_image = character_image
        self.reference_character_image = reference_character_image
        self.select_character = select_character
        self.prepare = check_prepare(prepare)
        self._read: dict[str, Prepared] = {}

    @property
    def swaps_people(self) -> bool:
        """Always true: this is a body swap, whatever the workflow id."""
        return True

    def given_inputs(self) -> Mapping[str, Any]:
        """Return the three inputs as the DAG author gave them."""
        return {
            **{name: getattr(self, name) for name in BODY_SWAP_IMAGES},
            "select_character": self.select_character,
        }

    def lineage_inputs(self) -> list[object]:
        """Return the URIs of the two pictures."""
        return [getattr(self, name) for name in BODY_SWAP_IMAGES]

    def swap_key(self, hook: SegmindHook) -> str:
        """Return the key of this swap in the memory, by the bytes of both pictures; those to upload are kept."""
        pictures = {name: check_image(name, getattr(self, name)) for name in BODY_SWAP_IMAGES}
        self._read = {name: read_picture(name, uri, self.prepare) for name, uri in pictures.items() if not is_url(uri)}
        known = {
            name: digests_of(hook, name, uri, by_etag=self.reuse == "etag")
            if is_url(uri)
            else digests_in(self._read[name])
            for name, uri in pictures.items()
        }
        digests = {name: each[0] for name, each in known.items()}
        self._digests = tuple(dict.fromkeys(one for each in known.values() for one in each))
        given = {**pictures, "select_character": check_character(self.select_character)}
        return swap_key(hook.settings.base_url, check_workflow(self.workflow), given, digests)

    def build_inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Check the three inputs, upload local pictures, and return what to send."""
        workflow = check_workflow(self.workflow)
        character = check_character(self.select_character)
        pictures = {name: check_image(name, getattr(self, name)) for name in BODY_SWAP_IMAGES}
        if looks() == "always":
            for name, uri in pictures.items():
                if is_url(uri):
                    look_at_url(hook, name, uri)
        sent = {
            name: readable(hook, name, uri, self.prepare, self._read.pop(name, None)) for name, uri in pictures.items()
        }
        self._prepared = {name: list(picture.done) for name, picture in sent.items() if picture.done}
        inputs = {**{name: picture.url for name, picture in sent.items()}, "select_character": character}
        return tagged(check_inputs(workflow, inputs, base_url=hook.settings.base_url))


class SubmitBodySwapOperator(_OrdersBodySwap):
    """
    Order one body swap, without waiting for it.

    :param character_image: the scene to edit: an ``https://`` URL, or a path or storage URI, which is uploaded.
    :param reference_character_image: the new person, in the same forms.
    :param select_character: the person in the scene to replace, in words.
    :param workflow: id and version of the workflow.
    :param prepare: ``auto`` prepares an uploaded picture that Segmind would refuse or misread (HEIC, AVIF, turned,
        other colours than sRGB, 16 bits, very large): see ``docs/pictures.md``. ``never`` uploads only what it takes,
        unchanged. A URL is always sent unchanged.
    :param segmind_conn_id: id of the Airflow connection.
    :param on_unknown_outcome: ``fail`` or ``resubmit``, see
        :class:`~airflow_provider_segmind.operators.pixelflow.SubmitPixelFlowOperator`.
    :param consent_reference: where the consent of the people in the pictures is on record: your own id or URL. It is
        never sent to Segmind. ``[segmind] require_consent`` makes it mandatory.
    :param reuse: ``auto`` takes a picture that another task or run has paid for already, if the administrator has set
        ``[segmind] memory``; ``refresh`` orders anew, for all; ``never`` ignores the memory; ``etag`` is ``auto``, but
        knows a picture behind a URL by URL and ETag. See ``docs/memory.md``.
    :param reuse_max_age: seconds since its end for which a picture is taken. Default: for ever.
    :return: ``request_id``, ``poll_url``, ``workflow`` and ``submitted_at`` (seconds since the epoch); if it is reused,
        also ``reused`` and ``cost`` 0.
    :raises AirflowFailException: a retry cannot help or would be billed: wrong key, credits or inputs, or unknown
        outcome.
    :raises SegmindError: a retry may help; nothing was billed.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Order the swap, or return the order of an earlier attempt."""
        return self.submit(context)


class BodySwapOperator(_OrdersBodySwap):
    """
    Order one body swap and wait for it, in one task that holds no worker while it waits.

    On Airflow 3.3 and later, and with ``[segmind] memory`` on every version, a retry resumes the same order, whatever
    the fault was. If the job FAILED, the task's own ``retries`` order it again, each at the price of a swap. Without a
    memory, Airflow 3.1 and 3.2 keep nothing between attempts: if the wait ends before the job, the task fails
    permanently, and a retry orders nothing. There use :class:`SubmitBodySwapOperator` and a sensor, which a retry can
    help.

    :param character_image: the scene to edit: an ``https://`` URL, or a path or storage URI, which is uploaded.
    :param reference_character_image: the new person, in the same forms.
    :param select_character: the person in the scene to replace, in words.
    :param workflow: id and version of the workflow.
    :param prepare: ``auto`` prepares an uploaded picture that Segmind would refuse or misread (HEIC, AVIF, turned,
        other colours than sRGB, 16 bits, very large): see ``docs/pictures.md``. ``never`` uploads only what it takes,
        unchanged. A URL is always sent unchanged.
    :param segmind_conn_id: id of the Airflow connection.
    :param on_unknown_outcome: ``fail`` or ``resubmit``, see
        :class:`~airflow_provider_segmind.operators.pixelflow.SubmitPixelFlowOperator`.
    :param consent_reference: where the consent of the people in the pictures is on record: your own id or URL. It is
        never sent to Segmind. ``[segmind] require_consent`` makes it mandatory.
    :param output_key: ``keyname`` of the output to return as ``image_url``. Default: the first image.
    :param deferrable: whether to wait in a triggerer; ``False`` waits on the worker, with the same results and errors.
        Default: the option ``[segmind] default_deferrable``, itself ``True`` by default.
    :param poll_interval: longest pause in seconds between polls around the time at which such jobs usually end. Long
        before it and long after it the triggerer asks less often. Segmind documents 7.
    :param timeout: seconds that one attempt waits at most, in wall-clock time.
    :param max_outage: seconds that a Segmind outage may last before the task raises the last error. A retry then waits
        for the same job. Default: wait until ``timeout``.
    :param end_in_trigger: ``auto`` ends the task in the triggerer, without another start on a worker, if its job is
        done and nothing is lost (no callbacks, outlets, listeners and the like). ``True`` always does so, ``False``
        never. A failed job always resumes on a worker, which keeps the record of the order.
    :param reuse: ``auto`` takes a picture that another task or run has paid for already, if the administrator has set
        ``[segmind] memory``; ``refresh`` orders anew, for all; ``never`` ignores the memory; ``etag`` is ``auto``, but
        knows a picture behind a URL by URL and ETag. See ``docs/memory.md``.
    :param reuse_max_age: seconds since its end for which a picture is taken. Default: for ever.
    :return: ``request_id``, ``poll_url``, ``status``, ``outputs`` and ``image_url``; if it is reused, also ``reused``
        and ``cost`` 0.
    :raises AirflowFailException: a retry cannot help or would be billed.
    :raises JobFailedError: the job FAILED; a retry is a new order.
    :raises JobTimeoutError: the job is not done in time; a retry waits for the same job.
    :raises SegmindError: a retry may help; it never repeats an order that is on record.
    """

    template_fields: Sequence[str] = (*_OrdersBodySwap.template_fields, "output_key")

    def __init__(
        self,
        *,
        output_key: str | None = None,
        deferrable: bool | None = None,
        poll_interval: timedelta | float = 7.0,
        timeout: timedelta | float = 3600.0,
        max_outage: timedelta | float | None = None,
        end_in_trigger: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_key = output_key
        self.deferrable = waits_deferred(deferrable)
        self.poll_interval = check_interval("poll_interval", poll_interval)
        self.timeout = check_interval("timeout", timeout)
        self.max_outage = check_outage(max_outage)
        self.end_in_trigger = check_mode(end_in_trigger)
        self.swap_result: Mapping[str, Any] = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Order, or resume the order of an earlier attempt, and wait."""
        placed = self.place(context)
        job = placed.job if placed.job.done else None
        if placed.attached and job is None:
            job = self._look(context, placed.job.poll_url)
        if job is not None and job.done and job.status == "FAILED":
            self._tell(job)
            # An earlier attempt ordered this job, so this attempt is a retry and may order again.
            mark_failed(context, job)
            placed, job = self.place(context), None
        if job is None or not job.done:
            if not self.deferrable:
                return self._finish(context, self._wait_here(context, placed.job))
            self.defer(
                **deferral(
                    placed.job,
                    self.segmind_conn_id,
                    timeout=self.timeout,
                    poll_interval=self.poll_interval,
                    max_outage=self.max_outage,
                    clock_offset=self._clock_offset,
                    output_key=self.output_key,
                    needs_image=True,
                    ending=replace(trigger_exit_of(self, context, self.end_in_trigger), failure=False),
                )
            )
        self._tell(job)
        return self._finish(context, replace(job, prepared=placed.job.prepared, reused=placed.job.reused))

    def _wait_here(self, context: Context, job: Job) -> Job:
        """Wait on this worker and record the outcome in the metrics."""
        note_wait(job.request_id, self.timeout, "on this worker")
        try:
            ended = replace(
                self._fetch(job.poll_url), submitted_at=job.submitted_at, prepared=job.prepared, reused=job.reused
            )
        except SegmindError as error:
            emit_end(self.segmind_conn_id, error, self.workflow)
            self.note_error(error)
            raise self._paid(context, error) from None
        except AirflowTaskTimeout as error:
            said = f"{error} Request {job.request_id} goes on and is billed; its result is at {job.poll_url}"
            if OrderStore(context).durable:
                raise AirflowTaskTimeout(said) from error
            raise self._paid(context, SegmindError(said)) from error
        self._tell(ended)
        return ended

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with the trigger's event."""
        self.note_facts(
            workflow=self.workflow, consent=consent_of(self.consent_reference), cost=estimated_cost(self.workflow)
        )
        try:
            job, complete = read_event(event)
            if not complete:
                job = replace(self._fetch(job.poll_url), submitted_at=job.submitted_at, prepared=job.prepared)
        except SegmindError as error:
            self.note_error(error)
            raise self._paid(context, error) from None
        return self._finish(context, job)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. If Airflow itself ended the wait, ask for the paid job once more."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as ended:
            return self._last_look(context, ended)

    def _last_look(self, context: Context, ended: Exception) -> dict[str, Any]:
        ti = context["ti"]
        poll_url = ti.xcom_pull(task_ids=self.task_id, key="poll_url", map_indexes=ti.map_index)
        job = self._look(context, poll_url) if poll_url else None  # a retry cannot repair what it raises
        if job is not None and job.done:
            self._tell(job)
            return self._finish(context, job)
        if isinstance(ended, TaskDeferralTimeout):
            late = timed_out(str(poll_url), "its status is " + (job.status if job else "not known"))
            raise self._paid(context, late) from ended
        broken = SegmindError(
            f"Airflow ended the wait itself ({ended}). The job goes on and is billed; its result can be asked for at "
            f"{poll_url}",
            request_id=id_in(str(poll_url)),
        )
        raise self._paid(context, broken) from ended

    def _finish(self, context: Context, job: Job) -> dict[str, Any]:
        keep(SegmindHook(self.segmind_conn_id), job)
        if job.status == "FAILED":
            mark_failed(context, job)
        try:
            result = result_of(job, output_key=self.output_key, needs_image=True)
        except SegmindError as error:
            self.note_facts(status=job.status)
            self.note_error(error)
            raise self._paid(context, error) from None
        show_end(context, result)
        self.swap_result = result
        self.note_result(result, job.submitted_at)
        self.log.info("Request %s is %s: %s", job.request_id, job.status, line(result["image_url"] or "", MAX_URL))
        return result

    def _paid(self, context: Context, error: Exception) -> Exception:
        """Return the exception for a task that has ordered: retryable if a retry can resume it, else permanent."""
        if isinstance(error, SegmindError) and not error.request_id:
            error.request_id = self._ordered_id(context)
        if isinstance(error, SegmindError):
            show_end(context, error)
        lost(error)
        return paid_error(
            error,
            kept=OrderStore(context).durable
            or (isinstance(error, JobFailedError) and self.on_unknown_outcome == "resubmit"),
            how="Wait for it with a BodySwapSensor; its poll_url is this task's XCom of that name.",
        )

    def _ordered_id(self, context: Context) -> str | None:
        """Return the id of the order; an error from a triggerer may lack it."""
        ti = context["ti"]
        try:
            request_id = ti.xcom_pull(task_ids=self.task_id, key="request_id", map_indexes=ti.map_index)
        except Exception:  # must not hide the original error
            self.log.warning("The id of the order could not be read.", exc_info=True)
            return None
        return request_id if isinstance(request_id, str) else None

    def _tell(self, job: Job) -> None:
        """Record in the metrics a job whose end this worker saw; the triggerer records those that it sees."""
        try:
            outcome: dict[str, Any] | SegmindError = result_of(job, output_key=self.output_key, needs_image=True)
        except SegmindError as error:
            outcome = error
        emit_end(self.segmind_conn_id, outcome, self.workflow, job.submitted_at)

    def _look(self, context: Context, poll_url: str) -> Job | None:
        hook = SegmindHook(self.segmind_conn_id)
        try:
            job = hook.get_job(poll_url)
        except WAITED_OUT as error:
            self.log.info("The job was asked for and did not answer: %s", error)
            return None
        except SegmindError as error:
            error.request_id = error.request_id or self._request_id or id_in(poll_url)
            raise self._paid(context, error) from None
        self._clock_offset = hook.client.clock_offset
        return job

    def _fetch(self, poll_url: str) -> Job:
        hook = SegmindHook(self.segmind_conn_id)
        return hook.wait_for_end(
            poll_url, poll_interval=self.poll_interval, timeout=self.timeout, max_outage=self.max_outage
        )
