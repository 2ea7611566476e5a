"""Find what tasks say of their swaps: one query, in one place, since Airflow's tables are nobody's contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import Text, and_, cast, func, select

from airflow_provider_segmind.api.gallery import (
    END_KEY,
    MAX_CHECKS,
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
MAX_SAID = 8 * 2**20
"""Characters of all these records, as JSON: twice what 10,000 usual ones have."""
_ROWS = 50  # that are fetched at once
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


def find(wanted: Wanted) -> tuple[list[Found], bool]:
    """
    Return the newest records, newest first, and whether there are more; what is no record is passed over.

    Rows are read one after the other, and no more of them than have room in memory, whoever wrote them.
    """
    found: list[Found] = []
    if not wanted.dag_ids:
        return found, False
    said = 0
    with create_session(scoped=False) as session, closing(session.execute(_query(wanted))) as rows:
        for number, row in enumerate(rows, 1):
            said += row.size
            if said > MAX_SAID:
                return found, True
            found += _found(row)
            if number == MAX_RECORDS or len(found) >= MAX_RECORDS:
                return found[:MAX_RECORDS], True
    return found, False


def teams_of(dag_ids: Iterable[str]) -> Mapping[str, str | None]:
    """Return the team of each DAG that belongs to one."""
    look_up = getattr(DagModel, "get_dag_id_to_team_name_mapping", None)  # not before teams came to Airflow
    teams: Mapping[str, str | None] = look_up(list(dag_ids)) if look_up else {}
    return teams


def cards(found: Iterable[Found]) -> list[Card]:
    """
    Return the swaps that records speak of, newest first.

    :param found: the records, newest first.
    """
    same: dict[tuple[str, ...], list[Found]] = {}
    for each in found:
        same.setdefault(_key(each), []).append(each)
    return [_timed(_card(each)) for each in same.values()]


def _query(wanted: Wanted) -> Any:
    if hasattr(XComModel, "task_instance_id"):  # Airflow 3.4, which has no index for the other way
        same = [XComModel.task_instance_id == TaskInstance.id]
    else:
        same = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in _TASK]
    columns = [getattr(XComModel, name) for name in (*_TASK, "key", "value", "timestamp")]
    size = func.length(cast(XComModel.value, Text))
    query = (
        select(*columns, size.label("size"), TaskInstance.state.label("task_state"), DagRun.state.label("run_state"))
        .outerjoin(TaskInstance, and_(*same))
        .outerjoin(DagRun, XComModel.dag_run_id == DagRun.id)
        .where(XComModel.key.in_((XCOM_KEY, END_KEY)), XComModel.dag_id.in_(wanted.dag_ids))
        .where(size <= MAX_TEXT)
        .order_by(XComModel.timestamp.desc(), XComModel.task_id, XComModel.map_index)
        .limit(MAX_RECORDS)
        .execution_options(yield_per=_ROWS)
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


def _card(same: Sequence[Found]) -> Card:
    """Return a swap, of what was said of it, newest first."""
    record = same[0].record
    sources: dict[Slot, Place] = {}
    for each in same:
        record = record if each is same[0] else _joined(record, each.record)
        for slot in SLOTS:
            if getattr(each.record, slot):
                sources.setdefault(slot, each.place)
    ended = (each.at for each in same if each.place.part == _END)
    return Card(replace(same[0], record=record), sources, tuple(each.place for each in same), next(ended, None))


def _joined(newest: GalleryRecord, older: GalleryRecord) -> GalleryRecord:
    """Return a record with what is empty in it from an older one; how it ended only if it does not wait again."""
    names = ["cost", "submitted_at", "label", "items", *SLOTS]
    checks = newest.checks
    if newest.state != "waiting":
        names.append("seconds")
        said = {check.name for check in checks}
        checks = (*checks, *(check for check in older.checks if check.name not in said))[:MAX_CHECKS]
    fills = {name: getattr(older, name) for name in names if getattr(newest, name) is None}
    thumbs = {slot: getattr(newest.thumbs, slot) or getattr(older.thumbs, slot) for slot in SLOTS}
    return replace(newest, thumbs=replace(newest.thumbs, **thumbs), checks=checks, **fills)


def _timed(card: Card) -> Card:
    """Return a card that says how long its swap took, if that follows from what its tasks said."""
    record, ended_at = card.newest.record, card.ended_at
    if record.state == "waiting" or record.seconds is not None or record.submitted_at is None or ended_at is None:
        return card
    seconds = round(max(0.0, ended_at - record.submitted_at), 1)
    return replace(card, newest=replace(card.newest, record=replace(record, seconds=seconds)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
