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
    """
    Make sure that Airflow still wants this task to run; to be called right before each order goes out.

    A task that a person marks failed, or clears, runs on until its next heartbeat, and its store still takes what it
    writes. Where Airflow cannot be asked, the task goes on: whoever cannot reach Airflow's API has marked nothing.

    :param context: the task's context.
    :raises SegmindError: when Airflow says that the task is not running; nothing may be ordered then.
    """
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
