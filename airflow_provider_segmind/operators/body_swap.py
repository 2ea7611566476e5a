"""Operators that order one body swap, with or without waiting for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_segmind.api.parameters import (
    POLL_INTERVAL,
    PREPARE,
    TIMEOUT,
    check_interval,
    check_mode,
    check_one_of,
    check_outage,
)
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_WORKFLOW
from airflow_provider_segmind.compat import TaskDeferralError, TaskDeferralTimeout, waits_deferred
from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.operators.batch import BodySwapBatchOperator, SubmitBodySwapBatchOperator
from airflow_provider_segmind.operators.pixelflow import _OrdersPixelFlow

if TYPE_CHECKING:
    from airflow_provider_segmind.tasks.order import SwapOrderRun
    from airflow_provider_segmind.tasks.swap import SwapRun

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
        self.prepare = check_one_of("prepare", prepare, PREPARE)

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

    def run_of(self, context: Context) -> SwapOrderRun:
        """Return what does this task's work."""
        from airflow_provider_segmind.tasks.order import SwapOrderRun

        return SwapOrderRun(self, context)


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
        return self.run_of(context).submit()


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
        poll_interval: timedelta | float = POLL_INTERVAL,
        timeout: timedelta | float = TIMEOUT,
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

    def run_of(self, context: Context) -> SwapRun:
        """Return what does this task's work."""
        from airflow_provider_segmind.tasks.swap import SwapRun

        return SwapRun(self, context)

    def execute(self, context: Context) -> dict[str, Any]:
        """Order, or resume the order of an earlier attempt, and wait."""
        return self.run_of(context).order_and_wait()

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with the trigger's event."""
        return self.run_of(context).complete(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. If Airflow itself ended the wait, ask for the paid job once more."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as ended:
            return self._last_look(context, ended)

    def _last_look(self, context: Context, ended: Exception) -> dict[str, Any]:
        return self.run_of(context).last_look(ended)
