"""Store the pictures of many jobs by name, a few at a time; one failure does not affect the others."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from string import Formatter
from typing import Any

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.uris import cause, shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.orders.rules import estimated_cost
from airflow_provider_segmind.storage.deliveries import Delivery
from airflow_provider_segmind.storage.keep import Item, Manner, keep

log = logging.getLogger(__name__)

THREADS = 8
REPORT_SECONDS = 30.0
FIELDS = ("request_id", "row", "index", "keyname", "id", "ds", "ts_nodash", "run_id", "dag_id", "task_id")
MAX_VALUE = 100

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]+")


@dataclass(frozen=True)
class Shelf:
    """Folder and names for stored pictures."""

    destination: str
    name: str  # template of a path in the destination, with FIELDS
    values: Mapping[str, Any]  # of template fields that are the same for all pictures
    details: Mapping[str, Any]  # more facts for each sidecar

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.destination, str) or not self.destination.strip():
            raise InvalidRequestError(f"destination is {self.destination!r}: give the URI of a folder.")

    def items(self, jobs: Iterable[Delivery]) -> list[Item]:
        """Return an item for each picture, in order; raise, before anything is written, if two names are the same."""
        items = [item for job in jobs for item in self._items(job)]
        _check_distinct(items)
        return items

    def _items(self, job: Delivery) -> Iterator[Item]:
        for index, output in enumerate(job.pictures):
            own = {"request_id": job.request_id, "keyname": output.keyname, "index": index}
            facts = {**_price(job), **self.details, **job.facts, **own}
            base = name_of(self.name, {**self.values, **own, "id": job.facts.get("id"), "row": job.row})
            yield Item(f"{self.destination.rstrip('/')}/{base}", output.url, facts)


def _price(job: Delivery) -> dict[str, Any]:
    # A result may lack its workflow; most stored results are swaps.
    cost = estimated_cost(job.facts.get("workflow") or BODY_SWAP_WORKFLOW)
    return {} if cost is None else {"cost": cost}


def store_all(hook: SegmindHook, items: Sequence[Item], manner: Manner) -> list[dict[str, Any] | SegmindError]:
    """Store all items that are not stored yet; return for each, in order, the result of ``keep`` or the error."""
    _ = hook.settings  # look up the connection once, before the threads start
    began = reported = time.monotonic()
    outcomes: list[dict[str, Any] | SegmindError] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for outcome in pool.map(lambda item: _keep(hook, item, manner), items):
            outcomes.append(outcome)
            now = time.monotonic()
            if now - reported >= REPORT_SECONDS:
                reported = now
                log.info("Stored: %d of %d, %.0f s.", len(outcomes), len(items), now - began)
    return outcomes


def _keep(hook: SegmindHook, item: Item, manner: Manner) -> dict[str, Any] | SegmindError:
    try:
        return keep(hook, item, manner)
    except SegmindError as error:
        error.request_id = error.request_id or item.request_id
        log.error("Not stored: %s: %s", type(error).__name__, error)
        return error
    except Exception as error:
        log.exception("Not stored: request %s", item.request_id)
        return SegmindError(
            f"{shown(item.base)} could not be stored ({cause(error)}). A retry stores it without a second bill. "
            "Ask your Airflow administrator to check the destination's connection.",
            request_id=item.request_id,
        )


def _check_distinct(items: Iterable[Item]) -> None:
    taken: dict[str, Item] = {}
    for item in items:
        # Ignore case, as some file systems do.
        other = taken.setdefault(item.base.casefold(), item)
        if other is not item:
            raise InvalidRequestError(
                f"Two outputs would get the name {shown(item.base)!r} (requests {other.request_id} and "
                f"{item.request_id}), so nothing was written: use more fields in name, such as "
                "{request_id}, {keyname} and {index}."
            )
    for name, item in taken.items():
        if f"{name}.thumb" in taken:
            raise InvalidRequestError(
                f"An output would get the name {shown(item.base + '.thumb')!r}, which is that of the thumbnail of "
                f"{shown(item.base)!r}, so nothing was written: use another field in name, such as {{request_id}}."
            )


def check_name(name: str) -> None:
    """Raise if a template has unknown fields or leaves its destination."""
    try:
        parts = list(Formatter().parse(name))
    except ValueError as error:
        raise InvalidRequestError(f"name {name!r} cannot be read as a template: {error}.") from None
    for _, field, spec, conversion in parts:
        if field is not None and (field not in FIELDS or spec or conversion):
            raise InvalidRequestError(
                f"name {name!r} has the unknown field {{{field}}}; known are "
                f"{', '.join('{' + known + '}' for known in FIELDS)}."
            )
    if any(part.strip() in ("", ".", "..") for part in name.split("/")):
        raise InvalidRequestError(
            f"name {name!r} is empty, absolute, or has an empty, '.' or '..' part: give a path below the destination."
        )


def name_of(name: str, values: Mapping[str, Any]) -> str:
    """Fill a checked template; each value becomes safe for a path: no ``/``, no leading dot, at most 100 characters."""
    fields = {field for _, field, _, _ in Formatter().parse(name) if field is not None}
    return name.format(**{field: _safe(name, field, values.get(field)) for field in fields})


def _safe(name: str, field: str, value: Any) -> str:
    text = "" if value is None else _UNSAFE.sub("-", str(value)).lstrip(".")[:MAX_VALUE]
    if not text:
        raise InvalidRequestError(
            f"name {name!r} uses {{{field}}}, which is {value!r} here: use another field, such as {{request_id}}."
        )
    return text
