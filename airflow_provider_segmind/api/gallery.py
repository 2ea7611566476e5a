"""The record of one body swap, or of a batch, that the gallery in Airflow's UI shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any, Literal, get_args

XCOM_KEY = "body_swap"
"""XCom key of a task's records."""
END_KEY = "body_swap_end"
"""XCom key under which a waiting task stores how its swap ended."""

REVIEW_KEY = "segmind_review"
"""XCom key under which a review stores where its pictures are listed."""
VERDICTS_KEY = "segmind_verdicts"
"""XCom key of the verdicts that people have given: by index, the verdict, who gave it, and when."""

Verdict = Literal["keep", "reject", "again"]
"""What a person says of a picture in a review."""
Slot = Literal["before", "reference", "after"]
State = Literal["completed", "failed", "waiting", "open", "unknown", "rejected"]

SLOTS: tuple[Slot, ...] = get_args(Slot)
STATES: tuple[State, ...] = get_args(State)

MAX_TEXT = 32_768
"""Longest JSON of one task in characters, some 60 swaps; longer text is not read."""
MAX_CHECKS = 20
MAX_WORDS = 300
"""Longest label, id or reason of a check, in characters."""
MAX_LISTED = 200
"""Most records read per task: more than fit with URIs, and few enough if empty."""
_MAX_URI = 2048
_MAX_NUMBER = 1e11


@dataclass(frozen=True)
class Pictures:
    """URIs of a swap's three pictures: the scene, the new person, and the result."""

    before: str | None = None
    reference: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class FailedCheck:
    """A failed check of a picture: its name in ``docs/quality.md`` and the reason."""

    name: str
    why: str


@dataclass(frozen=True)
class GalleryRecord:
    """
    One body swap, or one batch, as the gallery shows it.

    Use only URIs of object storage: a URL of Segmind expires after days and reveals who looks at it.

    :param state: ``open``: paid for, and nobody waits for it now; its result can still be fetched. ``unknown``: nobody
        knows whether an order was accepted. ``rejected``: by a check, before the order.
    :param before: URI of the scene.
    :param reference: URI of the new person.
    :param after: URI of the result.
    :param request_id: the job; records of several tasks with the same id are the same swap.
    :param orders: accepted orders of its task, earlier attempts included; only a task that orders has any.
    :param cost: US dollars of all of them.
    :param maybe: US dollars of orders of unknown outcome.
    :param seconds: duration of the swap.
    :param submitted_at: seconds since the epoch.
    :param items: URI of a batch's stored manifest, whose swaps are shown one by one.
    :param total: swaps that it stands for, of a batch.
    :param missing: how many of them have ended without a picture.
    """

    state: State = "completed"
    before: str | None = None
    reference: str | None = None
    after: str | None = None
    thumbs: Pictures = Pictures()
    request_id: str | None = None
    orders: int = 0
    cost: float | None = None
    maybe: float | None = None
    seconds: float | None = None
    submitted_at: float | None = None
    checks: tuple[FailedCheck, ...] = ()
    label: str | None = None
    items: str | None = None
    total: int = 1
    missing: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values for an XCom, without empty fields, and with long texts cut."""
        cut = replace(
            self,
            label=_shorten(self.label),
            checks=tuple(FailedCheck(check.name[:MAX_WORDS], check.why[:MAX_WORDS]) for check in self.checks),
        )
        said = asdict(cut)
        said["thumbs"] = {slot: uri for slot, uri in said["thumbs"].items() if uri is not None}
        said["checks"] = list(said["checks"][:MAX_CHECKS])
        return {name: value for name, value in said.items() if value not in (None, {}, [])}


def to_json(records: Sequence[GalleryRecord]) -> list[dict[str, Any]]:
    """Return plain values for an XCom: at least the first record, then as many as the gallery reads."""
    said = [record.to_json() for record in records]
    lengths = accumulate(len(json.dumps(each)) + len(", ") for each in said)
    fitting = sum(length <= MAX_TEXT - len("[]") for length in lengths)
    # A single record is kept whatever its length.
    return said[: max(1, min(fitting, MAX_LISTED))]


def read_records(value: Any) -> tuple[GalleryRecord | None, ...]:
    """
    Read records from an XCom; any user who can edit XComs may have written them.

    :param value: the XCom's value, or its JSON as text.
    :return: the records, ``None`` in place of each invalid one; unknown names are ignored.
    """
    try:
        if isinstance(value, str):
            value = json.loads(value) if len(value) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        return ()
    return tuple(map(_read, value[:MAX_LISTED])) if isinstance(value, list) else (_read(value),)


def read_record(value: Any) -> GalleryRecord | None:
    """Read the first record; see :func:`read_records`."""
    return next(iter(read_records(value)), None)


def _read(value: Any) -> GalleryRecord | None:
    try:
        return _record(value) if isinstance(value, Mapping) else None
    except (ValueError, RecursionError):
        return None


def _record(said: Mapping[str, Any]) -> GalleryRecord:
    state = said.get("state", "completed")
    if state not in STATES:
        raise ValueError(state)
    cost = _number(said.get("cost"))
    orders = _number(said.get("orders"))
    return GalleryRecord(
        state=state,
        **{slot: _text(said.get(slot), _MAX_URI) for slot in SLOTS},
        thumbs=Pictures(**{slot: _text(_map(said.get("thumbs")).get(slot), _MAX_URI) for slot in SLOTS}),
        request_id=_text(said.get("request_id"), MAX_WORDS),
        # Records of an older version have no number of orders: one with a cost ordered once.
        orders=int(bool(cost) if orders is None else orders),
        cost=cost,
        maybe=_number(said.get("maybe")),
        seconds=_number(said.get("seconds")),
        submitted_at=_number(said.get("submitted_at")),
        checks=_checks(said.get("checks")),
        label=_text(said.get("label"), MAX_WORDS),
        items=_text(said.get("items"), _MAX_URI),
        total=int(_number(said.get("total")) or 1),
        missing=int(_number(said.get("missing")) or 0),
    )


def _shorten(text: str | None) -> str | None:
    return None if text is None else text[:MAX_WORDS]


def _map(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(value)
    return value


def _text(value: Any, longest: int) -> str | None:
    if value is not None and not (isinstance(value, str) and len(value) <= longest):
        raise ValueError(value)
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    # The range excludes infinity and NaN; and an integer can be too large for a float.
    if not plain or not 0 <= value <= _MAX_NUMBER:
        raise ValueError(value)
    return float(value)


def _checks(value: Any) -> tuple[FailedCheck, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_CHECKS:
        raise ValueError(value)
    return tuple(_check(_map(entry)) for entry in value)


def _check(said: Mapping[str, Any]) -> FailedCheck:
    return FailedCheck(_text(said.get("name"), MAX_WORDS) or "", _text(said.get("why"), MAX_WORDS) or "")
