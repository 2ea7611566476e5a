"""Order the swaps of a batch, several at a time, and each only once across all attempts of the task."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.clocks import moment
from airflow_provider_segmind.api.errors import InvalidRequestError, OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.manifest import Swap
from airflow_provider_segmind.api.memory import Found as InMemory
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import OrderRecord, digests, has_own_input
from airflow_provider_segmind.api.submitter import Submitter
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, check_inputs
from airflow_provider_segmind.batch.recall import BatchMemory, Paid
from airflow_provider_segmind.batch.settling import Settling
from airflow_provider_segmind.files.pictures import Readable, is_url, read_picture
from airflow_provider_segmind.memory.swaps import digests_in
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.place import LostClaimError
from airflow_provider_segmind.orders.recovery import can_be
from airflow_provider_segmind.orders.rules import tagged
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.waiting.shared import SharedConnection

log = logging.getLogger(__name__)

STRIKES = 5
"""Failed orders in a row, each with its own error, after which ordering stops: the cause is probably common to all."""

Accepted = Callable[[int, Job], None]


@dataclass(frozen=True)
class Terms:
    """
    Terms of a batch's orders.

    :param concurrency: number of orders in progress at the same time.
    :param resubmit: whether to send an order again if its outcome stays unknown, as the DAG author accepts.
    :param unpaid: why that is not done in this attempt, as a sentence, if the money is short.
    :param prepare: ``auto`` or ``never``, for pictures that are uploaded.
    """

    workflow: str
    concurrency: int
    resubmit: bool
    prepare: str = "auto"
    unpaid: str = ""


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
        self._connection = connection
        self._ledger = ledger
        self._swaps = swaps
        self._terms = terms
        self._accepted = accepted
        self._memory = memory
        self._submitter = Submitter(connection.client, connection.poller)
        self._uploads = _Uploads(self._submitter, terms.prepare)
        self._settling = Settling(
            connection,
            self._submitter,
            ledger,
            memory,
            self.errors,
            resubmit=terms.resubmit,
            place=self._place,
            keep=self._keep,
        )
        self._strikes = 0
        self._halted: SegmindError | None = None

    async def run(self, indexes: Iterable[int]) -> None:
        """Resolve earlier intents, then order these swaps and those whose earlier order was not accepted."""
        await self._settling.note_latest()
        again = await self._settling.drop_unsent() | await self._settling.settle(patient=False)
        wanted = deque(sorted({*indexes, *again}))
        while True:
            await asyncio.gather(*(self._worker(wanted) for _ in range(self._terms.concurrency)))
            await self._ledger.flush()
            # Also after ordering stopped: look up orders that may be paid for while their history entries are recent.
            wanted.extend(sorted(await self._settling.settle(patient=self._patient)))
            if self.stopped is None:
                self._resume_or_stop()
            if not wanted or self.stopped is not None:
                break
        await self._ledger.flush()
        for index in self._ledger.pending():
            entry = self._ledger.entries[index]
            if index not in self.errors:
                self.errors[index] = _unknown(entry)
            else:
                self.errors[index].message += can_be(entry.candidates)
            if self._terms.unpaid:
                self.errors[index].message += f" {self._terms.unpaid}"
            elif self._memory is not None and self._patient:
                self.errors[index].message += " Then clear the task: that orders it anew, and may pay a second time."
                await self._memory.doubted(index, entry, self.errors[index])

    def stop(self, why: Exception) -> None:
        """Place no more orders and do not wait for the history; let running orders finish."""
        self.stopped = self.stopped or why
        self._patient = False

    async def find_out(self, *, patient: bool) -> None:
        """Resolve the intents of earlier attempts, without ordering."""
        await self._settling.settle(patient=patient)
        await self._ledger.flush()

    def _resume_or_stop(self) -> None:
        """After many lost answers in a row, continue only if every one is resolved."""
        if self._halted is not None and self._ledger.pending():
            self.stopped = self._halted
        self._halted, self._strikes = None, 0

    async def _worker(self, wanted: deque[int]) -> None:
        while wanted and self._goes_on():
            index = wanted.popleft()
            try:
                async with nullcontext() if self._memory is None else self._memory.turn(index):
                    if self._goes_on():
                        await self._order(index)
                    else:
                        wanted.appendleft(index)
            except LostClaimError:
                wanted.append(index)
            except Exception as error:  # noqa: BLE001 - the other workers must finish their orders
                self.stopped = self.stopped or error

    def _goes_on(self) -> bool:
        return self.stopped is None and self._halted is None

    async def _order(self, index: int) -> None:
        client = await self._connection.client()
        swap, base_url = self._swaps[index], client.settings.base_url
        before = self._ledger.entries.get(index)
        replaced, unnamed = (before.perhaps, before.nameless) if before is not None else ((), 0)
        intent = earlier = OrderRecord(0.0)
        going_out = False
        if before is not None and before.pending:
            log.warning(
                "%s is ordered again, as on_unknown_outcome='resubmit' says, though an order of it may be accepted and "
                "billed already.%s",
                *(self._place(index), can_be(before.candidates)),
            )
            if self._memory is not None:
                self._memory.pass_by(before)

        async def intend() -> None:
            nonlocal intent, earlier, going_out
            going_out, earlier = False, intent
            own = has_own_input(swap.given, inputs)
            done = {name: list(picture.done) for name, picture in sent.items() if picture.done}
            again = bool(intent.claim)
            intent = OrderRecord(
                time.time(), digests(inputs), replaced=replaced, unnamed=unnamed, own=own, prepared=done
            )
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
            if self._memory is not None:
                self._memory.check_unchanged(index, self._uploads.digests)
            pictures = {name: picture.url for name, picture in sent.items()}
            inputs = tagged(check_inputs(self._terms.workflow, {**swap.given, **pictures}, base_url=base_url))
            job = await self._submitter.submit(self._terms.workflow, inputs, intend=intend, refused=refused)
        except OutcomeUnknownError as error:
            self._strike(index, error)
            if error.request_id:  # the answer names the order; only its poll URL is a guess
                self._ledger.note(index, replace(intent, candidates=(error.request_id,)))
                await self._settling.adopt(index, error.request_id, certain=True)
        except LostClaimError:
            await self._ledger.restore(index, before)
            raise
        except InvalidRequestError as error:
            await self._ledger.restore(index, before)
            await self._settling.release(index, intent)
            self._strike(index, error)
        except SegmindError as error:
            self._connection.counters.ended(error, self._terms.workflow)
            await self._ledger.restore(index, before)
            await self._settling.release(index, intent)
            self.stopped = self.stopped or error
        except BaseException:
            # Also a cancellation, which can come in the pause after a 429, when nothing is out. The ledger keeps the
            # intent, and the next attempt sees that its claim is released.
            if not going_out:
                for one in (earlier, intent):
                    await self._settling.release(index, one)
            raise
        else:
            self._strikes = 0
            await self._keep(index, replace(intent, request_id=job.request_id, poll_url=job.poll_url))

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

    def _place(self, index: int) -> str:
        """Return the position of a swap in words; a changed list may no longer contain it."""
        return self._swaps[index].place if index < len(self._swaps) else f"swap {index + 1} of an earlier attempt"


class _Uploads:
    """
    The pictures of a batch as Segmind can read them: each file is uploaded once, and all swaps are sent with that.

    Afterwards ``digests`` holds the SHA-256 of what is uploaded, by the file's URI.
    """

    def __init__(self, submitter: Submitter, prepare: str) -> None:
        self.digests: dict[str, tuple[str, ...]] = {}
        self._submitter = submitter
        self._prepare = prepare
        self._begun: dict[str, asyncio.Task[Readable]] = {}

    async def readable(self, name: str, uri: str) -> Readable:
        """Return a picture at a URL; upload it only once, even if several swaps use it."""
        if is_url(uri):
            return Readable(uri)
        if uri not in self._begun:
            self._begun[uri] = asyncio.get_running_loop().create_task(self._upload(name, uri))
        return await self._begun[uri]

    async def _upload(self, name: str, uri: str) -> Readable:
        picture = await asyncio.to_thread(read_picture, name, uri, self._prepare)
        self.digests[uri] = await asyncio.to_thread(digests_in, picture)
        url = await self._submitter.free(
            lambda client: flow.upload(client.settings, client.auth, picture.data, picture.media_type)
        )
        return Readable(url, picture.done)


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
        f"history cannot tell. It is not sent again.{can_be(entry.candidates)} Look there yourself: if it is there, "
        "give its poll URL to a BodySwapSensor, which costs nothing; if not, though later requests are, order it in "
        "another run."
    )
