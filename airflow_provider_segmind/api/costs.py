"""What swaps cost by day and DAG: what was paid for, what reuse saved, and what was in vain. Without any I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_provider_segmind.api.memory import KEPT
from airflow_provider_segmind.api.remembered import CLAIMED, DONE, FAILED, LOST, ORDERED, REJECTED, RELEASED, SwapRecord

VERSION = 1
_BILLED = (ORDERED, DONE, FAILED, LOST, REJECTED)
REUSED = "reused"
_TEXT = 250
"""Characters of a DAG's id."""


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What one object of the memory says about money.

    :param at: seconds since the epoch.
    :param state: of an order, or ``reused`` for what a task took without paying.
    :param swaps: number of swaps.
    :param dollars: what they cost, or would have cost, together.
    """

    at: float
    dag_id: str
    state: str
    swaps: int = 1
    dollars: float = 0.0

    def to_bytes(self) -> bytes:
        """Return the object to store."""
        return (json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True) + "\n").encode()


_FACTS = tuple(part.name for part in fields(Facts))


def facts_of(record: SwapRecord) -> Facts | None:
    """Return what an order says about money; ``None`` for one that was not accepted."""
    if record.state == RELEASED:
        return None
    # A person gave up a claim: without a request, nobody knows that it was accepted.
    is_unknown = record.state == LOST and not record.order.request_id
    return Facts(record.order.at, _dag_id(record.owner), CLAIMED if is_unknown else record.state, 1, record.cost)


def read_facts(data: bytes) -> Facts:
    """
    Read what is noted of reused or forgotten swaps.

    :raises ValueError: if it cannot be read.
    """
    said = json.loads(data)
    if not isinstance(said, Mapping) or said.get("version") != VERSION:
        raise ValueError("not of a version that is known")
    try:
        facts = Facts(**{name: said[name] for name in _FACTS})
        return Facts(
            float(facts.at), str(facts.dag_id)[:_TEXT], str(facts.state), int(facts.swaps), float(facts.dollars)
        )
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


def _dag_id(owner: Mapping[str, Any]) -> str:
    return str(owner.get("dag_id", ""))[:_TEXT]


@dataclass(slots=True)
class Row:
    """
    The sums of one day and DAG.

    :param ordered: orders that were accepted, and ``spent`` their US dollars.
    :param reused: swaps that were taken without paying, and ``saved`` what they would have cost.
    :param failed: orders whose job FAILED.
    :param replaced: orders whose picture a check or a person rejected, or a later order replaced.
    :param lost: orders whose picture nobody stored in time.
    :param wasted: US dollars of the last three.
    :param unknown: orders of unknown outcome; they may be billed, and are in no sum.
    """

    day: str = ""
    dag_id: str = ""
    ordered: int = 0
    spent: float = 0.0
    reused: int = 0
    saved: float = 0.0
    failed: int = 0
    replaced: int = 0
    lost: int = 0
    wasted: float = 0.0
    unknown: int = 0

    def add(self, facts: Facts, now: float) -> None:
        """Add the facts of one object."""
        if facts.state == REUSED:
            self.reused += facts.swaps
            self.saved += facts.dollars
        elif facts.state == CLAIMED:
            self.unknown += facts.swaps
        elif facts.state in _BILLED:
            self.ordered += facts.swaps
            self.spent += facts.dollars
            is_lost = facts.state == LOST or (facts.state == ORDERED and now - facts.at > KEPT)
            self.failed += facts.swaps * (facts.state == FAILED)
            self.replaced += facts.swaps * (facts.state == REJECTED)
            self.lost += facts.swaps * is_lost
            if is_lost or facts.state in (FAILED, REJECTED):
                self.wasted += facts.dollars


_SUMS = tuple(part.name for part in fields(Row) if part.name not in ("day", "dag_id"))


@dataclass(frozen=True, slots=True)
class Costs:
    """
    Sums by day and DAG, newest first, and those of all.

    :param read: number of objects that were read, of ``there`` that are known to belong to these days.
    :param is_whole: whether these are all.
    """

    rows: tuple[Row, ...] = ()
    total: Row = field(default_factory=Row)
    read: int = 0
    there: int = 0
    is_whole: bool = True


def costs_of(
    facts: Iterable[Facts], *, now: float, since: str, read: int = 0, there: int = 0, is_whole: bool = True
) -> Costs:
    """
    Return the sums by day and DAG.

    :param since: the first day, like ``2026-11-29``.
    """
    rows: dict[tuple[str, str], Row] = {}
    total = Row()
    for one in facts:
        day = day_of(one.at)
        if day >= since:
            rows.setdefault((day, one.dag_id), Row(day, one.dag_id)).add(one, now)
            total.add(one, now)
    by_dag = sorted(rows.values(), key=lambda row: row.dag_id)
    return Costs(tuple(sorted(by_dag, key=lambda row: row.day, reverse=True)), total, read, there, is_whole)


def only(costs: Costs, dag_ids: Collection[str]) -> Costs:
    """Return the costs of some DAGs."""
    rows = tuple(row for row in costs.rows if row.dag_id in dag_ids)
    total = Row(**{name: sum(getattr(row, name) for row in rows) for name in _SUMS})
    return replace(costs, rows=rows, total=total)


def day_of(at: float) -> str:
    """Return the day of a time, in UTC; a time that cannot be one is the first."""
    return time.strftime("%Y-%m-%d", time.gmtime(at if 0 <= at < 1e11 else 0.0))
