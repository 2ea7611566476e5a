"""Routes of a review. A verdict, the only change, is a PUT with JSON: for another site, a browser does not send it."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, Field
from sqlalchemy import Text, and_, cast, func, select, update

from airflow_provider_segmind.api.gallery import REVIEW_KEY, VERDICTS_KEY, GalleryRecord, Verdict
from airflow_provider_segmind.gallery.answers import (
    PAGE,
    Limit,
    Offset,
    Place,
    Size,
    Version,
    answer,
    batch_swap,
    folders_at,
    in_lane,
    item_picture,
    may_read,
    or_refuse,
)
from airflow_provider_segmind.gallery.items import read_page
from airflow_provider_segmind.gallery.records import MAX_SAID, SwapQuery, TaskKey, find
from airflow_provider_segmind.gallery.roots import allowed

MAX_ITEMS = 10_000
_ASKS = ("running", "awaiting_input", "deferred")
"""States of a task that has asked: at first its process still runs; Airflow before 3.3 defers it."""
_PLACE = "/review/{dag_id}/{run_id}/{task_id}/{map_index}"
_may_decide = requires_access_dag("PUT", DagAccessEntity.HITL_DETAIL)

_HIDDEN = (
    "This review cannot be shown: the folder of its review_uri is not in [segmind] gallery_roots. Have your Airflow "
    "administrator add that folder and those of the pictures, then load this page again; the review waits."
)

router = APIRouter()


class Decision(BaseModel):
    """Verdicts that a person gives now: the same for each of some pictures, by their lines."""

    verdict: Verdict
    items: list[Annotated[int, Field(ge=0, lt=MAX_ITEMS)]] = Field(min_length=1, max_length=100)


@router.get(_PLACE, dependencies=[Depends(may_read)])
@in_lane
def show_review(place: Place, offset: Offset = 0, limit: Limit = PAGE) -> Response:
    """Return a page of a review's pictures, the verdicts on them, and the counts of all; nothing for another task."""
    record = _review_at(place)
    if record is None:
        return Response(status_code=204)  # most tasks are none: no error in the browser's console
    folders = folders_at(place)
    if not allowed(record.items, folders):
        raise HTTPException(404, _HIDDEN)
    total, items = or_refuse(lambda: read_page(record.items, folders, offset, limit))
    with create_session(scoped=False) as session:
        value = session.scalar(_value_of(_verdicts_at(place)))
        is_open = _detail_at(session, place) is not None
        state = session.scalar(select(TaskInstance.state).where(*_same(TaskInstance, place)))
    verdicts = _read(value)
    by = Counter(said[0] for said in verdicts.values())
    swaps = [
        {
            **batch_swap(place, item, folders, "review"),
            "default": item.default,
            "decided": verdicts.get(str(item.index)),
        }
        for item in items
    ]
    said = {"total": total, "offset": offset, "open": is_open, "state": state, "decided": dict(by)}
    return answer({**said, "swaps": swaps})


@router.get(f"{_PLACE}/{{index}}/{{slot}}", dependencies=[Depends(may_read)])
@in_lane
def show_review_picture(place: Place, index: int, slot: str, size: Size = None, v: Version = None) -> Response:
    """Return a picture of a review; its list decides which file."""
    record = _review_at(place)
    return item_picture(record.items if record else None, index, slot, size, folders_at(place), v)


@router.put(_PLACE, dependencies=[Depends(_may_decide), Depends(may_read)])
@in_lane
def decide(user: GetUserDep, place: Place, decision: Decision) -> Response:
    """Save verdicts; those of other people, also on the same picture at the same moment, are all taken in turn."""
    said = [decision.verdict, user.get_name(), round(time.time(), 3)]
    with create_session(scoped=False) as session:
        at = _verdicts_at(place)
        # To change the row, if only to what it is, takes its lock in each database: the next reviewer waits here.
        locked: Any = session.execute(update(XComModel).where(*at).values(timestamp=XComModel.timestamp))
        detail = _detail_at(session, place)
        if locked.rowcount != 1 or detail is None:
            raise HTTPException(409, "This verdict is not saved: the task does not wait for people now.")
        _check_assigned(detail, user)
        value = session.scalar(_value_of(at))
        verdicts = _read(value) | {str(index): said for index in decision.items}
        kept: Any = json.dumps(verdicts) if isinstance(value, str) else verdicts
        session.execute(update(XComModel).where(*at).values(value=kept))
    return answer({"decided": {str(index): said for index in decision.items}})


def _review_at(place: TaskKey) -> GalleryRecord | None:
    wanted = SwapQuery(frozenset({place.dag_id}), place.run_id, place.task_id, place.map_index, keys=(REVIEW_KEY,))
    return next((found.record for found in find(wanted)[0]), None)


def _verdicts_at(place: TaskKey) -> list[Any]:
    return [*_same(XComModel, place), XComModel.key == VERDICTS_KEY]


def _same(model: Any, place: TaskKey) -> list[Any]:
    columns = ("dag_id", "run_id", "task_id", "map_index")
    return [getattr(model, name) == value for name, value in zip(columns, place[:4], strict=True)]


def _value_of(at: list[Any]) -> Any:
    # Without a bound, a person who may edit XComs could have it read what fills the memory.
    return select(XComModel.value).where(*at, func.length(cast(XComModel.value, Text)) <= MAX_SAID)


def _detail_at(session: Any, place: TaskKey) -> Any:
    """Return what Airflow knows of the question, unless it is answered, or its task has ended in another way."""
    asks = [*_same(TaskInstance, place), TaskInstance.state.in_(_ASKS)]
    query = select(HITLDetail).join(TaskInstance, and_(HITLDetail.ti_id == TaskInstance.id, *asks))
    detail = session.scalar(query)
    return None if detail is None or detail.response_received else detail


def _check_assigned(detail: Any, user: Any) -> None:
    """Refuse who is not among those that the DAG's author has named."""
    assigned = {each["id"] for each in detail.assigned_users or ()}
    if assigned and not get_auth_manager().is_authorized_hitl_task(assigned_users=assigned, user=user):
        raise HTTPException(403, "You are not among those who are to review this.")


def _read(value: Any) -> dict[str, Any]:
    """Return the verdicts of an XCom, which anybody may have written who may edit XComs."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {key: said for key, said in value.items() if isinstance(said, list) and len(said) == 3}
