"""Keep the record of an order in Airflow's task state store, which survives the attempts of a task (Airflow 3.3)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.errors import OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.orders import Record, read_record
from airflow_provider_segmind.compat import THREADS_MAY_ASK

log = logging.getLogger(__name__)

KEY = "segmind_order"


def check_running(context: Mapping[str, Any]) -> None:
    """Raise if Airflow says that this task no longer runs; call it right before each order is sent."""
    # A task that a person marks failed, or clears, runs until its next heartbeat, and the store still accepts its
    # writes. If Airflow cannot answer, the task continues: while its API is down, no person can mark a task.
    ti = context["ti"]
    ask = getattr(ti, "get_task_states", None)
    if ask is None or not (THREADS_MAY_ASK or threading.current_thread() is threading.main_thread()):
        return
    mapped = ti.map_index is not None and ti.map_index >= 0
    try:
        states = ask(
            dag_id=ti.dag_id,
            task_ids=[ti.task_id],
            run_ids=[ti.run_id],
            map_index=ti.map_index if mapped else None,
        )
        state = states[ti.run_id][f"{ti.task_id}_{ti.map_index}" if mapped else ti.task_id]
    except Exception:
        log.warning("Airflow did not say whether this task is still to run; it goes on.", exc_info=True)
        return
    if (state is None or isinstance(state, str)) and state != "running":
        raise SegmindError(
            f"Airflow says that this task is {state or 'waiting to start'!r} and no longer running: a person or the "
            "scheduler has ended this attempt. So nothing is ordered now. Clear the task if its result is wanted."
        )


class OrderStore:
    """Record of one task's order."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")

    @property
    def durable(self) -> bool:
        """Whether Airflow keeps a record; Airflow 3.1 and 3.2 have no such store."""
        return self._store is not None

    def load(self) -> Record | None:
        """Return the record of an earlier attempt, if any; raise ``OutcomeUnknownError`` if it is unreadable."""
        stored = self._store.get(KEY) if self._store is not None else None
        try:
            return read_record(stored)
        except ValueError as error:
            raise OutcomeUnknownError(
                f"An earlier attempt of this task left an order behind, but {error}: {stored!r}. Nothing was ordered "
                "now. Look for it in your Segmind request history; then clear the task, which orders anew."
            ) from error

    def save(self, record: Record) -> None:
        """Save a record."""
        if self._store is not None:
            self._store.set(KEY, record.to_json())

    def forget(self) -> None:
        """Delete the record, because the order was refused and not billed."""
        if self._store is not None:
            self._store.delete(KEY)
