"""Store the pictures of many jobs by name, a few at a time; one failure does not affect the others."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from string import Formatter
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.uris import cause, shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.files.objects import LOCAL
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.orders.rules import estimated_cost
from airflow_provider_segmind.storage.deliveries import Delivery
from airflow_provider_segmind.storage.keep import Item, StoreOptions, store_output

log = logging.getLogger(__name__)

THREADS = 8
REPORT_SECONDS = 30.0
FIELDS = ("request_id", "row", "index", "keyname", "id", "ds", "ts_nodash", "run_id", "dag_id", "task_id")
MAX_VALUE = 100
"""Characters of one value in a name."""
MAX_PART = 255 - len(".thumb.webp") - len(f"..{time.time_ns()}")
"""Bytes of a name or folder on a file system: 255, less its suffix and what is put around it while it is written."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]+")
# Of devices on Windows, whatever suffix follows; its file servers store no such name.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_OWN = ("request_id", "keyname", "index", "id", "row")


@dataclass(frozen=True)
class StoragePlan:
    """Folder and names for stored pictures."""

    destination: str
    name: str  # template of a path in the destination, with FIELDS
    values: Mapping[str, Any]  # of template fields that are the same for all pictures
    details: Mapping[str, Any]  # more facts for each sidecar

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.destination, str) or not self.destination.strip():
            raise InvalidRequestError(f"destination is {self.destination!r}: give the URI of a folder.")

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of a file system, which bounds names."""
        return urlsplit(self.destination).scheme in LOCAL

    def items(self, jobs: Iterable[Delivery]) -> list[Item]:
        """Return an item for each picture, in order; raise, before anything is written, if two names are the same."""
        named = [one for job in jobs for one in self._named(job)]
        exact, shared = Counter(one.key for one in named if not one.replaced), Counter(one.key for one in named)
        thumbnails = {f"{key}.thumb" for key in shared}
        # Of those that would share a name, only one that has its own may keep it. So it does not depend on the order,
        # nor on what is stored already, under which name a retry looks for a picture.
        items = [
            self._item(
                one,
                apart=one.key in thumbnails or (shared[one.key] > 1 and (one.replaced or exact[one.key] > 1)),
            )
            for one in named
        ]
        _check_distinct(items)
        changed = [item for item in items if "named_for" in item.facts]
        if changed:
            log.info(
                "%d of %d names differ from the values in them, which the sidecars have as named_for; first: %s for %s",
                *(len(changed), len(items), shown(changed[0].base), shown(changed[0].facts["named_for"])),
            )
        return items

    def _named(self, job: Delivery) -> Iterator[_Named]:
        used = {field for _, field, _, _ in Formatter().parse(self.name)}
        for index, output in enumerate(job.pictures):
            ids = {"request_id": job.request_id, "keyname": output.keyname, "index": index}
            values = {**self.values, **ids, "id": job.facts.get("id"), "row": job.row}
            own = {field: str(values[field]) for field in _OWN if field in used}
            base = name_of(self.name, values, local=self.is_local)
            replaced = any(value not in base for value in own.values())
            yield _Named(base, replaced, own, output.url, {**_price(job), **self.details, **job.facts, **ids})

    def _item(self, one: _Named, *, apart: bool) -> Item:
        base = one.base
        if apart:
            folder, slash, last = base.rpartition("/")
            base = f"{folder}{slash}{_with_digest(last, json.dumps(one.own), MAX_PART)}"
        facts = {**one.facts, "named_for": one.own} if apart or one.replaced else one.facts
        return Item(f"{self.destination.rstrip('/')}/{base}", one.url, facts)


@dataclass(frozen=True)
class _Named:
    """A picture with the name that the template gives it."""

    base: str
    replaced: bool  # whether a value is not literally in it
    own: Mapping[str, str]  # the values in it that are not the same for all pictures
    url: str
    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its name on a file system that ignores case, as some do."""
        return self.base.casefold()


def _price(job: Delivery) -> dict[str, Any]:
    # A result may lack its workflow; most stored results are swaps.
    cost = estimated_cost(job.facts.get("workflow") or BODY_SWAP_WORKFLOW)
    return {} if cost is None else {"cost": cost}


def store_all(hook: SegmindHook, items: Sequence[Item], options: StoreOptions) -> list[dict[str, Any] | SegmindError]:
    """Store all items that are not stored yet; return for each, in order, the facts of its files or the error."""
    _ = hook.settings  # look up the connection once, before the threads start
    began = reported = time.monotonic()
    outcomes: list[dict[str, Any] | SegmindError] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for outcome in pool.map(lambda item: _keep(hook, item, options), items):
            outcomes.append(outcome)
            now = time.monotonic()
            if now - reported >= REPORT_SECONDS:
                reported = now
                log.info("Stored: %d of %d, %.0f s.", len(outcomes), len(items), now - began)
    return outcomes


def _keep(hook: SegmindHook, item: Item, options: StoreOptions) -> dict[str, Any] | SegmindError:
    try:
        return store_output(hook, item, options)
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
    if "::" in name:
        raise InvalidRequestError(
            f"name {name!r} has two colons (::), at which Airflow's object storage cuts a name off: write other signs."
        )
    if any(part.strip() in ("", ".", "..") for part in name.split("/")):
        raise InvalidRequestError(
            f"name {name!r} is empty, absolute, or has an empty, '.' or '..' part: give a path below the destination."
        )


def name_of(name: str, values: Mapping[str, Any], *, local: bool = False) -> str:
    """
    Fill a checked template with values that are safe in a path.

    A value keeps the letters and digits of all scripts, has no ``/``, no leading dot and at most 100 characters. Where
    more than a blank or a sign of ASCII is lost, a digest keeps it apart from others.

    :param local: whether a part may have only as many bytes as a file system stores.
    """
    fields = {field for _, field, _, _ in Formatter().parse(name) if field is not None}
    filled = name.format(**{field: _safe(name, field, values.get(field)) for field in fields})
    return "/".join(_storable(part, local) for part in filled.split("/"))


def _safe(name: str, field: str, value: Any) -> str:
    said = "" if value is None else str(value)
    if not said:
        raise InvalidRequestError(
            f"name {name!r} uses {{{field}}}, which is {value!r} here: use another field, such as {{request_id}}."
        )
    if said.isascii():  # as ever: what is stored must be found again
        return _UNSAFE.sub("-", said).lstrip(".")[:MAX_VALUE] or _digest(said)
    kept = [sign if _is_kept(sign) else "-" for sign in unicodedata.normalize("NFC", said)]
    text = re.sub("-{2,}", "-", "".join(kept)).lstrip(".")
    lost = any(not (_is_kept(sign) or sign.isascii() or sign.isspace()) for sign in said)
    return _with_digest(text, said) if lost or len(text) > MAX_VALUE else text


def _is_kept(sign: str) -> bool:
    # A mark (M) is part of a letter in many scripts, as a vowel in Hindi or Thai.
    return sign in "._+=-" or unicodedata.category(sign)[0] in "LNM"


def _storable(part: str, local: bool) -> str:
    """Return a part of a path under which it can be stored."""
    # A longer one of ASCII may be in a bucket already.
    too_long = len(part.encode()) > MAX_PART and (local or not part.isascii())
    return _with_digest(part, part, MAX_PART) if too_long or _RESERVED.fullmatch(part) else part


def _with_digest(text: str, said: str, most: int = MAX_VALUE) -> str:
    """Return a text with a digest of what it stands for, of at most so many bytes."""
    end = f"-{_digest(said)}"
    return text.encode()[: most - len(end)].decode(errors="ignore") + end


def _digest(said: str) -> str:
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:8]
