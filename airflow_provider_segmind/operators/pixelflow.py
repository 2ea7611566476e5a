"""Operator that orders a job of any Segmind workflow (a PixelFlow)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_segmind.api.parameters import CONN_ID, REUSE, UNKNOWN, check_max_age, check_one_of
from airflow_provider_segmind.api.workflows import check_workflow, is_body_swap, is_written
from airflow_provider_segmind.observability.lineage import LineageMixin
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin

if TYPE_CHECKING:
    from airflow_provider_segmind.tasks.order import OrderRun


class _OrdersPixelFlow(LineageMixin, AuthorsTemplatesMixin, BaseOperator):
    """What all operators share that order a job."""

    template_fields: Sequence[str] = ("workflow", "inputs", "segmind_conn_id", "consent_reference")
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012 - Airflow's own way to declare it
    ui_color = "#ece8f6"
    places_orders: ClassVar[bool] = True

    def __init__(
        self,
        *,
        workflow: str,
        inputs: Mapping[str, Any],
        segmind_conn_id: str = CONN_ID,
        on_unknown_outcome: str = "fail",
        consent_reference: str | None = None,
        reuse: str = "auto",
        reuse_max_age: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reuse = check_one_of("reuse", reuse, REUSE)
        self.reuse_max_age = check_max_age(reuse_max_age)
        self.workflow = check_workflow(workflow) if is_written(workflow) else workflow
        self.inputs = inputs
        self.segmind_conn_id = segmind_conn_id
        self.on_unknown_outcome = check_one_of("on_unknown_outcome", on_unknown_outcome, UNKNOWN)
        self.consent_reference = consent_reference
        self.ordered_id: str | None = None
        """Segmind's id of the order, once it is placed."""

    def run_of(self, context: Context) -> OrderRun:
        """Return what does this task's work."""
        from airflow_provider_segmind.tasks.order import OrderRun

        return OrderRun(self, context)

    @property
    def swaps_people(self) -> bool:
        """Whether the order needs the consent of people."""
        return is_body_swap(self.workflow)

    def lineage_inputs(self) -> list[object]:
        """Return the inputs that are URIs."""
        return [value for value in self.given_inputs().values() if isinstance(value, str) and "://" in value]

    def given_inputs(self) -> Mapping[str, Any]:
        """Return the inputs as the DAG author gave them."""
        return self.inputs

    def on_kill(self) -> None:
        """Log that nothing can be cancelled. The record stays, so a retry can resume the order."""
        known = f"request {self.ordered_id}" if self.ordered_id else "an order that was just being sent"
        self.log.warning(
            "This task is being killed. Segmind cannot cancel: %s goes on and is billed. A retry resumes it.",
            known,
        )


class SubmitPixelFlowOperator(_OrdersPixelFlow):
    """
    Order a job with one POST, without waiting for it.

    On Airflow 3.3 and later, and with ``[segmind] memory`` on every version, a retry of this task resumes the order of
    an earlier attempt. Clearing the task places a new order; with a memory, it takes what is paid for.

    The operator pushes the XComs ``poll_url`` and ``request_id`` as soon as Segmind accepts the order. Pass
    ``submit.output["poll_url"]`` to a :class:`~airflow_provider_segmind.sensors.pixelflow.PixelFlowSensor`.

    :param workflow: id and version of the workflow, like ``678b67a76426baad7e539337-v4``.
    :param inputs: the workflow's inputs by name.
    :param segmind_conn_id: id of the Airflow connection.
    :param on_unknown_outcome: what to do if an earlier attempt ended without knowing whether Segmind accepted its
        order: ``fail`` permanently, with a message that says where to look, or ``resubmit``, which may pay twice.
    :param consent_reference: where the consent of the people in the pictures is on record: your own id or URL. It is
        never sent to Segmind. ``[segmind] require_consent`` makes it mandatory.
    :param reuse: ``auto`` takes what another task or run has paid for already, if the administrator has set
        ``[segmind] memory``; ``refresh`` orders anew, for all; ``never`` ignores the memory; ``etag`` is ``auto``, but
        knows a picture behind a URL by URL and ETag.
    :param reuse_max_age: seconds since its end for which a picture is taken. Default: for ever.
    :return: ``request_id``, ``poll_url``, ``workflow`` and ``submitted_at`` (seconds since the epoch); if it is reused,
        also ``reused`` and ``cost`` 0.
    :raises AirflowFailException: a retry cannot help or would be billed: wrong key, credits or inputs, or unknown
        outcome.
    :raises SegmindError: a retry may help; nothing was billed.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Order the job, or return the order of an earlier attempt."""
        return self.run_of(context).submit()
