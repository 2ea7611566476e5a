"""Keep the entries of a batch in Airflow's task state store, many per call, and each before its order is sent."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider_segmind.api.batches import CHUNK, Entry, Head, read_chunk, read_head, write_chunk
from airflow_provider_segmind.api.errors import OutcomeUnknownError
from airflow_provider_segmind.orders.store import check_running

KEY = "segmind_batch"


class BatchStore:
    """Record of one task's batch between its attempts; Airflow 3.1 and 3.2 keep none."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self._store = context.get("task_state_store")

    @property
    def durable(self) -> bool:
        """Whether Airflow keeps a record."""
        return self._store is not None

    def load(self) -> tuple[Head | None, dict[int, Entry]]:
        """Return the head and entries of an earlier attempt; raise ``OutcomeUnknownError`` if they are unreadable."""
        if self._store is None:
            return None, {}
        try:
            head = read_head(self._store.get(KEY))
            entries = self._entries(head.batch, head.count) if head else {}
        except ValueError as error:
            raise OutcomeUnknownError(
                f"An earlier attempt of this task left a batch behind, but {error}. Nothing was ordered now. Look for "
                "its orders in your Segmind request history; then clear the task, which orders anew."
            ) from error
        return head, entries

    def _entries(self, batch: str, count: int) -> dict[int, Entry]:
        entries: dict[int, Entry] = {}
        if self._store is None:
            return entries
        for number in range(-(-count // CHUNK)):
            entries |= read_chunk(self._store.get(_key(batch, number)))
        return entries

    def earlier(self, head: Head) -> frozenset[str]:
        """Return the request ids of orders from before the task was cleared."""
        try:
            entries = self._entries(head.before, head.count_before)
        except ValueError:
            return frozenset()
        return frozenset(request_id for entry in entries.values() for request_id in entry.requests)

    def on_record(self, max_tries: int) -> dict[int, Entry]:
        """Return the entries that this attempt resumes; none if they are unreadable or from before a clear."""
        try:
            head, entries = self.load()
        except OutcomeUnknownError:
            return {}
        return entries if head is not None and head.max_tries == max_tries else {}

    def save_head(self, head: Head) -> None:
        """Begin a batch; the entries of an earlier one no longer count."""
        if self._store is not None:
            self._store.set(KEY, head.to_json())

    def save(self, head: Head, chunks: Mapping[int, Mapping[str, Any]], *, before_order: bool = False) -> None:
        """
        Keep chunks of entries, by number.

        :param before_order: whether an order follows; raises if Airflow has ended this attempt, so that it is not sent.
        """
        for number, chunk in chunks.items():
            if self._store is not None:
                self._store.set(_key(head.batch, number), dict(chunk))
        if before_order:
            check_running(self._context)


class Book:
    """Entries of a batch while it orders."""

    # Changes that arrive during a write go into the next write together, because each call of the store takes about ten
    # milliseconds and uses a single socket.

    def __init__(self, store: BatchStore, head: Head, entries: Mapping[int, Entry]) -> None:
        self.head = head
        self.earlier = store.earlier(head)
        self.entries = dict(entries)
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="segmind-book")
        self._dirty: set[int] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._before_order = False
        self._writer: asyncio.Task[None] | None = None

    async def intend(self, index: int, entry: Entry) -> None:
        """Keep the intent of an order, and return once the order may be sent; raises if it may not."""
        self.entries[index] = entry
        self._before_order = True
        await self._kept(index)

    async def put(self, index: int, entry: Entry) -> None:
        """Keep an entry, and return once it is written."""
        self.entries[index] = entry
        await self._kept(index)

    def note(self, index: int, entry: Entry) -> None:
        """Queue an entry for the next write. If that write fails, the next ``put`` raises."""
        self.entries[index] = entry
        self._dirty.add(index // CHUNK)
        self._begin()

    async def flush(self) -> None:
        """Return once all entries are written; raises what the store raises."""
        if self._writer is not None:
            await self._writer
        for number in tuple(self._dirty):
            await self._kept(number * CHUNK)

    async def drop(self, index: int) -> None:
        """Forget an order that was not accepted, but keep earlier orders of the same swap."""
        entry = self.entries.pop(index, None)
        if entry is not None:
            earlier = entry.refuted()
            if earlier is not None:
                self.entries[index] = earlier
            await self._kept(index)

    async def restore(self, index: int, before: Entry | None) -> None:
        """Restore the entry from before an order that was refused, and so not billed."""
        # An earlier order whose job FAILED must stay on record, or a look-up could take it for the next order.
        if before is None:
            await self.drop(index)
        elif self.entries.get(index) != before:
            await self.put(index, before)

    def take_back(self, index: int, before: Entry | None) -> None:
        """Undo a change that could not be written; the next successful write includes this."""
        self.entries.pop(index, None)
        if before is not None:
            self.entries[index] = before

    def close(self) -> None:
        """Stop the writer thread."""
        self._thread.shutdown()

    async def _kept(self, index: int) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._dirty.add(index // CHUNK)
        self._waiting.append(waiting)
        self._begin()
        await waiting

    def _begin(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._dirty:
            waiting, self._waiting = self._waiting, []
            dirty, self._dirty = self._dirty, set()
            before_order, self._before_order = self._before_order, False
            chunks = {number: write_chunk(self.entries, number) for number in sorted(dirty)}
            save = functools.partial(self._store.save, self.head, chunks, before_order=before_order)
            try:
                await loop.run_in_executor(self._thread, save)
            except Exception as error:  # noqa: BLE001 - the waiting callers raise it
                self._dirty |= dirty
                for future in waiting:
                    if not future.done():
                        future.set_exception(error)
                if not self._waiting:  # no caller waits: the next change tries again
                    return
            else:
                for future in waiting:
                    if not future.done():
                        future.set_result(None)


def _key(batch: str, number: int) -> str:
    return f"{KEY}_{batch}_{number}"
