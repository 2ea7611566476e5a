"""
Read the swaps of a batch from a list of dicts, or from a manifest in CSV or JSON Lines. Pure.

A batch is refused as a whole, before the first charge. One message lists all problems with their places.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.uris import shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_INPUTS, check_character, check_image

MAX_LINE = 64 * 1024
"""Longest line of a manifest in bytes: URLs and words, never a picture."""
MAX_MANIFEST = 64 * 1024 * 1024
"""Largest manifest in bytes."""
SHOWN = 20
"""Most problems that a message lists; the rest is counted."""
COLUMNS = (*BODY_SWAP_INPUTS, "id", "consent_reference")

_NAME = re.compile(r"[^\W\d]\w{0,39}\Z")
_Row = tuple[str, object]


@dataclass(frozen=True, slots=True)
class Swap:
    """
    One swap of a batch, as its author gave it.

    :param index: its number in the batch, from 0.
    :param place: where it stands, for messages: ``line 12``, ``item 12``.
    :param character_image: the scene.
    :param reference_character_image: the new person.
    :param select_character: the person to replace, in words.
    :param id: the author's own name for it.
    :param consent_reference: where the consent of its people is on record; never sent.
    """

    index: int
    place: str
    character_image: str
    reference_character_image: str
    select_character: str
    id: str | None = None
    consent_reference: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """The inputs by name."""
        return {name: getattr(self, name) for name in BODY_SWAP_INPUTS}


class Problems:
    """Collects all problems of a batch for one message."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: str, problem: object) -> None:
        """Add a problem at a place."""
        self._found.append(f"{place}: {problem}")

    def check(self) -> None:
        """
        Raise an error if there are problems.

        :raises InvalidRequestError: lists the first problems; nothing was sent.
        """
        if self._found:
            more = len(self._found) - SHOWN
            listed = "\n".join(self._found[:SHOWN]) + (f"\n… and {more} more" if more > 0 else "")
            raise InvalidRequestError(
                f"{shown(self.where)} cannot be ordered, and nothing was ordered. Correct these problems:\n{listed}"
            )


def read_manifest(data: bytes, where: str, *, select_character: str) -> list[Swap]:
    """
    Read a manifest.

    :param data: CSV with a header line if the name ends in ``.csv``, else one JSON object per line.
    :param where: the manifest's name, for messages.
    :param select_character: default for lines without it.
    :raises InvalidRequestError: if anything is wrong with it.
    """
    problems = Problems(where)
    lines = list(_lines(data, problems))
    problems.check()
    rows = _csv_rows(lines, problems) if where.lower().endswith(".csv") else _json_rows(lines, problems)
    return _swaps(rows, problems, select_character)


def read_items(items: object, *, select_character: str) -> list[Swap]:
    """
    Read a list of dicts.

    :param select_character: default for items without it.
    :raises InvalidRequestError: if it is no such list, or anything is wrong with it.
    """
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidRequestError(
            f"swaps is {shown(items)}: give a list of dicts with {', '.join(BODY_SWAP_IMAGES)}, or a manifest's URI."
        )
    problems = Problems("swaps")
    return _swaps(((f"item {number}", item) for number, item in enumerate(items)), problems, select_character)


def _lines(data: bytes, problems: Problems) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if len(line) > MAX_LINE:
            problems.add(f"line {number}", f"it has {len(line)} bytes, at most {MAX_LINE} are read")
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            problems.add(f"line {number}", f"it is not UTF-8 ({error.reason} at byte {error.start})")
            continue
        if text.strip():
            yield number, text


def _json_rows(lines: Sequence[tuple[int, str]], problems: Problems) -> Iterator[_Row]:
    for number, text in lines:
        try:
            yield f"line {number}", json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.add(f"line {number}", f"it is no JSON object ({error})")


def _csv_rows(lines: Sequence[tuple[int, str]], problems: Problems) -> Iterator[_Row]:
    header: list[str] | None = None
    for number, text in lines:
        try:
            (cells,) = csv.reader(io.StringIO(text, newline=""), strict=True)
        except (csv.Error, ValueError) as error:
            problems.add(f"line {number}", f"it is no line of CSV ({error})")
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            missing = [name for name in BODY_SWAP_IMAGES if name not in header]
            if missing:
                problems.add(f"line {number}", f"the header has no column {', '.join(missing)}")
            if len(set(header)) < len(header):
                problems.add(f"line {number}", "the header has a column twice")
            problems.check()
        elif len(cells) != len(header):
            problems.add(f"line {number}", f"it has {len(cells)} cells, and the header {len(header)}")
        else:
            yield f"line {number}", {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}


def _swaps(rows: Iterable[_Row], problems: Problems, select_character: str) -> list[Swap]:
    swaps: list[Swap] = []
    seen: dict[object, str] = {}
    for place, row in rows:
        try:
            swap = _swap(len(swaps), place, row, select_character)
        except ValueError as error:
            problems.add(place, error)
            continue
        for what, key in (("the same swap", tuple(swap.given.items())), ("the same id", swap.id)):
            if key is not None and key in seen:
                problems.add(place, f"it is {what} as {seen[key]}; it would be paid for twice")
            elif key is not None:
                seen[key] = place
        swaps.append(swap)
    if not swaps and not problems:
        problems.add(problems.where, "there is nothing to swap in it")
    problems.check()
    return swaps


def _swap(index: int, place: str, row: object, select_character: str) -> Swap:
    if not isinstance(row, Mapping):
        # The file may be any file, so messages repeat no text from it.
        said = row if len(repr(row)) <= 20 and "'" not in repr(row) else f"a {type(row).__name__}"
        raise InvalidRequestError(f"it is {said}, not an object with {', '.join(BODY_SWAP_IMAGES)}")
    unknown = sorted(str(name) for name in row if name not in COLUMNS)
    if unknown:
        # The file may be any file, so messages repeat only what can be a column's name.
        named = ", ".join(name if _NAME.match(name) else "(no name)" for name in unknown[:SHOWN])
        raise InvalidRequestError(f"there is no column {named}: known are {', '.join(COLUMNS)}")
    label: Any = row.get("id")
    scene, person = (check_image(name, row.get(name)) for name in BODY_SWAP_IMAGES)
    character = check_character(row.get("select_character") or select_character)
    consent = row.get("consent_reference")
    return Swap(index, place, scene, person, character, *(_text(value) for value in (label, consent)))


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
