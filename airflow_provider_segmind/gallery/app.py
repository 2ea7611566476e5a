"""Routes of the gallery. Each checks the user and the DAGs that this user may read; none here changes anything."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from airflow_provider_segmind.api.gallery import STATES, GalleryRecord, Slot, State
from airflow_provider_segmind.gallery.answers import (
    PAGE,
    Limit,
    Offset,
    Place,
    Size,
    Version,
    answer,
    batch_swap,
    facts_of,
    folders_at,
    folders_of,
    in_lane,
    index_of,
    item_picture,
    may_read,
    or_refuse,
    path_of,
    picture_at,
    slot_of,
    uri_of,
)
from airflow_provider_segmind.gallery.costs import DAYS, MAX_DAYS, costs_page
from airflow_provider_segmind.gallery.items import read_page
from airflow_provider_segmind.gallery.records import SwapQuery, SwapView, TaskKey, cards, find
from airflow_provider_segmind.gallery.reviews import router
from airflow_provider_segmind.gallery.roots import Root, allowed, roots
from airflow_provider_segmind.memory.store import has_memory

_Part = Annotated[int, Query(ge=0, le=10_000)]


class _WholeFiles(StaticFiles):
    """Static files without range requests: Airflow 3.1's starlette is slow on long Range headers (CVE-2025-62727)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = [field for field in scope.get("headers", ()) if field[0].lower() != b"range"]
        await super().__call__({**scope, "headers": kept}, receive, send)


app = FastAPI(title="Segmind", docs_url=None, redoc_url=None, openapi_url=None)
# This package's scripts, styles and icons: the only route without access control.
app.mount("/static", _WholeFiles(directory=Path(__file__).parents[1] / "plugin" / "static"), name="static")
app.include_router(router)


@app.get("/swaps", dependencies=[Depends(may_read)])
@in_lane
def list_swaps(
    request: Request,
    user: GetUserDep,
    dag_id: str | None = None,
    run_id: str | None = None,
    task_id: str | None = None,
    map_index: str | None = None,
    state: State | None = None,
    since: date | None = None,
    until: date | None = None,
    offset: Offset = 0,
    limit: Limit = PAGE,
) -> Response:
    """Return a page of swaps, newest first, of the DAGs that the user may read, and the total cost of all of them."""
    readable = frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))
    dag_ids = readable & {dag_id} if dag_id else readable
    found, more = find(SwapQuery(dag_ids, run_id, since=since, until=until))
    # Access to a DAG does not include its data.
    with_data = _with(DagAccessEntity.XCOM, request, user, {each.place.dag_id for each in found})
    found = [each for each in found if each.place.dag_id in with_data]
    index = index_of(map_index)
    chosen = [
        card
        for card in cards(found)
        if (state is None or card.newest.record.state == state) and (task_id is None or _has(card, task_id, index))
    ]
    page = chosen[offset : offset + limit]
    folders = folders_of({card.newest.place.dag_id for card in page})
    return answer(
        {
            **_totals(chosen),
            "more": more,
            "offset": offset,
            "dag_ids": sorted({each.place.dag_id for each in found}),
            "has_roots": bool(roots().folders),
            "has_costs": has_memory(),
            "swaps": [_swap(card, folders[card.newest.place.dag_id]) for card in page],
        }
    )


@app.get("/image/{dag_id}/{run_id}/{task_id}/{map_index}/{slot}", dependencies=[Depends(may_read)])
@in_lane
def show_picture(task: Place, slot: str, size: Size = None, part: _Part = 0, v: Version = None) -> Response:
    """Return a picture of a task's swap; the task's record decides which file, never the client."""
    place = task._replace(part=part)
    which, record = slot_of(slot), _record_at(place)
    if getattr(record, which) is None and record.request_id:
        # The task that stored the result does not know the scene; the task that ordered it does.
        record = _whole_swap(place) or record
    return picture_at(uri_of(record, which, size), folders_at(place), v)


@app.get("/items/{dag_id}/{run_id}/{task_id}/{map_index}", dependencies=[Depends(may_read)])
@in_lane
def list_items(place: Place, offset: Offset = 0, limit: Limit = PAGE) -> Response:
    """Return a page of the swaps of a batch."""
    uri, folders = _record_at(place).items, folders_at(place)
    total, items = or_refuse(lambda: read_page(uri, folders, offset, limit))
    return answer({"total": total, "offset": offset, "swaps": [batch_swap(place, item, folders) for item in items]})


@app.get("/items/{dag_id}/{run_id}/{task_id}/{map_index}/{index}/{slot}", dependencies=[Depends(may_read)])
@in_lane
def show_item_picture(place: Place, index: int, slot: str, size: Size = None, v: Version = None) -> Response:
    """Return a picture of one swap of a batch; the batch's manifest decides which file."""
    return item_picture(_record_at(place).items, index, slot, size, folders_at(place), v)


@app.get("/costs", dependencies=[Depends(may_read)])
@in_lane
def show_costs(request: Request, user: GetUserDep, days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DAYS) -> Response:
    """Return a page with what the DAGs that the user may read have ordered, reused and wasted."""

    def readable(dag_ids: set[str]) -> set[str]:
        known = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
        return _with(DagAccessEntity.XCOM, request, user, dag_ids & set(known))

    return costs_page(days, readable, lambda dag_ids: _with(DagAccessEntity.AUDIT_LOG, request, user, dag_ids))


def _with(entity: DagAccessEntity, request: Request, user: Any, dag_ids: Iterable[str]) -> set[str]:
    """Return those DAGs of which the user may read something."""
    known = set()
    for dag_id in dag_ids:
        with suppress(HTTPException):
            requires_access_dag("GET", entity, dag_id)(request, user)
            known.add(dag_id)
    return known


def _has(card: SwapView, task_id: str, map_index: int) -> bool:
    return any((place.task_id, place.map_index) == (task_id, map_index) for place in card.places)


def _record_at(place: TaskKey) -> GalleryRecord:
    wanted = SwapQuery(frozenset({place.dag_id}), place.run_id, place.task_id, place.map_index)
    for found in find(wanted)[0]:
        if found.place == place:
            return found.record
    raise HTTPException(404, "This task has no body swap to show.")


def _whole_swap(place: TaskKey) -> GalleryRecord | None:
    """Return the combined record of a task's swap from all tasks of its run."""
    found, _ = find(SwapQuery(frozenset({place.dag_id}), place.run_id))
    return next((card.newest.record for card in cards(found) if place in card.places), None)


def _totals(chosen: Iterable[SwapView]) -> dict[str, Any]:
    records = [card.newest.record for card in chosen]
    ends: dict[str, int] = dict.fromkeys(STATES, 0)
    for record in records:  # a batch counts as its swaps
        missing = min(record.missing, record.total)
        ends[record.state] += record.total - missing
        ends["failed"] += missing
    return {
        "total": len(records),
        **ends,
        "ordered": sum(record.orders for record in records),
        # Without a price nobody knows.
        "spent": None if any(one.orders and one.cost is None for one in records) else _sum(one.cost for one in records),
        "maybe": _sum(one.maybe for one in records),
    }


def _sum(dollars: Iterable[float | None]) -> float:
    return round(sum(each or 0 for each in dollars), 4)


def _swap(card: SwapView, folders: tuple[Root, ...]) -> dict[str, Any]:
    place = card.newest.place
    urls: dict[Slot, str] = {
        slot: f"image/{path_of(source)}/{slot}" + (f"?part={source.part}" if source.part else "")
        for slot, source in card.sources.items()
    }
    items = card.newest.record.items
    return {
        **place._asdict(),
        **facts_of(card.newest.record, urls, folders),
        "at": card.newest.at,
        "items": f"items/{path_of(place)}" if items and allowed(items, folders) else None,
        "batch": bool(items),
    }
