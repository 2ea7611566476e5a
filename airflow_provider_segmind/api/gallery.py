"""What the gallery in Airflow's UI shows of one body swap, or of a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any, Literal, get_args

XCOM_KEY = "body_swap"
"""The XCom that holds a task's record, or records."""
END_KEY = "body_swap_end"
"""The XCom in which a task that waits says how its swap ended."""

Slot = Literal["before", "reference", "after"]
State = Literal["completed", "failed", "waiting", "rejected"]

SLOTS: tuple[Slot, ...] = get_args(Slot)
STATES: tuple[State, ...] = get_args(State)

MAX_TEXT = 32_768
"""Characters of what one task says, as JSON; more is not read. Some 60 swaps fit."""
MAX_CHECKS = 20
MAX_WORDS = 300
"""Characters of a label, an id, or the reason of a check."""
MAX_LISTED = 200
"""Records of one task that are read: more than fit with their URIs, and few enough if they are empty."""
_MAX_URI = 2048
_MAX_NUMBER = 1e11


@dataclass(frozen=True)
class Pictures:
    """
    The URIs of a swap's three pictures, where there are any.

    :param before: the scene that was edited.
    :param reference: the new person.
    :param after: the result.
    """

    before: str | None = None
    reference: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class FailedCheck:
    """
    A check of a picture that failed.

    :param name: the check's name in ``docs/quality.md``.
    :param why: the reason in words.
    """

    name: str
    why: str


@dataclass(frozen=True)
class GalleryRecord:
    """
    One body swap as the gallery shows it, or one batch.

    Only URIs of object storage belong into it: a URL of Segmind ends after days and tells who looks at it.

    :param state: ``completed``, ``failed``, ``waiting``, or ``rejected``: by a check, before it was ordered.
    :param before: URI of the scene.
    :param reference: URI of the new person.
    :param after: URI of the result.
    :param thumbs: URIs of small pictures of the three.
    :param request_id: the job; records of several tasks with the same one are the same swap.
    :param cost: US dollars.
    :param seconds: how long the swap took.
    :param submitted_at: when it was ordered, in seconds since the epoch.
    :param checks: the checks that failed.
    :param label: a short name for people.
    :param items: URI of the stored manifest of a batch, whose swaps are shown one by one.
    """

    state: State = "completed"
    before: str | None = None
    reference: str | None = None
    after: str | None = None
    thumbs: Pictures = Pictures()
    request_id: str | None = None
    cost: float | None = None
    seconds: float | None = None
    submitted_at: float | None = None
    checks: tuple[FailedCheck, ...] = ()
    label: str | None = None
    items: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for an XCom, without what is empty, and words cut to a length that can be read."""
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
    """
    Return plain values for an XCom: of each record, or of as many of the first as are read.

    :param records: at least one.
    """
    said = [record.to_json() for record in records]
    lengths = accumulate(len(json.dumps(each)) + len(", ") for each in said)
    fitting = sum(length <= MAX_TEXT - len("[]") for length in lengths)
    # One alone is kept whatever its length: it is as long as its URIs.
    return said[: max(1, min(fitting, MAX_LISTED))]


def read_records(value: Any) -> tuple[GalleryRecord | None, ...]:
    """
    Read records that anybody may have written: who can edit XComs can put anything there.

    :param value: the XCom's value, or its JSON as text.
    :return: the records; ``None`` in the place of one in which anything is not as it must be. Unknown names are passed
        over.
    """
    try:
        if isinstance(value, str):
            value = json.loads(value) if len(value) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        return ()
    return tuple(map(_read, value[:MAX_LISTED])) if isinstance(value, list) else (_read(value),)


def read_record(value: Any) -> GalleryRecord | None:
    """
    Read the only record, or the first one.

    :param value: as for :func:`read_records`.
    """
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
    return GalleryRecord(
        state=state,
        **{slot: _text(said.get(slot), _MAX_URI) for slot in SLOTS},
        thumbs=Pictures(**{slot: _text(_map(said.get("thumbs")).get(slot), _MAX_URI) for slot in SLOTS}),
        request_id=_text(said.get("request_id"), MAX_WORDS),
        cost=_number(said.get("cost")),
        seconds=_number(said.get("seconds")),
        submitted_at=_number(said.get("submitted_at")),
        checks=_checks(said.get("checks")),
        label=_text(said.get("label"), MAX_WORDS),
        items=_text(said.get("items"), _MAX_URI),
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
    # Neither infinity nor "not a number" is between the two; and an integer can be too large to be a float.
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
