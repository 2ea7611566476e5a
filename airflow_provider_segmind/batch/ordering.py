"""Order the swaps of a batch, several at a time, and each only once across all attempts of the task."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from airflow_provider_segmind.api import flow, history
from airflow_provider_segmind.api.batches import NEAR, Found, look_up, settles_at
from airflow_provider_segmind.api.errors import InvalidRequestError, OutcomeUnknownError, SegmindError, ServiceError
from airflow_provider_segmind.api.history import Listing
from airflow_provider_segmind.api.manifest import Swap
from airflow_provider_segmind.api.memory import Found as InMemory
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord, digests, has_own_input
from airflow_provider_segmind.api.submitter import Submitter
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, check_inputs
from airflow_provider_segmind.batch.recall import BatchMemory, Paid
from airflow_provider_segmind.batch.uploads import Uploads
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.place import LostClaimError
from airflow_provider_segmind.orders.recovery import MAY_PASS, SHARED, can_be, moment
from airflow_provider_segmind.orders.rules import tagged
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)

STRIKES = 5
"""Failed orders in a row, each with its own error, after which ordering stops: the cause is probably common to all."""
PATIENCE = 1200.0
"""Seconds that the end of an attempt waits for the request history to show which orders were not accepted."""
OUTAGE = history.PATIENCE
"""Seconds to wait for a request history that does not answer: one outage often affects orders and history."""
SLOWEST = 600.0
"""Seconds that reading the history may take; a large account's history has a thousand pages."""
OUTAGE_STEP = 30.0
"""Seconds between attempts to read the history during an outage."""

Accepted = Callable[[int, Job], None]


@dataclass(frozen=True)
class Terms:
    """
    Terms of a batch's orders.

    :param concurrency: number of orders in progress at the same time.
    :param resubmit: whether to send an order again if its outcome stays unknown, as the DAG author accepts.
    :param prepare: ``auto`` or ``never``, for pictures that are uploaded.
    """

    workflow: str
    concurrency: int
    resubmit: bool
    prepare: str = "auto"


class Ordering:
    """
    Orders swaps. Afterwards ``errors`` holds the error of each failed swap, and ``stopped`` what ended ordering for
    all.

    :param accepted: called with the index and job of each accepted order.
    :param memory: the memory of swaps, if it is used.
    """

    def __init__(
        self,
        connection: SharedConnection,
        ledger: OrderLedger,
        swaps: Sequence[Swap],
        terms: Terms,
        accepted: Accepted,
        memory: BatchMemory | None = None,
    ) -> None:
        self.errors: dict[int, SegmindError] = {}
        self.stopped: Exception | None = None
        self._patient = True
        self._shows_running = False
        self._connection = connection
        self._ledger = ledger
        self._swaps = swaps
        self._terms = terms
        self._accepted = accepted
        self._memory = memory
        self._submitter = Submitter(connection.client, connection.poller)
        self._uploads = Uploads(self._submitter, terms.prepare, memory)
        self._strikes = 0
        self._halted: SegmindError | None = None

    async def run(self, indexes: Iterable[int]) -> None:
        """Resolve earlier intents, then order these swaps and those whose earlier order was not accepted."""
        await self._note_latest()
        wanted = deque(sorted({*indexes, *await self._drop_unsent(), *await self._settle(patient=False)}))
        while True:
            await asyncio.gather(*(self._worker(wanted) for _ in range(self._terms.concurrency)))
            await self._ledger.flush()
            # Also after ordering stopped: look up orders that may be paid for while their history entries are recent.
            wanted.extend(sorted(await self._settle(patient=self._patient)))
            if self.stopped is None:
                self._resume_or_stop()
            if not wanted or self.stopped is not None:
                break
        await self._ledger.flush()
        for index in self._intents():
            entry = self._ledger.entries[index]
            if index not in self.errors:
                self.errors[index] = _unknown(entry)
            else:
                self.errors[index].message += can_be(entry.candidates)
            if self._memory is not None and self._patient:
                self.errors[index].message += " Then clear the task: that orders it anew, and may pay a second time."
                await self._memory.doubted(index, entry, self.errors[index])

    async def _note_latest(self) -> None:
        """Note in the memory what an attempt before accepted right before its end, and could not note."""
        if self._memory is None:
            return
        known = {index: entry for index, entry in self._ledger.entries.items() if entry.known and not entry.reused}
        since = max((entry.at for entry in known.values()), default=0.0) - NEAR
        latest = {index: entry for index, entry in known.items() if entry.at >= since and entry.claim}
        await asyncio.gather(*(self._memory.accepted(index, entry) for index, entry in latest.items()))

    async def _drop_unsent(self) -> set[int]:
        """Forget the intents whose claim was never made; return the indexes of their swaps."""
        dropped: set[int] = set()
        if self._memory is None:
            return dropped
        for index in self._intents():
            if await self._memory.unsent(index, self._ledger.entries[index]):
                await self._ledger.drop(index)
                dropped.add(index)
        return dropped

    def stop(self, why: Exception) -> None:
        """Place no more orders and do not wait for the history; let running orders finish."""
        self.stopped = self.stopped or why
        self._patient = False

    async def find_out(self, *, patient: bool) -> None:
        """Resolve the intents of earlier attempts, without ordering."""
        await self._settle(patient=patient)
        await self._ledger.flush()

    def _resume_or_stop(self) -> None:
        """After many lost answers in a row, continue only if every one is resolved."""
        if self._halted is not None and self._intents():
            self.stopped = self._halted
        self._halted, self._strikes = None, 0

    def _intents(self) -> list[int]:
        return [index for index, entry in self._ledger.entries.items() if entry.pending]

    async def _worker(self, wanted: deque[int]) -> None:
        while wanted and self.stopped is None and self._halted is None:
            index = wanted.popleft()
            try:
                await self._order(index)
            except LostClaimError:
                wanted.append(index)
            except Exception as error:  # noqa: BLE001 - the other workers must finish their orders
                self.stopped = self.stopped or error

    async def _order(self, index: int) -> None:
        client = await self._connection.client()
        swap, base_url = self._swaps[index], client.settings.base_url
        before = self._ledger.entries.get(index)
        replaced = before.perhaps if before is not None else ()
        intent = earlier = OrderRecord(0.0)
        going_out = False
        if before is not None and before.pending:
            log.warning(
                "%s is ordered again, as on_unknown_outcome='resubmit' says, though an order of it may be accepted and "
                "billed already.%s",
                *(self._place(index), can_be(before.candidates)),
            )

        async def intend() -> None:
            nonlocal intent, earlier, going_out
            going_out, earlier = False, intent
            own = has_own_input(swap.given, inputs)
            done = {name: list(picture.done) for name, picture in sent.items() if picture.done}
            again = bool(intent.claim)
            intent = OrderRecord(time.time(), digests(inputs), replaced=replaced, own=own, prepared=done)
            if self._memory is not None and found is not None:
                intent = replace(intent, claim=found.name, memory=self._memory.id)
            try:
                await self._ledger.intend(index, intent)
            except Exception:
                self._ledger.take_back(index, before)  # nothing was sent
                raise
            if self._memory is not None and found is not None:
                await self._memory.claim(index, found, intent, again=again)
            going_out = True

        def refused() -> None:
            nonlocal going_out
            going_out = False

        found: InMemory | None = None
        try:
            if self._memory is not None:
                known = await self._memory.find(index)
                if isinstance(known, Paid):
                    self._take(index, known.record(before), known.job)
                    return
                found = known
            sent = {name: await self._uploads.readable(name, getattr(swap, name)) for name in BODY_SWAP_IMAGES}
            pictures = {name: picture.url for name, picture in sent.items()}
            inputs = tagged(check_inputs(self._terms.workflow, {**swap.given, **pictures}, base_url=base_url))
            job = await self._submitter.submit(self._terms.workflow, inputs, intend=intend, refused=refused)
        except OutcomeUnknownError as error:
            self._strike(index, error)
            if error.request_id:  # the answer names the order; only its poll URL is a guess
                self._ledger.note(index, replace(intent, candidates=(error.request_id,)))
                await self._adopt(index, error.request_id, certain=True)
        except LostClaimError:
            await self._ledger.restore(index, before)
            raise
        except InvalidRequestError as error:
            await self._ledger.restore(index, before)
            await self._release(index, intent)
            self._strike(index, error)
        except SegmindError as error:
            self._connection.counters.ended(error, self._terms.workflow)
            await self._ledger.restore(index, before)
            await self._release(index, intent)
            self.stopped = self.stopped or error
        except BaseException:
            # Also a cancellation, which can come in the pause after a 429, when nothing is out. The ledger keeps the
            # intent, and the next attempt sees that its claim is released.
            if not going_out:
                for one in (earlier, intent):
                    await self._release(index, one)
            raise
        else:
            self._strikes = 0
            await self._keep(index, replace(intent, request_id=job.request_id, poll_url=job.poll_url))

    async def _release(self, index: int, intent: OrderRecord) -> None:
        """Release the claim of an order that was not accepted."""
        if self._memory is not None:
            await self._memory.refused(index, intent)

    def _take(self, index: int, entry: OrderRecord, job: Job) -> None:
        """Take over the order of another task."""
        self.errors.pop(index, None)
        self._ledger.note(index, entry)
        log.info("%s: request %s is reused.", self._place(index), entry.request_id)
        self._accepted(index, job)

    async def _keep(self, index: int, entry: OrderRecord) -> None:
        """Record a handle and start waiting for its job."""
        # This does not wait until the record is written. The next intent cannot be written before it, so at most as
        # many orders lack a record as are in progress at the same time.
        self.errors.pop(index, None)
        self._ledger.note(index, entry)
        # Log each order at once, so that the log names all paid orders even if this process dies.
        log.info("%s: Segmind accepted request %s: %s", self._place(index), entry.request_id, entry.poll_url)
        if self._memory is not None:  # before its job is waited for, whose end is noted there
            await self._memory.accepted(index, entry)
        self._accepted(index, entry.job(self._terms.workflow))

    def _strike(self, index: int, error: SegmindError) -> None:
        self._connection.counters.ended(error, self._terms.workflow)
        self.errors[index] = error
        log.warning("%s: %s: %s", self._place(index), type(error).__name__, error)
        self._strikes += 1
        if self._strikes >= STRIKES and isinstance(error, OutcomeUnknownError):
            self._halted = error
        elif self._strikes >= STRIKES:
            self.stopped = self.stopped or error

    async def _settle(self, *, patient: bool) -> set[int]:
        """
        Resolve intents without a handle; return the indexes of swaps to order again.

        :param patient: whether to wait until the history can tell, because there is nothing else to do.
        """
        if not self._intents():
            return set()
        within = await self._within()
        due = settles_at((self._ledger.entries[index] for index in self._intents()), within)
        began = time.time()
        give_up = began + PATIENCE
        while self._intents():
            pause = due - time.time()
            if pause > 0 and not patient:
                return set()
            if pause > 0 and not self._shows_running:
                await self._look_early()
            if pause > 0 and self._intents():
                count = len(self._intents())
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
        await asyncio.gather(*(self._adopt(index, request_id) for index, request_id in found.adopted.items()))
        for index in found.refuted:
            self.errors.pop(index, None)
            await self._release(index, entries[index])
            await self._ledger.drop(index)
        log.info(
            "The request history has %d of them, %d were not accepted, %d stay unknown.",
            *map(len, (found.adopted, found.refuted, found.unknown)),
        )
        return found

    async def _listing(self, give_up: float) -> Listing:
        """Read all pages of the history that can list an order of unknown outcome."""
        times = [self._ledger.entries[index].at for index in self._intents()]
        search = history.Search(min(times) - NEAR - history.EARLY, max(times) + NEAR)
        listing: Listing | None = None
        while listing is None:
            if time.time() > give_up:
                raise ServiceError(f"The request history is too slow: {SLOWEST:.0f} s were not enough to read it.")
            listing = await self._submitter.free(lambda client: search.page(client.settings, client.auth))
        return listing

    def _given_up(self) -> set[int]:
        """Return the swaps to order again although their outcome is unknown, if ``resubmit`` allows it."""
        if not self._terms.resubmit:
            return set()
        return {index for index in self._intents() if index not in self.errors}

    async def _adopt(self, index: int, request_id: str, *, certain: bool = False) -> None:
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

    def _place(self, index: int) -> str:
        """Return the position of a swap in words; a changed list may no longer contain it."""
        return self._swaps[index].place if index < len(self._swaps) else f"swap {index + 1} of an earlier attempt"


async def find_out(connection: SharedConnection, store: OrderStore, workflow: str, *, patient: bool) -> None:
    """Resolve the intents of an earlier attempt, without ordering."""
    header, entries = store.load_batch()
    if header is None:
        return
    ledger = OrderLedger(store, header, entries)
    try:
        await Ordering(connection, ledger, (), Terms(workflow, 1, resubmit=False), lambda *_: None).find_out(
            patient=patient
        )
    finally:
        ledger.close()
        await connection.close()


def _unknown(entry: OrderRecord) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"It was being ordered at {moment(entry.at)}, so it may have been accepted and billed, and the request "
        f"history cannot tell. It is not sent again.{can_be(entry.candidates)} Look there yourself."
    )
