"""What the gallery's routes share: who may read, in which threads they run, and how they answer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict
from functools import partial, wraps
from hashlib import blake2s
from itertools import chain
from typing import Annotated, Any, ParamSpec, TypeVar
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Depends, HTTPException, Query, Response
from fastapi.responses import StreamingResponse

from airflow_provider_segmind.api.findings import in_words
from airflow_provider_segmind.api.gallery import SLOTS, GalleryRecord, Slot
from airflow_provider_segmind.gallery.items import Item, read_page
from airflow_provider_segmind.gallery.pictures import MAX_PICTURE, PictureError, media_type, read_chunks
from airflow_provider_segmind.gallery.records import TaskKey, teams_of
from airflow_provider_segmind.gallery.roots import Root, allowed, roots

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 24
MAX_PAGE = 100
_LANES = 4

_PICTURE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A task that is cleared makes another picture at the same address, so only an address with a version may be kept.
_CACHED, _ASKED_AGAIN = {"Cache-Control": "private, max-age=300"}, {"Cache-Control": "private, no-cache"}
_FACTS_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

may_read = requires_access_dag("GET", DagAccessEntity.XCOM)
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Size = str | None
Version = str | None

_lanes: RunVar[CapacityLimiter] = RunVar("segmind_gallery")


def in_lane(route: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a route in one of a few threads."""
    # Further gallery requests wait without a thread. This leaves the other threads to the rest of Airflow's API and
    # limits the memory to that of a few requests.

    @wraps(route)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        lanes = _lanes.get(None) or CapacityLimiter(_LANES)
        _lanes.set(lanes)
        return await to_thread.run_sync(partial(route, *args, **kwargs), limiter=lanes)

    # The FastAPI of Airflow 3.1 would look up the names of the route's types here, and not in the route's module.
    run.__signature__ = inspect.signature(route, eval_str=True)  # type: ignore[attr-defined]
    return run


def folders_of(dag_ids: Iterable[str]) -> dict[str, tuple[Root, ...]]:
    """Return the folders whose files each DAG may show."""
    configured = roots()
    teams = teams_of(dag_ids) if configured.by_team else {}
    return {dag_id: configured.of(dag_id, teams.get(dag_id)) for dag_id in dag_ids}


def folders_at(place: TaskKey) -> tuple[Root, ...]:
    """Return the folders whose files a task's DAG may show."""
    return folders_of([place.dag_id])[place.dag_id]


def index_of(said: str | None) -> int:
    """Return the map index, or -1 for the placeholder that the browser sends for a task that is not mapped."""
    return int(said) if said and said.isascii() and said.isdigit() and len(said) < 9 else -1


async def place_of(dag_id: str, run_id: str, task_id: str, map_index: str) -> TaskKey:
    """Return the task that a route's path names."""
    return TaskKey(dag_id, run_id, task_id, index_of(map_index))


Place = Annotated[TaskKey, Depends(place_of)]


def slot_of(said: str) -> Slot:
    """Return the slot of that name, or answer 404."""
    for slot in SLOTS:
        if slot == said:
            return slot
    raise HTTPException(404, f"There is no picture {said[:40]!r} of a swap: it is one of {', '.join(SLOTS)}.")


def uri_of(record: GalleryRecord, slot: Slot, size: str | None) -> str | None:
    """Return the URI of a picture in a size; small ones may be missing."""
    full: str | None = getattr(record, slot)
    small: str | None = getattr(record.thumbs, slot)
    return small or full if size == "small" else full


def picture_at(uri: str | None, folders: tuple[Root, ...], version: str | None) -> Response:
    """Stream a picture at the speed of the browser, which may keep it for a while if its address has a version."""
    chunks = read_chunks(uri, folders, MAX_PICTURE)
    first = or_refuse(lambda: next(chunks, b""))
    kind = or_refuse(lambda: media_type(first))
    headers = _PICTURE_HEADERS | (_CACHED if version else _ASKED_AGAIN)
    return StreamingResponse(chain((first,), chunks), media_type=kind, headers=headers)


def item_picture(
    uri: str | None, index: int, slot: str, size: str | None, folders: tuple[Root, ...], version: str | None
) -> Response:
    """Stream a picture of one swap of a batch or of a review; the manifest at a URI decides which file."""
    which = slot_of(slot)
    _, items = or_refuse(lambda: read_page(uri, folders, max(0, index), int(index >= 0)))
    if not items:
        raise HTTPException(404, "This batch or review has no such swap.")
    return picture_at(uri_of(items[0].record, which, size), folders, version)


def or_refuse(read: Callable[[], T]) -> T:
    """Return what can be read and shown, or answer why not."""
    try:
        return read()
    except PictureError as error:
        raise HTTPException(error.status, str(error)) from error


def answer(said: Mapping[str, Any]) -> Response:
    """Return facts as JSON that no cache keeps."""
    # In ASCII: half a surrogate pair, which a sidecar may have, cannot be encoded.
    body = json.dumps(said, allow_nan=False, separators=(",", ":"))
    return Response(body, media_type="application/json", headers=_FACTS_HEADERS)


def batch_swap(place: TaskKey, item: Item, folders: tuple[Root, ...], route: str = "items") -> dict[str, Any]:
    """Return the facts of one swap of a batch, or of a review."""
    urls: dict[Slot, str] = {slot: f"{route}/{path_of(place)}/{item.index}/{slot}" for slot in SLOTS}
    return {
        **place._asdict(),
        **facts_of(item.record, urls, folders),
        "index": item.index,
        "batch": False,
        "items": None,
    }


def facts_of(record: GalleryRecord, urls: Mapping[Slot, str], folders: tuple[Root, ...]) -> dict[str, Any]:
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
    version = blake2s(f"{full} {record.request_id}".encode(errors="replace"), digest_size=4).hexdigest()
    url = f"{url}{'&' if '?' in url else '?'}v={version}"
    large = url if allowed(full, folders) else None
    return {"full": large, "small": f"{url}&size=small" if small and allowed(small, folders) else large}


def path_of(place: TaskKey) -> str:
    """Return a place as a part of a URL."""
    return "/".join(quote(str(each), safe="") for each in place[:4])
