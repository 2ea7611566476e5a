"""
Read the swaps of a batch from a list of dicts, or from a manifest: a table or JSON. Pure.

A batch is refused as a whole, before the first charge. One message lists all problems with their places.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from sys import intern
from typing import Any

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.tables import MAX_LINE, Add, Columns, Row, csv_lines, divided, kept, table_rows
from airflow_provider_segmind.api.texts import encoding_of, is_workbook, unpacked
from airflow_provider_segmind.api.uris import quoted, shown
from airflow_provider_segmind.api.workbook import NO_RESULTS, Uncalculated, workbook_rows
from airflow_provider_segmind.api.workflows import (
    BODY_SWAP_IMAGES,
    BODY_SWAP_INPUTS,
    check_character,
    check_image,
    is_nothing,
    is_written,
)

SHOWN = 20
"""Most problems that a message lists; the rest is counted."""
MAX_TAKES = 100
"""Most takes of one swap."""
MAX_SWAPS = 1_000_000
"""Most swaps of a batch, each take counted."""

_JSON_NAME = re.compile(r"[^?#]*\.(?:json|jsonl|ndjson)(?:\.gz)?(?:[?#].*)?\Z", re.IGNORECASE | re.DOTALL)
_BLANK = re.compile(r"[\s\ufeff]*")
_BEFORE = b"\0\xef\xbb\xbf\xff\xfe \t\r\n"
_FAULT = re.compile(
    r"#+|#[¡¿]?[^\W\d]{2,}(?:/[^\W\d]|/0)?[\s\u00a0\u202f]?[!?]|#[^\W\d]/[^\W\d][!?]?|Loading\.\.\.|Err:\d{3}"
    r"|#(?:NV|YOK|HIÁNYZIK|NENÍ_K_DISPOZICI|GETTING_DATA)"
)
"""What a spreadsheet shows for a formula that fails, in the languages of Excel."""
_LOUD = re.compile(r"#[^\W\d]{2,}")
"""What it may show in others: no description of a person, but perhaps an id."""


@dataclass(frozen=True, slots=True)
class Swap:
    """
    One swap of a batch, as its author gave it.

    :param index: its number in the batch, from 0.
    :param place: where it stands, for messages: ``line 12``, ``row 12``, ``item 12``.
    :param character_image: the scene.
    :param reference_character_image: the new person.
    :param select_character: the person to replace, in words.
    :param id: the author's own name for it.
    :param consent_reference: where the consent of its people is on record; never sent.
    :param extra: the author's other columns as a JSON object, for the results; never sent.
    :param take: which of several wanted pictures of the same swap, from 1.
    """

    index: int
    place: str
    character_image: str
    reference_character_image: str
    select_character: str
    id: str | None = None
    consent_reference: str | None = None
    extra: str = ""
    take: int = 1

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


def read_manifest(data: bytes, where: str, *, select_character: str, columns: object = None) -> list[Swap]:
    """
    Read a manifest: CSV however it is delimited, an Excel workbook, JSON Lines or a JSON array, also packed by gzip.

    :param data: its bytes, which decide what it is.
    :param where: the manifest's name, for messages.
    :param select_character: default for lines without it.
    :param columns: the author's names of columns, by which they are known here.
    :raises InvalidRequestError: if anything is wrong with it.
    """
    problems = Problems(where)
    names = Columns(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of openpyxl, about what it leaves out
        return _swaps(_manifest_rows(data, where, names, problems), problems, select_character)


def read_items(items: object, *, select_character: str, columns: object = None) -> list[Swap]:
    """
    Read a list of dicts.

    :param select_character: default for items without it.
    :param columns: the author's names of columns, by which they are known here.
    :raises InvalidRequestError: if it is no such list, or anything is wrong with it.
    """
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidRequestError(
            f"swaps is {shown(items)}: give a list of dicts with {', '.join(BODY_SWAP_IMAGES)}, or a manifest's URI."
        )
    problems = Problems("swaps")
    values = ((f"item {number}", item) for number, item in enumerate(items))
    return _swaps(_object_rows(values, Columns(columns), problems), problems, select_character)


def _manifest_rows(data: bytes, where: str, columns: Columns, problems: Problems) -> Iterator[Row]:
    try:
        data = unpacked(data)
        if is_workbook(data):
            names: list[str] = []
            yield from table_rows(workbook_rows(data, names), columns, problems.add, unit="row")
            if problems and len(names) > 1:
                first, *others = (quoted(name, most=40) for name in names[:10])
                problems.add(
                    "the file", f"only the first visible sheet is read, {first}; others are {', '.join(others)}"
                )
        elif data.lstrip(_BEFORE)[:1] in (b"{", b"[") or _JSON_NAME.match(where):
            text = data.decode(encoding_of(data, western=False))
            yield from _object_rows(_json_values(text, problems.add), columns, problems)
        else:
            lines = csv_lines(data, encoding_of(data), columns, problems.add)
            yield from table_rows(lines, columns, problems.add)
    except InvalidRequestError as error:
        problems.add("the file", error)


def _json_values(text: str, add: Add) -> Iterator[tuple[str, object]]:
    """Yield the values of JSON Lines, of objects one after the other, or of one array."""
    decode = json.JSONDecoder(object_pairs_hook=_once).raw_decode
    newline = "\n" if "\n" in text else "\r"
    at = _after_blank(text, 0)
    array = text.startswith("[", at)
    at += array
    number, counted, comma_is_due = 1, 0, False
    while (at := _after_blank(text, at)) < len(text):
        number, counted = number + text.count(newline, counted, at), at
        place = f"line {number}"
        if array and text[at] == "]":
            end = _after_blank(text, at + 1)
            if end < len(text):
                add(f"line {number + text.count(newline, at, end)}", "something follows the JSON array")
            return
        if comma_is_due:
            if text[at] != ",":
                add(place, "the JSON array is broken: a comma is missing")
                return
            at, comma_is_due = at + 1, False
            continue
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError) as error:
            said = f"it is no JSON object ({getattr(error, 'msg', type(error).__name__)})"
            add(place, error if isinstance(error, InvalidRequestError) else said)
            if array:
                return
            at = text.find(newline, at) + 1 or len(text)
            continue
        if end - at > MAX_LINE:
            add(place, f"it has {end - at} characters, at most {MAX_LINE} are read")
        else:
            yield place, value
        at, comma_is_due = end, array
    if array:
        add(f"line {number}", "the JSON array has no end: is the file cut off?")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise if a name is there twice, of which only the last would count."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequestError(f"it has {quoted(twice, most=60)} twice: give each name once")
    return found


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _object_rows(values: Iterable[tuple[str, object]], columns: Columns, problems: Problems) -> Iterator[Row]:
    for place, value in values:
        try:
            yield place, *_object(value, columns)
        except InvalidRequestError as error:
            problems.add(place, error)


def _object(row: object, columns: Columns) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(row, Mapping):
        # The file may be any file, so messages repeat no text from it.
        said = row if len(repr(row)) <= 20 and "'" not in repr(row) else f"a {type(row).__name__}"
        raise InvalidRequestError(f"it is {said}, not an object with {', '.join(BODY_SWAP_IMAGES)}")
    known, others = divided(row, columns)
    if not known and any(isinstance(value, list) for value in others.values()):
        raise InvalidRequestError(
            "it is one object that holds a list: give the list alone, as a JSON array, or one object in each line"
        )
    if not known and any(isinstance(value, Mapping) for value in others.values()):
        raise InvalidRequestError("it holds its fields in an object of their own: give these fields alone")
    return known, others


def _swaps(rows: Iterable[Row], problems: Problems, select_character: str) -> list[Swap]:
    swaps: list[Swap] = []
    seen: dict[object, str] = {}
    for place, known, others in rows:
        try:
            swap = _swap(len(swaps), place, known, others, select_character)
            takes, first = (_takes(name, known.get(name)) for name in ("takes", "first_take"))
        except ValueError as error:
            problems.add(place, error)
            continue
        inputs = (swap.character_image, swap.reference_character_image, swap.select_character)
        if before := next((seen[same] for take in range(takes) if (same := (*inputs, first + take)) in seen), None):
            problems.add(place, f"it is the same swap as {before}; it would be paid for twice: say takes=2 if so meant")
        if len(swaps) + takes > MAX_SWAPS:
            problems.add(place, f"there are more than {MAX_SWAPS} swaps: divide the batch")
            break
        for take in _each_take(replace(swap, take=first) if first > 1 else swap, takes):
            seen.setdefault((*inputs, take.take), place)
            if take.id is not None and (before := seen.setdefault(take.id, place)) is not place:
                problems.add(place, f"it is the same id as {before}; it would be paid for twice")
            swaps.append(take)
    if not swaps and not problems:
        problems.add(problems.where, "there is nothing to swap in it")
    problems.check()
    return swaps


def _swap(index: int, place: str, known: Mapping[str, Any], others: Mapping[str, Any], select_character: str) -> Swap:
    for name, value in known.items():
        if isinstance(value, Uncalculated):
            raise InvalidRequestError(f"{name} is the 0 of a formula. Perhaps {NO_RESULTS}, or write the value itself")
        if isinstance(value, str) and _is_fault(value.strip(), may_be_loud=name in ("id", "consent_reference")):
            raise InvalidRequestError(f"{name} shows an error of the spreadsheet: correct its formula")
    scene, person = (check_image(name, known.get(name)) for name in BODY_SWAP_IMAGES)
    character = check_character(known.get("select_character") or select_character)
    label, consent = (_text(name, known.get(name)) for name in ("id", "consent_reference"))
    # Most swaps of a batch share these: kept once, 100,000 take 20 MB less.
    return Swap(index, place, scene, intern(person), intern(character), label, consent, kept(others))


def _is_fault(text: str, *, may_be_loud: bool) -> bool:
    if text[:1] not in ("#", "L", "E"):
        return False
    if _FAULT.fullmatch(text):
        return text[0] != "#" or text == text.upper()
    return not may_be_loud and text.isupper() and bool(_LOUD.fullmatch(text))


def _each_take(swap: Swap, takes: int) -> Iterator[Swap]:
    if takes == 1:
        yield swap
        return
    for number in range(1, takes + 1):
        label = None if swap.id is None else f"{swap.id}-{number}"
        yield replace(
            swap,
            index=swap.index + number - 1,
            place=f"{swap.place}, take {number}",
            id=label,
            take=swap.take + number - 1,
        )


def _takes(name: str, value: Any) -> int:
    """Return how often a swap is ordered, or the number of its first take."""
    number = 1 if _is_missing(value) else value
    if isinstance(number, str) and (found := re.fullmatch(r"\s*([0-9]{1,3})(?:[.,]0+)?\s*", number)):
        number = int(found[1])
    if isinstance(number, bool) or number not in range(1, MAX_TAKES + 1):
        raise InvalidRequestError(
            f"{name} is {quoted(value, most=20)}: it must be a whole number from 1 to {MAX_TAKES}"
        )
    return int(number)


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and is_nothing(value))


def _text(name: str, value: Any) -> str | None:
    """Return a text as it is given; a number may have been another text before, like 1e5, 1,2 or a date."""
    value = value.strip() if isinstance(value, str) else value
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise InvalidRequestError(
        f"{name} is no text but a {type(value).__name__}, so it is not known how it was written: make it a text "
        "(in Excel: format the column as Text; in JSON and Python: quote it)"
    )


def check_written(swaps: object, columns: Mapping[str, str] | None) -> None:
    """Raise when the DAG is parsed for a list in it that no run could order, such as for a misspelled key."""
    names = Columns(columns)
    if not isinstance(swaps, list) or not swaps or not all(isinstance(swap, Mapping) for swap in swaps):
        return

    def stand_in(number: int, swap: Mapping[str, Any]) -> dict[str, Any]:
        """Return a swap whose pictures have any address where a template, or another task, gives one."""
        written = {name: value for name, value in swap.items() if is_written(value)}
        pictures = (name for name in swap if names.known(name) in BODY_SWAP_IMAGES)
        return {name: f"https://template.example/{number}/{name}" for name in pictures} | written

    read_items([stand_in(*each) for each in enumerate(swaps)], select_character="woman", columns=columns)
