"""Routes of the gallery. Each checks the user and the DAGs this user may read; none changes anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from functools import partial, wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from airflow_provider_segmind.api.findings import in_words
from airflow_provider_segmind.api.gallery import SLOTS, STATES, GalleryRecord, Slot, State
from airflow_provider_segmind.gallery.costs import DAYS, MAX_DAYS, costs_page
from airflow_provider_segmind.gallery.items import Item, read_page
from airflow_provider_segmind.gallery.pictures import MAX_PICTURE, PictureError, media_type, read_chunks
from airflow_provider_segmind.gallery.records import RecordRow, SwapQuery, SwapView, TaskKey, cards, find, teams_of
from airflow_provider_segmind.gallery.roots import Root, allowed, roots
from airflow_provider_segmind.memory.store import has_memory

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 24
MAX_PAGE = 100
_LANES = 4

_PICTURE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=300",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FACTS_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

_may_read = requires_access_dag("GET", DagAccessEntity.XCOM)
_Offset = Annotated[int, Query(ge=0, le=1_000_000)]
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
_Part = Annotated[int, Query(ge=0, le=10_000)]


class _WholeFiles(StaticFiles):
    """Static files without range requests: Airflow 3.1's starlette is slow on long Range headers (CVE-2025-62727)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = [field for field in scope.get("headers", ()) if field[0].lower() != b"range"]
        await super().__call__({**scope, "headers": kept}, receive, send)


app = FastAPI(title="Segmind", docs_url=None, redoc_url=None, openapi_url=None)
# This package's scripts, styles and icons: the only route without access control.
app.mount("/static", _WholeFiles(directory=Path(__file__).parents[1] / "plugin" / "static"), name="static")

_lanes: RunVar[CapacityLimiter] = RunVar("segmind_gallery")


def _in_lane(route: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a route in one of a few threads."""
    # Further gallery requests wait without a thread. This leaves the other threads to the rest of Airflow's API and
    # limits the memory to that of a few requests.

    @wraps(route)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        lanes = _lanes.get(None) or CapacityLimiter(_LANES)
        _lanes.set(lanes)
        return await to_thread.run_sync(partial(route, *args, **kwargs), limiter=lanes)

    return run


@app.get("/swaps", dependencies=[Depends(_may_read)])
@_in_lane
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
    offset: _Offset = 0,
    limit: _Limit = PAGE,
) -> Response:
    """Return a page of swaps, newest first, of the DAGs that the user may read, and the total cost of all of them."""
    readable = frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))
    dag_ids = readable & {dag_id} if dag_id else readable
    found, more = find(SwapQuery(dag_ids, run_id, since=since, until=until))
    found = _readable(request, user, found)
    index = _map_index(map_index)
    chosen = [
        card
        for card in cards(found)
        if (state is None or card.newest.record.state == state) and (task_id is None or _has(card, task_id, index))
    ]
    page = chosen[offset : offset + limit]
    folders = _folders({card.newest.place.dag_id for card in page})
    return _facts(
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


@app.get("/image/{dag_id}/{run_id}/{task_id}/{map_index}/{slot}", dependencies=[Depends(_may_read)])
@_in_lane
def show_picture(
    dag_id: str, run_id: str, task_id: str, map_index: str, slot: str, size: str | None = None, part: _Part = 0
) -> Response:
    """Return a picture of a task's swap; the task's record decides which file, never the client."""
    place = TaskKey(dag_id, run_id, task_id, _map_index(map_index), part)
    which, record = _slot(slot), _record_at(place)
    if getattr(record, which) is None and record.request_id:
        # The task that stored the result does not know the scene; the task that ordered it does.
        record = _whole_swap(place) or record
    return _picture(_uri(record, which, size), _folders([dag_id])[dag_id])


@app.get("/items/{dag_id}/{run_id}/{task_id}/{map_index}", dependencies=[Depends(_may_read)])
@_in_lane
def list_items(
    dag_id: str, run_id: str, task_id: str, map_index: str, offset: _Offset = 0, limit: _Limit = PAGE
) -> Response:
    """Return a page of the swaps of a batch."""
    place = TaskKey(dag_id, run_id, task_id, _map_index(map_index))
    folders = _folders([dag_id])[dag_id]
    uri = _record_at(place).items
    total, items = _shown(lambda: read_page(uri, folders, offset, limit))
    return _facts({"total": total, "offset": offset, "swaps": [_batch_swap(place, item, folders) for item in items]})


@app.get("/items/{dag_id}/{run_id}/{task_id}/{map_index}/{index}/{slot}", dependencies=[Depends(_may_read)])
@_in_lane
def show_item_picture(
    dag_id: str, run_id: str, task_id: str, map_index: str, index: int, slot: str, size: str | None = None
) -> Response:
    """Return a picture of one swap of a batch; the batch's manifest decides which file."""
    which, record = _slot(slot), _record_at(TaskKey(dag_id, run_id, task_id, _map_index(map_index)))
    folders = _folders([dag_id])[dag_id]
    _, items = _shown(lambda: read_page(record.items, folders, max(0, index), int(index >= 0)))
    if not items:
        raise HTTPException(404, "The batch has no such swap.")
    return _picture(_uri(items[0].record, which, size), folders)


@app.get("/costs", dependencies=[Depends(_may_read)])
@_in_lane
def show_costs(request: Request, user: GetUserDep, days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DAYS) -> Response:
    """Return a page with what the DAGs that the user may read have ordered, reused and wasted."""

    def readable(dag_ids: set[str]) -> set[str]:
        known = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
        return _with_data(request, user, dag_ids & set(known))

    return costs_page(days, readable)


def _folders(dag_ids: Iterable[str]) -> dict[str, tuple[Root, ...]]:
    """Return the folders whose files each DAG may show."""
    configured = roots()
    teams = teams_of(dag_ids) if configured.by_team else {}
    return {dag_id: configured.of(dag_id, teams.get(dag_id)) for dag_id in dag_ids}


def _readable(request: Request, user: Any, found: Iterable[RecordRow]) -> list[RecordRow]:
    """Drop records of DAGs whose XComs the user may not read: access to a DAG does not include its data."""
    found = list(found)
    known = _with_data(request, user, {each.place.dag_id for each in found})
    return [each for each in found if each.place.dag_id in known]


def _with_data(request: Request, user: Any, dag_ids: Iterable[str]) -> set[str]:
    """Return those DAGs whose XComs the user may read."""
    known = set()
    for dag_id in dag_ids:
        with suppress(HTTPException):
            requires_access_dag("GET", DagAccessEntity.XCOM, dag_id)(request, user)
            known.add(dag_id)
    return known


def _map_index(said: str | None) -> int:
    """Return the map index, or -1 for the placeholder that the browser sends for a task that is not mapped."""
    return int(said) if said and said.isascii() and said.isdigit() and len(said) < 9 else -1


def _slot(said: str) -> Slot:
    for slot in SLOTS:
        if slot == said:
            return slot
    raise HTTPException(404, f"There is no picture {said[:40]!r} of a swap: it is one of {', '.join(SLOTS)}.")


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


def _uri(record: GalleryRecord, slot: Slot, size: str | None) -> str | None:
    full: str | None = getattr(record, slot)
    small: str | None = getattr(record.thumbs, slot)
    return small or full if size == "small" else full


def _picture(uri: str | None, folders: tuple[Root, ...]) -> Response:
    """Stream a picture at the speed of the browser."""
    chunks = read_chunks(uri, folders, MAX_PICTURE)
    first = _shown(lambda: next(chunks, b""))
    kind = _shown(lambda: media_type(first))
    return StreamingResponse(chain((first,), chunks), media_type=kind, headers=_PICTURE_HEADERS)


def _shown(read: Callable[[], T]) -> T:
    try:
        return read()
    except PictureError as error:
        raise HTTPException(error.status, str(error)) from error


def _facts(said: Mapping[str, Any]) -> Response:
    # In ASCII: half a surrogate pair, which a sidecar may have, cannot be encoded.
    body = json.dumps(said, allow_nan=False, separators=(",", ":"))
    return Response(body, media_type="application/json", headers=_FACTS_HEADERS)


def _totals(chosen: Iterable[SwapView]) -> dict[str, Any]:
    records = [card.newest.record for card in chosen]
    return {
        "total": len(records),
        **{state: sum(record.state == state for record in records) for state in STATES},
        "ordered": sum(record.orders for record in records),
        "spent": round(sum(record.cost or 0 for record in records), 4),
        "maybe": round(sum(record.maybe or 0 for record in records), 4),
    }


def _swap(card: SwapView, folders: tuple[Root, ...]) -> dict[str, Any]:
    place = card.newest.place
    urls: dict[Slot, str] = {
        slot: f"image/{_path(source)}/{slot}" + (f"?part={source.part}" if source.part else "")
        for slot, source in card.sources.items()
    }
    items = card.newest.record.items
    return {
        **place._asdict(),
        **_said(card.newest.record, urls, folders),
        "at": card.newest.at,
        "items": f"items/{_path(place)}" if items and allowed(items, folders) else None,
        "batch": bool(items),
    }


def _batch_swap(place: TaskKey, item: Item, folders: tuple[Root, ...]) -> dict[str, Any]:
    urls: dict[Slot, str] = {slot: f"items/{_path(place)}/{item.index}/{slot}" for slot in SLOTS}
    return {**place._asdict(), **_said(item.record, urls, folders), "index": item.index, "batch": False, "items": None}


def _said(record: GalleryRecord, urls: Mapping[Slot, str], folders: tuple[Root, ...]) -> dict[str, Any]:
    """Return the facts for the browser, with addresses of our own routes instead of URIs."""
    return {
        "label": record.label,
        "state": record.state,
        "request_id": record.request_id,
        "orders": record.orders,
        "cost": record.cost,
        "maybe": record.maybe,
        "seconds": record.seconds,
        "submitted_at": record.submitted_at,
        "checks": [{**asdict(check), "words": in_words(check.name, check.why)} for check in record.checks],
        "pictures": {slot: _addresses(record, slot, urls.get(slot), folders) for slot in SLOTS},
    }


def _addresses(
    record: GalleryRecord, slot: Slot, url: str | None, folders: tuple[Root, ...]
) -> dict[str, str | None] | None:
    """Return a picture's addresses in both sizes, each only if it may be shown; ``None`` if there is no picture."""
    full: str | None = getattr(record, slot)
    small: str | None = getattr(record.thumbs, slot)
    if url is None or not full:
        return None
    large = url if allowed(full, folders) else None
    more = "&" if "?" in url else "?"
    return {"full": large, "small": f"{url}{more}size=small" if small and allowed(small, folders) else large}


def _path(place: TaskKey) -> str:
    return "/".join(quote(str(each), safe="") for each in place[:4])
