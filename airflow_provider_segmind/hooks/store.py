"""Keep the record of an order in Airflow's task state store, which survives the attempts of a task (Airflow 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.errors import OutcomeUnknownError
from airflow_provider_segmind.api.orders import Record, read_record

KEY = "segmind_order"


class OrderStore:
    """
    The record of one task's order.

    :param context: the task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")

    @property
    def durable(self) -> bool:
        """Whether anything is kept; Airflow 3.1 and 3.2 have no such store."""
        return self._store is not None

    def load(self) -> Record | None:
        """
        Return the record that an earlier attempt left, if any.

        :raises OutcomeUnknownError: when there is one that cannot be read.
        """
        stored = self._store.get(KEY) if self._store is not None else None
        try:
            return read_record(stored)
        except ValueError as error:
            raise OutcomeUnknownError(
                f"An earlier attempt of this task left an order behind, but {error}: {stored!r}. Nothing was ordered "
                "now. Look for it in your Segmind request history; then clear the task, which orders anew."
            ) from error

    def save(self, record: Record) -> None:
        """Keep a record."""
        if self._store is not None:
            self._store.set(KEY, record.to_json())

    def forget(self) -> None:
        """Keep nothing: what was about to be ordered was refused, and not billed."""
        if self._store is not None:
            self._store.delete(KEY)
