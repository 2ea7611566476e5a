"""Find the gallery records of tasks, with a single query, because Airflow's tables are not a stable interface."""

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
"""Newest records read per request (about four per swap); filter by DAG, run or date to see older ones."""
MAX_SAID = 8 * 2**20
"""Characters of JSON in all these records: twice the size of 10,000 usual ones."""
_ROWS = 50  # fetched at once
_END = -1
_TASK = ("dag_id", "run_id", "task_id", "map_index")


class TaskKey(NamedTuple):
    """A task instance, and which of its swaps."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int  # -1 for a task that is not mapped
    part: int = 0  # number of the swap if the task has several; -1 for the record of a swap's end


@dataclass(frozen=True)
class RecordRow:
    """A record and its origin."""

    place: TaskKey
    record: GalleryRecord
    at: float  # seconds since the epoch
    task_state: str | None = None
    run_state: str | None = None
    name: str | None = None  # that the DAG's author gives a mapped task (map_index_template)


@dataclass(frozen=True)
class SwapQuery:
    """Filter for records."""

    dag_ids: frozenset[str]  # those that the user may read
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    since: date | None = None  # the first day (UTC)
    until: date | None = None  # the last day (UTC), inclusive
    keys: tuple[str, ...] = (XCOM_KEY, END_KEY)


@dataclass(frozen=True)
class SwapView:
    """A swap, combined from the records of several tasks, such as those that ordered, stored or checked it."""

    newest: RecordRow  # completed from older ones
    sources: Mapping[Slot, TaskKey] = field(default_factory=dict)  # which place named each picture
    places: tuple[TaskKey, ...] = ()


def find(wanted: SwapQuery) -> tuple[list[RecordRow], bool]:
    """Return the newest valid records, newest first, and whether there are more."""
    # It reads row by row and stops at a size limit, so that no writer of XComs can exhaust the memory.
    found: list[RecordRow] = []
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
    look_up = getattr(DagModel, "get_dag_id_to_team_name_mapping", None)  # missing before Airflow had teams
    teams: Mapping[str, str | None] = look_up(list(dag_ids)) if look_up else {}
    return teams


def cards(found: Iterable[RecordRow]) -> list[SwapView]:
    """Combine records, given newest first, into swaps, newest first."""
    same: dict[tuple[str, ...], list[RecordRow]] = {}
    for each in found:
        same.setdefault(_key(each), []).append(each)
    # The end of a wait alone shows no swap: a sensor can be given any URL.
    return [_card(each) for each in same.values() if any(one.place.part != _END for one in each)]


def _query(wanted: SwapQuery) -> Any:
    if hasattr(XComModel, "task_instance_id"):  # Airflow 3.4, which has no index on the four columns
        same = [XComModel.task_instance_id == TaskInstance.id]
    else:
        same = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in _TASK]
    columns = [getattr(XComModel, name) for name in (*_TASK, "key", "value", "timestamp")]
    size = func.length(cast(XComModel.value, Text))
    query = (
        select(
            *columns,
            size.label("size"),
            TaskInstance.state.label("task_state"),
            DagRun.state.label("run_state"),
            TaskInstance.__table__.c.rendered_map_index.label("name"),
        )
        .outerjoin(TaskInstance, and_(*same))
        .outerjoin(DagRun, XComModel.dag_run_id == DagRun.id)
        .where(XComModel.key.in_(wanted.keys), XComModel.dag_id.in_(wanted.dag_ids))
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


def _found(row: Any) -> Iterator[RecordRow]:
    # The record of an end has no pictures, so its place is never requested.
    first = _END if row.key == END_KEY else 0
    records = read_records(row.value)
    for part, record in enumerate(records, first):
        if record is not None:
            name = row.name if len(records) == 1 and first == 0 else None
            place = TaskKey(row.dag_id, row.run_id, row.task_id, row.map_index, part)
            yield RecordRow(place, record, row.timestamp.timestamp(), row.task_state, row.run_state, name)


def _ended(record: GalleryRecord, newest: RecordRow) -> GalleryRecord:
    """Return a waiting swap as left open if no task is there any more that could report its end."""
    run_state = newest.run_state
    over = "task" if newest.task_state == "failed" else "run" if run_state in ("failed", "success") else None
    if record.state != "waiting" or over is None:
        return record
    if record.total > 1 and run_state == "success":
        return replace(record, state="completed")  # the tasks that waited for them show each
    return replace(record, state="open", checks=(FailedCheck(over, _NOT_FETCHED.format(which=over)),))


_NOT_FETCHED = (
    "The {which} ended before this was fetched. It is paid for, and Segmind keeps a result for seven days: clear the "
    "sensor that waits for it, or give a sensor the XCom 'poll_url' of the task that ordered. Both cost nothing."
)


def _key(found: RecordRow) -> tuple[str, ...]:
    place, request_id = found.place, found.record.request_id
    if request_id:
        return (place.dag_id, place.run_id, request_id)
    return tuple(map(str, place))


def _card(same: Sequence[RecordRow]) -> SwapView:
    """Combine the records of one swap, given newest first."""
    record = same[0].record
    sources: dict[Slot, TaskKey] = {}
    for each in same:
        record = record if each is same[0] else _joined(record, each.record)
        for slot in SLOTS:
            if getattr(each.record, slot):
                sources.setdefault(slot, each.place)
    # A name of the author's counts more than a file's, whichever of the swap's tasks has it.
    record = replace(record, label=next((each.name for each in same if each.name), record.label))
    ended_at = next((each.at for each in same if each.place.part == _END), None)
    record = _timed(_ended(record, same[0]), ended_at)
    return SwapView(replace(same[0], record=record), sources, tuple(each.place for each in same))


def _joined(newest: GalleryRecord, older: GalleryRecord) -> GalleryRecord:
    """Fill the empty fields of a record from an older one; a newer waiting state drops the older end."""
    names = ["submitted_at", "label", "items", *SLOTS]
    checks = newest.checks
    if newest.state != "waiting":
        names.append("seconds")
        said = {check.name for check in checks}
        checks = (*checks, *(check for check in older.checks if check.name not in said))[:MAX_CHECKS]
    fills = {name: getattr(older, name) for name in names if getattr(newest, name) is None}
    thumbs = {slot: getattr(newest.thumbs, slot) or getattr(older.thumbs, slot) for slot in SLOTS}
    return replace(
        newest,
        thumbs=replace(newest.thumbs, **thumbs),
        checks=checks,
        # Of different tasks: one may have paid what another has reused.
        orders=newest.orders + older.orders,
        cost=_sum(newest.cost, older.cost),
        maybe=_sum(newest.maybe, older.maybe),
        total=max(newest.total, older.total),
        missing=max(newest.missing, older.missing),
        **fills,
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else round(one + other, 4)


def _timed(record: GalleryRecord, ended_at: float | None) -> GalleryRecord:
    """Return a swap with its duration, if both times are known; ``ended_at``: when a waiting task saw it end."""
    if record.state == "waiting" or record.seconds is not None or record.submitted_at is None or ended_at is None:
        return record
    return replace(record, seconds=round(max(0.0, ended_at - record.submitted_at), 1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
