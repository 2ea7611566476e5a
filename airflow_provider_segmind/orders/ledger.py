"""The orders of a batch while it orders: many per write, and each before it is sent."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_segmind.api.batches import CHUNK, BatchHeader, write_chunk
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.orders.store import OrderStore


class OrderLedger:
    """Entries of a batch while it orders."""

    # Changes that arrive during a write go into the next write together, because each call of the store takes about ten
    # milliseconds and uses a single socket.

    def __init__(self, store: OrderStore, header: BatchHeader, entries: Mapping[int, OrderRecord]) -> None:
        self.header = header
        self.earlier = store.ids_before_clear(header)
        self.entries = dict(entries)
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="segmind-ledger")
        self._dirty: set[int] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._before_order = False
        self._writer: asyncio.Task[None] | None = None

    def pending(self) -> list[int]:
        """Return the indexes of the swaps whose order is of unknown outcome."""
        return [index for index, entry in self.entries.items() if entry.pending]

    async def intend(self, index: int, entry: OrderRecord) -> None:
        """Keep the intent of an order, and return once the order may be sent; raises if it may not."""
        self.entries[index] = entry
        self._before_order = True
        await self._kept(index)

    async def put(self, index: int, entry: OrderRecord) -> None:
        """Keep an entry, and return once it is written."""
        self.entries[index] = entry
        await self._kept(index)

    def adopt(self, entries: Mapping[int, OrderRecord]) -> None:
        """Keep the entries of orders that other tasks placed, before this one orders."""
        self.entries |= entries
        numbers = sorted({index // CHUNK for index in entries})
        self._store.save_chunks(self.header, {number: write_chunk(self.entries, number) for number in numbers})

    def note(self, index: int, entry: OrderRecord) -> None:
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

    async def restore(self, index: int, before: OrderRecord | None) -> None:
        """Restore the entry from before an order that was refused, and so not billed."""
        # An earlier order whose job FAILED must stay on record, or a look-up could take it for the next order.
        if before is None:
            await self.drop(index)
        elif self.entries.get(index) != before:
            await self.put(index, before)

    def take_back(self, index: int, before: OrderRecord | None) -> None:
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
            save = functools.partial(self._store.save_chunks, self.header, chunks, before_order=before_order)
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
