"""Find out what became of a batch's orders of unknown outcome: by the request history, and by the memory of swaps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from airflow_provider_segmind.api import flow, history
from airflow_provider_segmind.api.batches import NEAR, Found, look_up, settles_at
from airflow_provider_segmind.api.errors import SegmindError, ServiceError
from airflow_provider_segmind.api.history import Listing
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.submitter import Submitter
from airflow_provider_segmind.batch.recall import BatchMemory
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.recovery import MAY_PASS, SHARED
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)

PATIENCE = 1200.0
"""Seconds that the end of an attempt waits for the request history to show which orders were not accepted."""
OUTAGE = history.PATIENCE
"""Seconds to wait for a request history that does not answer: one outage often affects orders and history."""
SLOWEST = 600.0
"""Seconds that reading the history may take; a large account's history has a thousand pages."""
OUTAGE_STEP = 30.0
"""Seconds between attempts to read the history during an outage."""


class Settling:
    """
    Resolves the intents of a batch.

    :param errors: the error of each swap that was not ordered; a swap that turns out to be ordered, or not, has none.
    :param resubmit: whether to send an order again if its outcome stays unknown, as the DAG author accepts.
    :param place: returns the position of a swap in words.
    :param keep: records an accepted order, and starts waiting for its job.
    """

    def __init__(
        self,
        connection: SharedConnection,
        submitter: Submitter,
        ledger: OrderLedger,
        memory: BatchMemory | None,
        errors: dict[int, SegmindError],
        *,
        resubmit: bool,
        place: Callable[[int], str],
        keep: Callable[[int, OrderRecord], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._submitter = submitter
        self._ledger = ledger
        self._memory = memory
        self._errors = errors
        self._resubmit = resubmit
        self._place = place
        self._keep = keep
        self._shows_running = False

    async def note_latest(self) -> None:
        """Note in the memory what an attempt before accepted right before its end, and could not note."""
        if self._memory is None:
            return
        known = {index: entry for index, entry in self._ledger.entries.items() if entry.known and not entry.reused}
        since = max((entry.at for entry in known.values()), default=0.0) - NEAR
        latest = {index: entry for index, entry in known.items() if entry.at >= since and entry.claim}
        await asyncio.gather(*(self._memory.accepted(index, entry) for index, entry in latest.items()))

    async def release(self, index: int, intent: OrderRecord) -> None:
        """Release the claim of an order that was not accepted."""
        if self._memory is not None:
            await self._memory.refused(index, intent)

    async def drop_unsent(self) -> set[int]:
        """Forget the intents whose claim was never made; return the indexes of their swaps."""
        dropped: set[int] = set()
        if self._memory is None:
            return dropped
        for index in self._ledger.pending():
            if await self._memory.unsent(index, self._ledger.entries[index]):
                await self._ledger.drop(index)
                dropped.add(index)
        return dropped

    async def settle(self, *, patient: bool) -> set[int]:
        """
        Resolve intents without a handle; return the indexes of swaps to order again.

        :param patient: whether to wait until the history can tell, because there is nothing else to do.
        """
        if not self._ledger.pending():
            return set()
        within = await self._within()
        due = settles_at((self._ledger.entries[index] for index in self._ledger.pending()), within)
        began = time.time()
        give_up = began + PATIENCE
        while self._ledger.pending():
            pause = due - time.time()
            if pause > 0 and not patient:
                return set()
            if pause > 0 and not self._shows_running:
                await self._look_early()
            if pause > 0 and self._ledger.pending():
                count = len(self._ledger.pending())
                log.info("%d orders have no answer; looking them up in the request history in %.0f s.", count, pause)
                await asyncio.sleep(pause)
            try:
                found = await self._look_up()
            except SegmindError as error:
                log.warning("The request history could not help: %s", error)
                if not patient or not error.retryable or time.time() >= began + OUTAGE:
                    break
                due = time.time() + OUTAGE_STEP
                continue
            decided = found.decides_at > give_up
            if found.refuted or not patient or decided:
                return set(found.refuted) | (self._given_up() if decided else set())
            due = found.decides_at
        return self._given_up()

    async def _within(self) -> float:
        """Return the seconds after its intent within which Segmind can have accepted an order."""
        settings = (await self._connection.client()).settings
        return settings.connect_timeout + settings.read_timeout

    async def _look_early(self) -> None:
        """Read the history while orders of this batch run: only then can we see whether it lists running jobs."""
        try:
            await self._look_up()
        except SegmindError as error:
            log.info("The request history does not answer yet, and is asked again: %s", error)

    async def _look_up(self) -> Found:
        """Look up the intents in the request history: adopt the orders it has, drop those that were not accepted."""
        entries = self._ledger.entries
        asked_at, within = time.time(), await self._within()
        listing = await self._listing(asked_at + SLOWEST)

        def read(listing: Listing) -> Found:
            earlier, running = self._ledger.earlier, self._shows_running
            return look_up(entries, listing, asked_at, earlier, within=within, shows_running=running)

        found = read(listing)
        if (found.adopted or found.refuted) and listing.size > history.PER_PAGE:
            # If each change moves a request to the first page, who reads several pages can miss it once, but not twice.
            found = read(listing.and_also(await self._listing(asked_at + 2 * SLOWEST)))
        self._shows_running = found.shows_running
        for index, ids in found.candidates.items():
            log.warning("%s can be one of these requests: %s", self._place(index), ", ".join(ids))
            self._ledger.note(index, replace(entries[index], candidates=ids))
        await asyncio.gather(*(self.adopt(index, request_id) for index, request_id in found.adopted.items()))
        for index in found.refuted:
            self._errors.pop(index, None)
            await self.release(index, entries[index])
            await self._ledger.drop(index)
        log.info(
            "The request history has %d of them, %d were not accepted, %d stay unknown.",
            *map(len, (found.adopted, found.refuted, found.unknown)),
        )
        return found

    async def _listing(self, give_up: float) -> Listing:
        """Read all pages of the history that can list an order of unknown outcome."""
        times = [self._ledger.entries[index].at for index in self._ledger.pending()]
        search = history.Search(min(times) - NEAR - history.EARLY, max(times) + NEAR)
        listing: Listing | None = None
        while listing is None:
            if time.time() > give_up:
                raise ServiceError(f"The request history is too slow: {SLOWEST:.0f} s were not enough to read it.")
            listing = await self._submitter.free(lambda client: search.page(client.settings, client.auth))
        return listing

    def _given_up(self) -> set[int]:
        """Return the swaps to order again although their outcome is unknown, if ``resubmit`` allows it."""
        if not self._resubmit:
            return set()
        return {index for index in self._ledger.pending() if index not in self._errors}

    async def adopt(self, index: int, request_id: str, *, certain: bool = False) -> None:
        """Adopt an order by its request id, if the poll URL built from that id works."""
        entry = self._ledger.entries[index]
        poll_url = history.poll_url_of((await self._connection.client()).settings, request_id)
        try:
            await self._submitter.free(
                lambda client: flow.attach(client.settings, client.auth, poll_url, clock=client.clock)
            )
        except MAY_PASS as error:
            log.warning("Request %s does not answer yet, and is waited for: %s", request_id, error)
        except SegmindError as error:
            log.warning("Request %s of the history cannot be asked for: %s", request_id, error)
            self._ledger.note(index, replace(entry, candidates=(request_id,)))
            return
        log.warning("The answer of %s was lost; it is request %s.", self._place(index), request_id)
        if not entry.own and not certain:
            log.warning(SHARED, request_id)
        await self._keep(index, replace(entry, request_id=request_id, poll_url=poll_url, candidates=(request_id,)))
