"""Find what tasks say of their swaps: one query, in one place, since Airflow's tables are nobody's contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, NamedTuple

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import Text, and_, cast, func, select

from airflow_provider_segmind.api.gallery import (
    END_KEY,
    MAX_TEXT,
    SLOTS,
    XCOM_KEY,
    FailedCheck,
    GalleryRecord,
    Slot,
    read_records,
)

MAX_RECORDS = 10_000
"""How many records are looked at, newest first, some four for each swap; a DAG, a run or dates lead to older ones."""
_END = -1
_TASK = ("dag_id", "run_id", "task_id", "map_index")


class Place(NamedTuple):
    """
    A task instance, and which of its swaps.

    :param dag_id: its DAG.
    :param run_id: its run.
    :param task_id: its task.
    :param map_index: -1 for a task that is not mapped.
    :param part: 0, or the number of the swap in a task that has several; -1 where a task says how its swap ended.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    part: int = 0


@dataclass(frozen=True)
class Found:
    """
    A record, and where it was.

    :param place: the task instance that said it.
    :param record: what it said.
    :param at: when, in seconds since the epoch.
    """

    place: Place
    record: GalleryRecord
    at: float


@dataclass(frozen=True)
class Wanted:
    """
    Which records are looked for.

    :param dag_ids: the DAGs that the user may read.
    :param run_id: one run.
    :param task_id: one task.
    :param map_index: one instance of a mapped task.
    :param since: not before this day (UTC).
    :param until: not after this day (UTC).
    """

    dag_ids: frozenset[str]
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Card:
    """
    A swap, of which several tasks may have said something: one that ordered it, one that stored its result, a check.

    :param newest: what was said last; what it left out is from those before it.
    :param sources: the place that named each picture.
    :param places: all places that said something.
    :param ended_at: when a task that waited saw it end, in seconds since the epoch.
    """

    newest: Found
    sources: Mapping[Slot, Place] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    ended_at: float | None = None


def find(wanted: Wanted) -> list[Found]:
    """Return the newest records, newest first; what is no record is passed over."""
    with create_session(scoped=False) as session:
        rows = session.execute(_query(wanted)).all()
    return list(islice((found for row in rows for found in _found(row)), MAX_RECORDS))


def cards(found: Iterable[Found]) -> list[Card]:
    """
    Return the swaps that records speak of, newest first.

    :param found: the records, newest first.
    """
    known: dict[tuple[str, ...], Card] = {}
    for each in found:
        key = _key(each)
        card = known.get(key)
        known[key] = _card(each) if card is None else _joined(card, each)
    return [_timed(card) for card in known.values()]


def _query(wanted: Wanted) -> Any:
    if hasattr(XComModel, "task_instance_id"):  # Airflow 3.4, which has no index for the other way
        same = [XComModel.task_instance_id == TaskInstance.id]
    else:
        same = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in _TASK]
    columns = [getattr(XComModel, name) for name in (*_TASK, "key", "value", "timestamp")]
    query = (
        select(*columns, TaskInstance.state.label("task_state"), DagRun.state.label("run_state"))
        .outerjoin(TaskInstance, and_(*same))
        .outerjoin(DagRun, XComModel.dag_run_id == DagRun.id)
        .where(XComModel.key.in_((XCOM_KEY, END_KEY)), XComModel.dag_id.in_(wanted.dag_ids))
        .where(func.length(cast(XComModel.value, Text)) <= MAX_TEXT)
        .order_by(XComModel.timestamp.desc(), XComModel.task_id, XComModel.map_index)
        .limit(MAX_RECORDS)
    )
    for name in ("run_id", "task_id", "map_index"):
        value = getattr(wanted, name)
        query = query if value is None else query.where(getattr(XComModel, name) == value)
    if wanted.since is not None:
        query = query.where(XComModel.timestamp >= _midnight(wanted.since))
    if wanted.until is not None and wanted.until < date.max:
        query = query.where(XComModel.timestamp < _midnight(wanted.until + timedelta(days=1)))
    return query


def _found(row: Any) -> Iterator[Found]:
    # The end has no pictures, so nobody asks for it by its place.
    first = _END if row.key == END_KEY else 0
    for part, record in enumerate(read_records(row.value), first):
        if record is not None:
            place = Place(row.dag_id, row.run_id, row.task_id, row.map_index, part)
            yield Found(place, _ended(record, row.task_state, row.run_state), row.timestamp.timestamp())


def _ended(record: GalleryRecord, task_state: str | None, run_state: str | None) -> GalleryRecord:
    """Return a record that is not waiting any more if nobody is left who would say what became of the swap."""
    if record.state != "waiting":
        return record
    if task_state == "failed" or run_state == "failed":
        which = "task" if task_state == "failed" else "run"
        why = FailedCheck(which, f"The {which} failed before the swap had a result.")
        return replace(record, state="failed", checks=(*record.checks, why))
    # In a run that succeeded so did whoever waited; its result is not stored, or not shown.
    return replace(record, state="completed") if run_state == "success" else record


def _key(found: Found) -> tuple[str, ...]:
    place, request_id = found.place, found.record.request_id
    if request_id:
        return (place.dag_id, place.run_id, request_id)
    return tuple(map(str, place))


def _card(found: Found) -> Card:
    sources = {slot: found.place for slot in SLOTS if getattr(found.record, slot)}
    return Card(found, sources, (found.place,), found.at if found.place.part == _END else None)


def _joined(card: Card, older: Found) -> Card:
    newest = card.newest.record
    # What is empty in the newer one is taken from the older one; how it ended only if it does not wait again.
    names = ["cost", "submitted_at", "label", "items", *SLOTS]
    checks = newest.checks
    if newest.state != "waiting":
        names.append("seconds")
        said = {check.name for check in checks}
        checks += tuple(check for check in older.record.checks if check.name not in said)
    fills = {name: getattr(older.record, name) for name in names if getattr(newest, name) is None}
    thumbs = {slot: getattr(newest.thumbs, slot) or getattr(older.record.thumbs, slot) for slot in SLOTS}
    record = replace(newest, thumbs=replace(newest.thumbs, **thumbs), checks=checks, **fills)
    alone = _card(older)
    return Card(
        replace(card.newest, record=record),
        {**alone.sources, **card.sources},
        (*card.places, older.place),
        card.ended_at or alone.ended_at,
    )


def _timed(card: Card) -> Card:
    """Return a card that says how long its swap took, if that follows from what its tasks said."""
    record, ended_at = card.newest.record, card.ended_at
    if record.state == "waiting" or record.seconds is not None or record.submitted_at is None or ended_at is None:
        return card
    seconds = round(max(0.0, ended_at - record.submitted_at), 1)
    return replace(card, newest=replace(card.newest, record=replace(record, seconds=seconds)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
