"""Wait for body swaps."""

from __future__ import annotations

from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.sensors.pixelflow import PixelFlowSensor


class BodySwapSensor(PixelFlowSensor):
    """
    Wait until a body swap is done, and return its picture.

    Works mapped: ``BodySwapSensor.partial(task_id="wait").expand(poll_url=submit.output)``. It takes what
    :class:`~airflow_provider_segmind.sensors.pixelflow.PixelFlowSensor` takes, and ends in an error rather than
    without a picture.
    """

    operator_extra_links = (BeforeAfterLink(), ResultPictureLink())
    needs_image = True
