"""Order a job of any Segmind workflow (a PixelFlow)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.hooks.failures import task_error
from airflow_provider_segmind.hooks.segmind import SegmindHook


class SubmitPixelFlowOperator(BaseOperator):
    """
    Order a job with one POST, and do not wait for it.

    It pushes the XComs ``poll_url`` and ``request_id`` as soon as the order is accepted; give
    ``submit.output["poll_url"]`` to a :class:`~airflow_provider_segmind.sensors.pixelflow.PixelFlowSensor`.

    :param workflow: id and version of the workflow, like ``678b67a76426baad7e539337-v4``.
    :param inputs: the workflow's inputs by name.
    :param segmind_conn_id: the connection.
    :return: ``request_id``, ``poll_url``, ``workflow`` and ``submitted_at`` (seconds since the epoch).
    :raises AirflowFailException: where a retry cannot help or would bill: key, credits, inputs, unknown outcome.
    :raises SegmindError: where a retry may help; nothing was billed.
    """

    template_fields: Sequence[str] = ("workflow", "inputs", "segmind_conn_id")
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012 - Airflow's own way to declare it
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        workflow: str,
        inputs: Mapping[str, Any],
        segmind_conn_id: str = SegmindHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workflow = workflow
        self.inputs = inputs
        self.segmind_conn_id = segmind_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Order the job."""
        hook = SegmindHook(self.segmind_conn_id)
        try:
            job = hook.submit(self.workflow, self.build_inputs(hook))
        except SegmindError as error:
            raise task_error(error) from error
        ti = context["ti"]
        ti.xcom_push(key="poll_url", value=job.poll_url)
        ti.xcom_push(key="request_id", value=job.request_id)
        self.log.info("Segmind accepted request %s for workflow %s.", job.request_id, job.workflow)
        return {
            "request_id": job.request_id,
            "poll_url": job.poll_url,
            "workflow": job.workflow,
            "submitted_at": job.submitted_at,
        }

    def build_inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Return the inputs to order with; a typed operator makes them of its own parameters."""
        return self.inputs
