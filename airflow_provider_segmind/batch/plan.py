"""Plan the orders of a batch, and refuse a bad batch as a whole before anything is charged."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.batches import BatchHeader, begin, fingerprint_of
from airflow_provider_segmind.api.errors import CreditsError, InvalidRequestError, SegmindError, TransportError
from airflow_provider_segmind.api.manifest import Problems, Swap, read_items, read_manifest
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.orders import Step
from airflow_provider_segmind.api.parameters import UNKNOWN, check_one_of
from airflow_provider_segmind.api.results import prepared_of
from airflow_provider_segmind.api.workflows import (
    BODY_SWAP_IMAGES,
    check_workflow,
    is_body_swap,
)
from airflow_provider_segmind.batch.files import Row, dag_of
from airflow_provider_segmind.batch.ordering import Terms
from airflow_provider_segmind.batch.published import manifest_bytes
from airflow_provider_segmind.batch.recall import BatchMemory
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.failures import ChangedError
from airflow_provider_segmind.files.fetching import look_at_url
from airflow_provider_segmind.files.pictures import is_url, look_at_picture
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import Remembering
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.rules import (
    check_consent,
    check_retry,
    consent_of,
    consent_required,
    price_per_swap,
)
from airflow_provider_segmind.orders.store import OrderStore, check_running

log = logging.getLogger(__name__)

LOOKERS = 4
"""Pictures that are checked in parallel before the first charge; each thread keeps the memory of a picture."""


@dataclass
class Plan:
    """
    Work that one attempt of a batch has to do.

    :param ledger: orders on record.
    :param check_spend: raises if the run may not spend that much; its arguments are the numbers of past and new orders.
    :param dag_id: the DAG that orders; its tasks may write next to the results.
    :param again: indexes of swaps to order again because their jobs FAILED.
    :param memory: the memory of swaps, if there is one and the author lets it be used.
    """

    hook: SegmindHook
    swaps: Sequence[Swap]
    ledger: OrderLedger
    terms: Terms
    check_spend: Callable[[int, int], None]
    dag_id: str | None = None
    again: frozenset[int] = field(default_factory=frozenset)
    memory: BatchMemory | None = None

    def open_orders(self, failed: Iterable[int]) -> list[int]:
        """
        Return the indexes of swaps to order, without those whose outcome is unknown.

        With ``resubmit`` it also reserves for the latter, which may be ordered again; if the money is short for that,
        this attempt does not order them again.

        :raises CreditsError: the balance or a spend limit does not cover all of the others; nothing was ordered.
        """
        self.again = frozenset(failed)
        ordered = {index for index, entry in self.ledger.entries.items() if entry.known or entry.pending}
        wanted = [swap.index for swap in self.swaps if swap.index not in ordered or swap.index in self.again]
        if self.terms.resubmit and (unknown := len(self.ledger.pending())):
            try:
                self._check_money(len(wanted) + unknown)
                return wanted
            except CreditsError as error:
                why = f"on_unknown_outcome='resubmit' sends it again only if the money is there. {error.message}"
                self.terms = replace(self.terms, resubmit=False, unpaid=why)
        self._check_money(len(wanted))
        return wanted

    def _check_money(self, more: int) -> None:
        self.check_spend(self.placed, more)
        price = price_per_swap()
        if more and price:
            balance, needed = self.hook.get_credits(), price * more
            if balance < needed:
                raise CreditsError(
                    f"{more} swaps at ${price} cost ${needed:.2f}, and the account has ${balance:.2f}. None was "
                    "ordered now. Add credits to the Segmind account, then "
                    + ("let the task retry: a retry orders the rest." if self.paid else "clear the task.")
                )

    def affordable(self, failed: Iterable[int]) -> tuple[list[int], SegmindError | None]:
        """Return the indexes to order; if the money is short but earlier orders exist, return none and the error."""
        # The task must still wait for those earlier orders, or look them up. Without any, raise the error.
        try:
            return self.open_orders(failed), None
        except (CreditsError, InvalidRequestError) as error:
            if self.paid:
                return [], error
            raise

    def take_over(self, again: Collection[int]) -> dict[int, Job]:
        """Take over what the memory has, if there is one; ``again``: indexes of swaps whose job FAILED."""
        return {} if self.memory is None else self.memory.take_over(self.ledger, again)

    def stands(self, index: int, row: Row) -> bool:
        """Whether a result row is of the order that the swap has now."""
        return bool(self.ledger.entries[index].request_id == row["request_id"])

    @property
    def known(self) -> int:
        """Number of swaps whose order is accepted."""
        return sum(entry.known for entry in self.ledger.entries.values())

    @property
    def placed(self) -> int:
        """Number of orders that are accepted, or may be."""
        return sum(len(entry.ordered) + entry.pending + entry.unnamed for entry in self.ledger.entries.values())

    @property
    def paid(self) -> bool:
        """Whether any order is accepted, or may be."""
        return any(entry.ordered or entry.pending for entry in self.ledger.entries.values())

    def rows(self) -> list[Row]:
        """Return all swaps with their handles as plain values."""
        return [self._row(swap) for swap in self.swaps]

    def _row(self, swap: Swap) -> Row:
        entry = self.ledger.entries.get(swap.index)
        known = entry if entry is not None and entry.known else None
        return {
            "index": swap.index,
            "place": swap.place,
            "id": swap.id,
            **swap.given,
            "consent_reference": swap.consent_reference,
            **({"extra": json.loads(swap.extra)} if swap.extra else {}),
            **({"take": swap.take} if swap.take > 1 else {}),
            "workflow": self.terms.workflow,
            **({"dag_id": self.dag_id} if self.dag_id else {}),
            **({"reused": True} if known and known.reused else {}),
            "request_id": known.request_id if known else None,
            "requests": list(entry.ordered) if entry else [],
            "poll_url": known.poll_url if known else None,
            "submitted_at": known.at if known else None,
            **(prepared_of(known.job()) if known else {}),
        }


def make_plan(
    context: Context,
    hook: SegmindHook,
    swaps: object,
    *,
    select_character: str,
    workflow: str,
    on_unknown: str,
    consent_reference: str | None,
    prepare: str,
    check_spend: Callable[[int, int], None],
    columns: object = None,
    remembering: Remembering | None = None,
) -> Plan:
    """Read and check a batch, and load what an earlier attempt of the task ordered."""
    # Once something is ordered, a bad manifest is a retryable error: its file may be unreachable or half written, and a
    # retry costs nothing. After a permanent failure only a clear is left, which pays again.
    check_one_of("on_unknown_outcome", on_unknown, UNKNOWN)
    workflow = check_workflow(workflow)
    if not is_body_swap(workflow):
        raise InvalidRequestError(f"workflow {workflow!r} is not AI Body Swap: a batch takes only that.")
    max_tries = int(getattr(context["ti"], "max_tries", 0))
    store = OrderStore(context)
    header, entries = store.load_batch()
    going_on = header is not None and header.max_tries == max_tries and bool(entries)
    where = swaps if isinstance(swaps, str) else "swaps"
    try:
        read = _read(hook, swaps, select_character, columns)
    except InvalidRequestError as error:
        error.retryable = going_on
        raise
    read = [replace(swap, consent_reference=consent_of(swap.consent_reference or consent_reference)) for swap in read]
    concurrency = conf.getint("segmind", "submit_concurrency", fallback=8)
    terms = Terms(workflow, concurrency, on_unknown == "resubmit", prepare)
    wanted = BatchHeader(fingerprint_of(workflow, (swap.given for swap in read)), max_tries, len(read))
    check_retry(context, durable=store.durable, resubmit=terms.resubmit)
    step = begin(header, wanted)
    if step is Step.REFUSE:
        changed = ChangedError(
            "An earlier attempt of this task ordered another batch: what it is given has changed since, so this retry "
            "neither takes those results nor orders. Do not use inputs that change from one attempt to the next. "
            "Clear the task to order the new batch, at the price of all of it."
        )
        changed.retryable = going_on and isinstance(swaps, str)
        raise changed
    check_running(context)
    memory = None if remembering is None else BatchMemory(hook, remembering, read, workflow, prepare)
    if header is None or step is Step.ORDER:
        _check_consent(read, Problems(where))
        _check_pictures(read, hook, Problems(where), prepare)
        if header is not None:
            wanted = replace(wanted, before=header.batch, count_before=header.count)
        store.save_header(wanted)
        return Plan(hook, read, OrderLedger(store, wanted, {}), terms, check_spend, dag_of(context), memory=memory)
    _say(entries.values(), len(read))
    return Plan(hook, read, OrderLedger(store, header, entries), terms, check_spend, dag_of(context), memory=memory)


def _read(hook: SegmindHook, swaps: object, select_character: str, columns: object) -> list[Swap]:
    if not isinstance(swaps, str):
        return read_items(swaps, select_character=select_character, columns=columns)
    data = manifest_bytes(hook, "swaps", swaps)
    return read_manifest(data, swaps, select_character=select_character, columns=columns)


def _say(entries: Iterable[Any], total: int) -> None:
    known = sum(entry.known for entry in entries)
    log.info("An earlier attempt of this task ordered %d of %d swaps; going on with them.", known, total)


def _check_consent(swaps: Sequence[Swap], problems: Problems) -> None:
    if not consent_required():
        return
    for swap in swaps:
        try:
            check_consent(swap.consent_reference)
        except InvalidRequestError as error:
            problems.add(swap.place, error)
    problems.check()


def _check_pictures(swaps: Sequence[Swap], hook: SegmindHook, problems: Problems, prepare: str) -> None:
    """Check, once per picture, that it can be passed to Segmind; one in a storage is decoded whole."""
    first: dict[str, tuple[str, str]] = {}
    for swap in swaps:
        for name in BODY_SWAP_IMAGES:
            first.setdefault(getattr(swap, name), (name, swap.place))
    _ = hook.settings  # look up the connection once, before the threads start

    def problem(uri: str) -> InvalidRequestError | None:
        name, place = first[uri]
        try:
            if is_url(uri):
                look_at_url(hook, name, uri)
            else:
                look_at_picture(name, uri, prepare)
        except TransportError as error:
            raise TransportError(f"{place}: {error.message}") from None
        except InvalidRequestError as error:
            return error
        return None

    with ThreadPoolExecutor(max_workers=LOOKERS) as pool:
        for (_, place), found in zip(first.values(), pool.map(problem, first), strict=True):
            if found is not None:
                problems.add(place, found)
    problems.check()
