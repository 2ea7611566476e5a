"""What a connection and a DAG may spend on a day: reserved in the memory of swaps before anything is ordered."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from airflow.sdk import Context

from airflow_provider_segmind.api import spend
from airflow_provider_segmind.api.costs import day_of
from airflow_provider_segmind.api.errors import CreditsError, InvalidRequestError
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.spend import Budget, OnRecord, Spender
from airflow_provider_segmind.memory.store import Store, owner_of, store
from airflow_provider_segmind.orders.ledger import OrderLedger
from airflow_provider_segmind.orders.rules import dollars_of, note_orders, price_per_swap
from airflow_provider_segmind.orders.store import OrderStore

log = logging.getLogger(__name__)

PER_CONNECTION = "max_spend_per_day"
PER_DAG = "max_spend_per_day_and_dag"


def reserve(
    context: Context, conn_id: str, *, more: int, ledger: OrderLedger | None = None, begins: bool = False
) -> None:
    """
    Reserve the money for orders that are sent next, or raise.

    :param more: number of orders.
    :param ledger: the orders of a batch; ``None`` for a task with a single order.
    :param begins: whether the task has never reserved.
    :raises CreditsError: a day's limit does not cover them; nothing was ordered now.
    """
    budgets = _budgets(context, conn_id) if more else []
    if not budgets:
        return
    where, known = _memory(), _on_record(context, ledger)
    try:
        day, price = day_of(time.time()), price_per_swap()
        where.run(spend.reserve(_spender(context), budgets, known, more=more, price=price, day=day, begins=begins))
    except CreditsError:
        note_orders(context, known.orders)
        give_back(context, ledger=ledger)
        raise


def give_back(context: Context, *, ledger: OrderLedger | None = None) -> None:
    """Give back what this task has reserved for orders that were not sent. Never raises: what is sent is paid for."""
    try:
        if dollars_of(PER_CONNECTION) is not None or dollars_of(PER_DAG) is not None:
            _memory().run(spend.give_back(_spender(context), _on_record(context, ledger)))
    except Exception as error:  # noqa: BLE001 - the error or the result of the task is the one that counts
        log.warning("What this task reserved and did not order counts as spent until the day ends: %s", error)


def _budgets(context: Context, conn_id: str) -> list[Budget]:
    dag_id = context["ti"].dag_id
    limits = (
        (f"DAG {dag_id!r}", PER_DAG, dollars_of(PER_DAG)),  # first: what it refuses takes nothing from other DAGs
        (f"connection {conn_id!r}", PER_CONNECTION, dollars_of(PER_CONNECTION)),
    )
    return [Budget(of, setting, limit) for of, setting, limit in limits if limit is not None]


def _memory() -> Store:
    where = store()
    if where is None:
        raise InvalidRequestError(
            f"[segmind] {PER_CONNECTION} or {PER_DAG} is set, but not [segmind] memory, in which the tasks count what "
            "they spend together, so nothing is ordered. Ask your Airflow administrator to set [segmind] memory to a "
            "folder in object storage, or both limits to 0."
        )
    return where


def _spender(context: Context) -> Spender:
    return Spender(owner_of(context), int(getattr(context["ti"], "try_number", 1)))


def _on_record(context: Context, ledger: OrderLedger | None) -> OnRecord:
    records = OrderStore(context)
    if ledger is None:
        record = records.load()
        return OnRecord(orders=_count([record] if record is not None else []))
    before = records.entries_before_clear(ledger.header)
    return OnRecord(
        _series(ledger.header.batch),
        _count(ledger.entries.values()),
        None if before is None else (_series(ledger.header.before), _count(before.values())),
    )


def _series(batch: str) -> str:
    return f"batch {batch}"


def _count(records: Iterable[OrderRecord]) -> int:
    """Return the number of orders that are or may be accepted."""
    return sum(len(record.perhaps) + record.nameless for record in records)
