"""A batch and the memory of swaps: take what is paid for already, and claim what is ordered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

from airflow_provider_segmind.api import memory, remembered
from airflow_provider_segmind.api.errors import OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.manifest import Swap
from airflow_provider_segmind.api.memory import Found
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import CLAIMED, ORDERED, SwapRecord
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.copies import PICTURES
from airflow_provider_segmind.memory.store import THREADS
from airflow_provider_segmind.memory.swaps import FORGOTTEN, Remembering, digests_of
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.place import LostClaimError
from airflow_provider_segmind.orders.recovery import recall

log = logging.getLogger(__name__)

READERS = 4
"""Pictures that are read in parallel; each thread keeps the memory of one."""
LISTED = 4
"""Swaps in one folder of the memory from which on it is listed."""


@dataclass(frozen=True)
class Paid:
    """
    An order that is in the memory already.

    :param name: of its object.
    :param sent: digests of its inputs, if this task ordered it before it was cleared: then the account's history shows
        it beside the orders of unknown outcome. Another task's account may be another.
    """

    job: Job
    name: str
    sent: Mapping[str, str]

    def record(self, before: OrderRecord | None) -> OrderRecord:
        """Return the record of an order that another attempt, task or run pays for."""
        return OrderRecord(
            self.job.submitted_at or 0.0,
            sent=self.sent,
            request_id=self.job.request_id,
            poll_url=self.job.poll_url,
            replaced=before.perhaps if before is not None else (),
            unnamed=before.nameless if before is not None else 0,
            prepared=self.job.prepared,
            claim=self.name,
            reused=True,
        )


@dataclass(frozen=True)
class _Content:
    """
    What a swap was found to be.

    :param pictures: the SHA-256 of which its key was made, by the URI of the picture.
    """

    key: str
    pictures: Mapping[str, str]


class BatchMemory:
    """
    The memory, as a batch uses it.

    :param workflow: id and version.
    :param prepare: ``auto`` or ``never``, for pictures that are uploaded.
    """

    def __init__(
        self, hook: SegmindHook, memory_of_task: Remembering, swaps: Sequence[Swap], workflow: str, prepare: str
    ) -> None:
        self._hook = hook
        self._memory = memory_of_task
        self._store = memory_of_task.store
        self._swaps = swaps
        self._workflow = workflow
        self._prepare = prepare
        self.id = ""
        """The memory's id, once a swap is to be ordered."""
        self._digests: dict[str, tuple[str, ...] | SegmindError] = {}
        self._contents: dict[int, _Content] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._ordered: dict[str, set[int]] = {}
        """Indexes of the rows that this task has ordered, by the key of their swap."""

    def read_pictures(self, indexes: Collection[int]) -> None:
        """Read each picture of some swaps once; one that cannot be read is met again when its swap is ordered."""
        names: dict[str, str] = {}
        for index in indexes:
            for name in BODY_SWAP_IMAGES:
                names.setdefault(getattr(self._swaps[index], name), name)
        wanted = [uri for uri in names if uri not in self._digests]
        _ = self._hook.settings  # look up the connection once, before the threads start

        def read(uri: str) -> None:
            try:
                self._digests[uri] = self._read(names[uri], uri)
            except SegmindError as error:
                log.warning("%s", error)
                self._digests[uri] = error

        with ThreadPoolExecutor(READERS, thread_name_prefix="segmind-digests") as pool:
            list(pool.map(read, wanted))

    def states(self, indexes: Sequence[int]) -> list[str | None]:
        """
        Return the states of the orders that stand; ``None`` for a swap to order. Asks nobody but the memory.

        One whose end nobody saw, and which Segmind may have forgotten, is of unknown outcome like a claim.
        """
        self.read_pictures(indexes)
        now = time.time()

        def state(index: int) -> str | None:
            found = self._store.run(self._of(index).settle(self._key(index), wait=False))
            if found.record is None:
                return None
            is_old = found.record.state == ORDERED and now - found.record.order.at > FORGOTTEN
            return CLAIMED if is_old else found.record.state

        with ThreadPoolExecutor(THREADS, thread_name_prefix="segmind-recall") as pool:
            return list(pool.map(state, indexes))

    def take_over(self, ledger: OrderLedger, again: Collection[int]) -> dict[int, Job]:
        """
        Take over the orders of other tasks and runs that the memory has, and return those that are done.

        :param again: indexes of swaps whose job FAILED.
        """
        entries = ledger.entries
        for index, entry in entries.items():
            if entry.claim and not entry.reused:
                self._note_ordered(index, entry.claim)
        wanted = [swap.index for swap in self._swaps if swap.index not in entries or swap.index in again]
        found = self.look_up(wanted)
        if not found:
            return {}
        intents = {index: known for index, known in found.items() if isinstance(known, OrderRecord)}
        paid = {index: known for index, known in found.items() if not isinstance(known, OrderRecord)}
        log.info("%d of %d swaps are paid for already, and are taken from the memory.", len(paid), len(self._swaps))
        if intents:
            log.info("%d were being sent before this task was cleared, and are looked up.", len(intents))
        ledger.adopt(intents | {index: known.record(entries.get(index)) for index, known in paid.items()})
        return {index: known.job for index, known in paid.items() if known.job.done}

    def look_up(self, indexes: Collection[int]) -> dict[int, Paid | OrderRecord]:
        """Return what is paid for already, and the intents of what this task was sending before it was cleared."""
        self.read_pictures(indexes)
        groups: dict[str, list[int]] = {}
        for index in indexes:
            try:
                groups.setdefault(self._key(index)[:2], []).append(index)
            except SegmindError as error:  # raised again where the swap is ordered
                log.warning("%s", error)

        def look(index: int, sizes: Mapping[str, int]) -> Paid | OrderRecord | None:
            try:
                while True:
                    found = self._store.run(self._of(index).settle(self._key(index), wait=False), sizes=sizes)
                    if found.record is None:
                        return None
                    if found.record.state == CLAIMED:
                        mine = self._of(index)
                        resumes = mine.owns(found.record) and not mine.is_decided(found.record)
                        return found.record.order if resumes else None
                    paid = self._recall(index, found.record)
                    if paid is not None:
                        return paid
            except OutcomeUnknownError:
                return None  # said where the swap is ordered

        def look_all(prefix: str) -> list[tuple[int, Paid | OrderRecord | None]]:
            # One list of a folder costs less than a look at each of its pictures.
            listed = len(groups[prefix]) >= LISTED
            sizes = self._store.sizes(f"{PICTURES}/{prefix}") if listed else {}
            return [(index, look(index, sizes)) for index in groups[prefix]]

        with ThreadPoolExecutor(THREADS, thread_name_prefix="segmind-recall") as pool:
            found = dict(pair for pairs in pool.map(look_all, groups) for pair in pairs)
        return {index: known for index, known in found.items() if known is not None}

    def _recall(self, index: int, record: SwapRecord) -> Paid | None:
        memory_of_swap = self._of(index)
        job = recall(self._hook, memory_of_swap, record)
        sent = record.order.sent if memory_of_swap.owns(record) else {}
        return None if job is None else Paid(job, record.name, sent)

    def check_unchanged(self, index: int, uploaded: Mapping[str, tuple[str, ...]]) -> None:
        """
        Check that a swap is sent with the pictures by which it was looked up, right before it is sent.

        :param uploaded: what :func:`digests_in` says of the files that are uploaded, by URI.
        :raises LostClaimError: a file has changed, so its swap is another one now. Look it up again.
        """
        # Another row may have uploaded the file, so only the key of this one says by which picture it was looked up.
        looked_up = self._contents[index].pictures
        changed = {uri: uploaded[uri] for uri in looked_up if uri in uploaded and uploaded[uri][0] != looked_up[uri]}
        if changed:
            self._digests |= changed
            raise LostClaimError("A file has changed since its swap was looked up in the memory.")

    @asynccontextmanager
    async def turn(self, index: int) -> AsyncIterator[None]:
        """Wait until no other row that is the same swap is being ordered; then this one takes its job."""
        self._contents.pop(index, None)
        with suppress(SegmindError):  # raised again where the swap is looked up
            self._contents[index] = await asyncio.to_thread(self._content, index)
        content = self._contents.get(index)
        async with nullcontext() if content is None else self._turns.setdefault(content.key, asyncio.Lock()):
            yield

    async def find(self, index: int) -> Found | Paid:
        """
        Return the number under which a swap is to be ordered, or its job; wait while another task sends it.

        Call it in the row's turn.
        """
        if index not in self._contents:
            self._contents[index] = await asyncio.to_thread(self._content, index)
        key = self._contents[index].key
        self.id = await asyncio.to_thread(lambda: self._store.id)
        if self._memory.how.refresh:
            # It passes by the orders of all others, but what this task has ordered for another row is new.
            for other in sorted(self._ordered.get(key, set()) - {index}):
                known = await self._find(other, key)
                if isinstance(known, Paid):
                    return replace(known, sent={})  # the history shows one order, not two
        return await self._find(index, key)

    async def _find(self, index: int, key: str) -> Found | Paid:
        while True:
            found = await self._store.arun(self._of(index).settle(key))
            if found.record is None:
                return found
            paid = await asyncio.to_thread(self._recall, index, found.record)
            if paid is not None:
                return paid

    def _note_ordered(self, index: int, claim: str) -> None:
        self._ordered.setdefault(claim.rpartition("/")[2].split(".")[0], set()).add(index)

    async def claim(self, index: int, found: Found, order: OrderRecord, *, again: bool) -> None:
        """
        Claim an order before its POST, or renew its claim.

        :raises LostClaimError: another task was faster.
        """
        self._note_ordered(index, found.name)
        steps = self._of(index).claim(found, replace(order, workflow=self._workflow), again=again)
        claiming = asyncio.get_running_loop().run_in_executor(None, self._store.run, steps)
        try:
            is_own = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait([claiming])  # or it would be made after it is released
            raise
        if not is_own:
            raise LostClaimError("Another task orders this swap.")

    def pass_by(self, order: OrderRecord) -> None:
        """Let an order of unknown outcome be ordered again: the history was asked for it."""
        self._memory.passed.add(order.claim)

    async def unsent(self, index: int, order: OrderRecord) -> bool:
        """Whether an order was certainly never sent."""
        return bool(order.claim) and await asyncio.to_thread(
            lambda: self._store.run(self._of(index).unsent(order)),
        )

    async def accepted(self, index: int, order: OrderRecord) -> None:
        """Note an accepted order; it is placed, so an outage of the memory must not stop the others."""
        noted = replace(order, workflow=self._workflow, max_tries=self._memory.how.max_tries)
        await self._noted(self._of(index).accepted(noted), order)

    async def doubted(self, index: int, order: OrderRecord, why: SegmindError) -> None:
        """Note that nobody knows the outcome of an order: a person who clears the task decides."""
        log.error("%s", why)  # first: this process can die before the task fails with these words
        await self._noted(self._of(index).doubted(order, why), order)

    async def refused(self, index: int, order: OrderRecord) -> None:
        """Release the claim of an order that was not accepted."""
        await self._noted(self._of(index).refused(order), order)

    async def _noted(self, steps: memory.Steps[None], order: OrderRecord) -> None:
        if order.claim:
            try:
                await self._store.arun(steps)
            except SegmindError as error:
                log.warning("The memory does not know yet what became of %s: %s", order.request_id or "an order", error)

    def _of(self, index: int) -> Remembering:
        return self._memory.of(index)

    def _read(self, name: str, uri: str) -> tuple[str, ...]:
        return digests_of(self._hook, name, uri, self._prepare, by_etag=self._memory.by_etag)

    def _key(self, index: int) -> str:
        return self._content(index).key

    def _content(self, index: int) -> _Content:
        swap = self._swaps[index]
        digests: dict[str, str] = {}
        pictures: dict[str, str] = {}
        known: tuple[str, ...] = ()
        for name in BODY_SWAP_IMAGES:
            uri = getattr(swap, name)
            if uri not in self._digests:
                self._digests[uri] = self._read(name, uri)
            read = self._digests[uri]
            if isinstance(read, SegmindError):  # in this attempt each picture is asked for once
                raise read
            digests[name] = pictures[uri] = read[0]
            known += read
        key = remembered.swap_key(self._hook.settings.base_url, self._workflow, swap.given, digests, swap.take)
        self._memory.pictures[key] = tuple(dict.fromkeys(known))
        return _Content(key, pictures)
