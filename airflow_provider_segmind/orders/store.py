"""Keep the records of a task's orders between its attempts, in Airflow's task state store or the memory of swaps."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping
from typing import Any

from airflow_provider_segmind.api.batches import CHUNK, BatchHeader, read_chunk, read_header
from airflow_provider_segmind.api.errors import OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.memory import Read, Replace
from airflow_provider_segmind.api.orders import OrderRecord, read_record, write_record
from airflow_provider_segmind.compat import THREADS_MAY_ASK_AIRFLOW
from airflow_provider_segmind.memory.store import Store, owner_of, store, task_folder

log = logging.getLogger(__name__)

KEY = "segmind_order"
"""Key of the record of a task's only order."""
BATCH_KEY = "segmind_batch"
"""Key of a batch's header; the keys of its chunks begin with it."""


def check_running(context: Mapping[str, Any]) -> None:
    """Raise if Airflow says that this task no longer runs; call it right before each order is sent."""
    # A task that a person marks failed, or clears, runs until its next heartbeat, and the store still accepts its
    # writes. If Airflow cannot answer, the task continues: while its API is down, no person can mark a task.
    ti = context["ti"]
    ask = getattr(ti, "get_task_states", None)
    # Before Airflow 3.2 only the main thread can ask without taking another thread's answer.
    if ask is None or not (THREADS_MAY_ASK_AIRFLOW or threading.current_thread() is threading.main_thread()):
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
            f"Airflow's state for this task is {state or 'none'}, not running: a person or the scheduler has ended "
            "this attempt. So nothing is ordered now. Clear the task if its result is wanted."
        )


class OrderStore:
    """Records of one task's orders between its attempts: of its only order, or of a batch."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self._store: Any = context.get("task_state_store")
        if self._store is None:
            self._store = _records_of(context)

    @property
    def durable(self) -> bool:
        """Whether anything keeps a record: Airflow 3.3 and later, or the memory of swaps."""
        return self._store is not None

    def load(self) -> OrderRecord | None:
        """Return the record of an earlier attempt, if any; raise ``OutcomeUnknownError`` if it is unreadable."""
        stored = self._store.get(KEY) if self._store is not None else None
        try:
            return read_record(stored)
        except ValueError as error:
            raise OutcomeUnknownError(
                f"An earlier attempt of this task left an order behind, but {error}: {stored!r}. Nothing was ordered "
                f"now. {self._unreadable(KEY)}"
            ) from error

    def save(self, record: OrderRecord) -> None:
        """Save a record."""
        if self._store is not None:
            self._store.set(KEY, write_record(record))

    def forget(self) -> None:
        """Delete the record, because the order was refused and not billed."""
        if self._store is not None:
            self._store.delete(KEY)

    def load_batch(self) -> tuple[BatchHeader | None, dict[int, OrderRecord]]:
        """Return the header and entries of an earlier attempt; raise ``OutcomeUnknownError`` if they are unreadable."""
        if self._store is None:
            return None, {}
        try:
            header = read_header(self._store.get(BATCH_KEY))
            entries = self._entries(header.batch, header.count) if header else {}
        except ValueError as error:
            raise OutcomeUnknownError(
                f"An earlier attempt of this task left a batch behind, but {error}. Nothing was ordered now. "
                f"{self._unreadable(BATCH_KEY)}"
            ) from error
        return header, entries

    def _unreadable(self, key: str) -> str:
        """Return what to do if a record cannot be read."""
        if isinstance(self._store, _TaskRecords):
            return (
                f"Delete the memory's object {self._store.name(key)}, then clear the task: it takes from the memory "
                "what is paid for, and orders the rest."
            )
        return (
            "Fetch with a sensor what your Segmind request history has of it. Then delete this task's state "
            f"{key!r} in Airflow, and clear the task: that orders anew, unless there is a memory of swaps."
        )

    def _entries(self, batch: str, count: int) -> dict[int, OrderRecord]:
        entries: dict[int, OrderRecord] = {}
        if self._store is None:
            return entries
        for number in range(math.ceil(count / CHUNK)):
            entries |= read_chunk(self._store.get(_key(batch, number)))
        return entries

    def ids_before_clear(self, header: BatchHeader) -> frozenset[str]:
        """Return the request ids of orders from before the task was cleared, as far as they can be read."""
        entries = self.entries_before_clear(header) or {}
        return frozenset(request_id for entry in entries.values() for request_id in entry.ordered)

    def entries_before_clear(self, header: BatchHeader) -> dict[int, OrderRecord] | None:
        """Return the entries from before the task was cleared, or ``None`` if they are unreadable."""
        try:
            return self._entries(header.before, header.count_before)
        except ValueError:
            return None

    def entries_to_resume(self, max_tries: int) -> dict[int, OrderRecord]:
        """Return the entries that this attempt resumes; none if they are unreadable or from before a clear."""
        try:
            header, entries = self.load_batch()
        except OutcomeUnknownError:
            return {}
        return entries if header is not None and header.max_tries == max_tries else {}

    def save_header(self, header: BatchHeader) -> None:
        """Save the header of a new batch; the chunks of an earlier one stay under its name."""
        if self._store is not None:
            self._store.set(BATCH_KEY, header.to_json())

    def save_chunks(
        self, header: BatchHeader, chunks: Mapping[int, Mapping[str, Any]], *, before_order: bool = False
    ) -> None:
        """
        Keep chunks of entries, by number.

        :param before_order: whether orders are sent next. Then raises, after saving, if Airflow has ended this attempt.
        """
        for number, chunk in chunks.items():
            if self._store is not None:
                self._store.set(_key(header.batch, number), dict(chunk))
        if before_order:
            check_running(self._context)


class _TaskRecords:
    """The records of one task in the memory of swaps, for Airflow 3.1 and 3.2, which keep none themselves."""

    def __init__(self, store: Store, owner: Mapping[str, Any]) -> None:
        self._memory = store
        self._folder = task_folder(owner)

    def get(self, key: str) -> Any:
        """Return a value, or ``None``; an unreadable one as its text, which no reader takes."""
        data = self._memory.do(Read(self.name(key)))
        try:
            return None if data is None else json.loads(data)
        except ValueError:
            return f"{len(data or b'')} bytes that are no JSON"

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._memory.do(Replace(self.name(key), json.dumps(value).encode()))

    def delete(self, key: str) -> None:
        """Forget a value."""
        self._memory.delete(self.name(key))

    def name(self, key: str) -> str:
        """Return the name of the object of a value."""
        return f"{self._folder}/{key}.json"


def _records_of(context: Mapping[str, Any]) -> _TaskRecords | None:
    where = store()
    return None if where is None else _TaskRecords(where, owner_of(context))


def _key(batch: str, number: int) -> str:
    return f"{BATCH_KEY}_{batch}_{number}"
