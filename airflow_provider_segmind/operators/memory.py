"""Operator that looks after the memory of swaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.parameters import CONN_ID
from airflow_provider_segmind.failures import task_error


class RescueSwapsOperator(BaseOperator):
    """
    Fetch the pictures that are paid for and not stored, before Segmind deletes them, and name those that are lost.

    It goes through the memory of swaps (``[segmind] memory``): an order whose end nobody has seen is asked for, one of
    unknown outcome is looked up in the request history, and a picture that is only at Segmind is stored in the memory.
    It never orders. Segmind forgets a job after an hour, so run it every half an hour.

    :param segmind_conn_id: id of the Airflow connection for orders that do not say which one they were made with.
    :return: ``looked_at``, ``fetched``, ``lost`` (request ids), ``failed``, ``running`` and ``unknown`` (request ids,
        or the tasks that ordered).
    :raises AirflowFailException: there is no memory.
    :raises SegmindError: Segmind or the storage does not answer; a retry goes on.
    """

    template_fields: Sequence[str] = ("segmind_conn_id",)
    ui_color = "#ece8f6"

    def __init__(self, *, segmind_conn_id: str = CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segmind_conn_id = segmind_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Look at all orders that are open."""
        from airflow_provider_segmind.memory.rescue import rescue_all
        from airflow_provider_segmind.memory.store import the_memory

        try:
            return rescue_all(the_memory(), self.segmind_conn_id).to_json()
        except SegmindError as error:
            raise task_error(error) from None
