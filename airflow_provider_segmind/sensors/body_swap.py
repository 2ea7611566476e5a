"""Sensor for body swaps."""

from __future__ import annotations

from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.sensors.pixelflow import PixelFlowSensor


class BodySwapSensor(PixelFlowSensor):
    """
    Wait until a body swap is done and return its picture.

    It takes the parameters of :class:`~airflow_provider_segmind.sensors.pixelflow.PixelFlowSensor`, but raises an error
    if the job has no picture. It can be mapped:
    ``BodySwapSensor.partial(task_id="wait").expand(poll_url=submit.output)``.
    """

    operator_extra_links = (BeforeAfterLink(), ResultPictureLink())
    needs_image = True
