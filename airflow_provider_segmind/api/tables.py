"""
Read the rows of a manifest: a table (CSV, or an Excel workbook's sheet), or an object. Pure.

Places are those of the file as it is: the line in which a row begins, counted as an editor counts.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.uris import quoted, shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, BODY_SWAP_INPUTS

MAX_LINE = 64 * 1024
"""Longest row of a manifest in characters: URLs and words, never a picture."""
MAX_EXTRA = 4096
"""Most characters of a swap's other columns that are kept; longer ones are cut."""
COLUMNS = (*BODY_SWAP_INPUTS, "id", "consent_reference", "takes", "first_take")

_DELIMITERS = ",;\t|"
_SEP = re.compile(r'"?sep=([^\w\s"]|\t)"?\1*\s*\Z', re.IGNORECASE)
_BREAK = re.compile(r"\r\n|\r|\n")
_IMAGE = re.compile(r'\s*"*(?!.*[<>])(?:[\w+.-]*:?/\S|[^\s"]+/[^\s"]+\s*\Z|[^\s"].*\.\w{3,4}"*\s*\Z)')
"""A picture's URI or path, and no words."""
_OPEN = "a quotation mark begins a cell that goes on over whole rows: close it, or export as CSV"
_TEXT = re.compile(r'="(.*)"\Z', re.DOTALL)
_to_json = json.JSONEncoder(ensure_ascii=False, default=str).encode

Add = Callable[[str, object], None]
"""Takes a place and a problem there."""
Cells = tuple[int, Sequence[Any]]
"""A line's number and its cells."""
Row = tuple[str, dict[str, Any], dict[str, Any]]
"""A place, the values of known columns by name, and all others by the author's names."""


class Columns:
    """
    Tells a manifest's columns by their names: ours however they are capitalised and divided.

    :param given: the author's names of known columns: ``{"Image Src": "character_image"}``. In these, each sign counts.
    :raises InvalidRequestError: if it is no such dict.
    """

    def __init__(self, given: object = None) -> None:
        given = {} if given is None else given
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise InvalidRequestError(
                f"columns is {shown(given)}: give a dict like {{'Image Src': 'character_image'}}."
            )
        targets = list(given.values())
        wrong = [name for name in targets if name not in COLUMNS or targets.count(name) > 1]
        if wrong:
            raise InvalidRequestError(
                f"columns maps to {quoted(wrong[0])}: map each column once, to one of {', '.join(COLUMNS)}."
            )
        self._given = {target: name for name, target in given.items()}
        self._exact = {_exact(name): target for name, target in given.items()}
        if len(self._exact) < len(given):
            raise InvalidRequestError(f"columns is {shown(given)}, with a name twice: give each name once.")
        self._loose = {_plain(name): name for name in COLUMNS if name not in targets}
        self._near = lru_cache(maxsize=1024)(self._nearest)

    def known(self, name: str) -> str | None:
        """Return the known column that a name means."""
        return self._exact.get(_exact(name)) or self._loose.get(_plain(name))

    def said(self, column: str) -> str:
        """Return a known column as the author names it."""
        name = self._given.get(column)
        return column if name is None else f"{quoted(name)} ({column})"

    def misspelt(self, names: Iterable[str], present: Iterable[str]) -> list[str]:
        """Return what names seem to misspell columns that are missing."""
        here = set(present)
        found = [(name, near) for name in names if (near := self._near(name)) and near not in here]
        return [f"{quoted(name.strip(), most=60)} seems to mean {self.said(near)}: correct it" for name, near in found]

    def _nearest(self, name: str) -> str | None:
        names = {**self._loose, **{_plain(given): target for given, target in self._exact.items()}}
        near = get_close_matches(_plain(name), [one for one in names if len(one) > 4], 1, 0.85)
        return names[near[0]] if near else None


@lru_cache(maxsize=1024)
def _exact(name: str) -> str:
    """Return a name as it is read, however its accents are stored and its blanks are written."""
    return " ".join(unicodedata.normalize("NFC", name).lstrip("\ufeff").split()).casefold()


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def divided(row: Mapping[Any, Any], columns: Columns) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return the known values of an object, and the others.

    :raises InvalidRequestError: if a name is there twice or misspelt, or a value has no name.
    """
    known: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in row.items():
        if not isinstance(name, str):  # csv.DictReader keeps the cells of a long row so
            raise InvalidRequestError("it has more values than names: is a comma in a value not quoted?")
        column = columns.known(name)
        if column in known:
            raise InvalidRequestError(f"it has {column} twice, under two names")
        if column is None:
            others[name] = value
        else:
            known[column] = value
    misspelt = columns.misspelt(others, (column for column, value in known.items() if value not in (None, "")))
    if misspelt:
        raise InvalidRequestError("; ".join(misspelt))
    return known, others


def table_rows(lines: Iterable[Cells], columns: Columns, add: Add, *, unit: str = "line") -> Iterator[Row]:
    """Yield the rows of a table, the first of whose rows that is not blank is its header."""
    header: _Header | None = None
    excess: list[tuple[str, int]] = []
    rows = 0
    for number, cells in lines:
        if not any(cells) or not any(cell.strip() if isinstance(cell, str) else True for cell in cells):
            continue
        place = f"{unit} {number}"
        if header is None:
            header = _Header(cells, columns)
            for problem in header.problems(columns):
                add(place, problem)
            if header.bad:
                return
        elif cells == header.cells:
            add(place, "the header is there again: were two files joined?")
        elif any(not isinstance(cell, str) or cell.strip() for cell in cells[header.width :]):
            add(place, _shifted(len(cells), header.width))
        else:
            rows += 1
            if len(cells) > len(header.cells):
                excess.append((place, len(cells)))
            yield place, *header.row(cells)
    # Cells of nothing at the end are harmless if an export adds them to each row. Else a comma shifted the last ones.
    if header and not (rows == len(excess) and len({count for _, count in excess}) == 1 and header.is_safe(rows)):
        for place, count in excess:
            add(place, _shifted(count, header.width))


def _shifted(count: int, width: int) -> str:
    return f"it has {count} cells, and the header {width}: is a comma in a cell not quoted?"


class _Header:
    def __init__(self, cells: Sequence[Any], columns: Columns) -> None:
        self.cells = cells
        names = [str(cell).strip().lstrip("\ufeff").strip() for cell in cells]
        self.width = max((index for index, name in enumerate(names, 1) if name), default=0)
        found = [(index, name, columns.known(name)) for index, name in enumerate(names) if name]
        self.known = [(index, column) for index, _, column in found if column]
        self.others = [(index, name) for index, name, column in found if not column]
        self.bad = False

    def problems(self, columns: Columns) -> Iterator[str]:
        """Yield what is wrong; afterwards ``bad`` says whether there was anything."""
        here = [column for _, column in self.known]
        missing = [columns.said(name) for name in BODY_SWAP_IMAGES if name not in here]
        said = [f"the header has no column {', '.join(missing)}"] if missing else []
        if not here:
            said[0] += ": the first line that is not blank must be the header, so delete a title above it"
        said += [f"the header has {columns.said(name)} twice" for name in dict.fromkeys(here) if here.count(name) > 1]
        said += [f"the header's {words}" for words in columns.misspelt((name for _, name in self.others), here)]
        self.bad = bool(said)
        yield from said

    def is_safe(self, rows: int) -> bool:
        """Whether no shift is likely: it is in many rows, or the last column is an image, which cannot be empty."""
        return rows > 1 or any(index == self.width - 1 and name in BODY_SWAP_IMAGES for index, name in self.known)

    def row(self, cells: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values of a row; cells that are missing at its end are empty."""
        count = len(cells)
        return (
            {column: _value(cells[index]) for index, column in self.known if index < count},
            {name: cells[index] for index, name in self.others if index < count and cells[index] not in ("", None)},
        )


def _value(cell: Any) -> Any:
    """Return a cell as a spreadsheet shows it: some exports write ``="007"`` for a text of digits."""
    if not isinstance(cell, str):
        return cell
    if cell[:1] in ("=", "\ufeff"):
        cell = cell.lstrip("\ufeff")
        text = _TEXT.match(cell)
        cell = text[1] if text else cell
    return cell if cell.strip() else ""


def csv_lines(data: bytes, encoding: str, columns: Columns, add: Add) -> Iterator[Cells]:
    """Yield the lines of CSV, however it is delimited; a cell may have line breaks."""
    skipped, delimiter = _dialect(data, encoding, columns)
    literal = delimiter == "\t" and _is_literal(data, encoding, skipped, columns)
    reader = csv.reader(
        _text(data, encoding, skipped),
        delimiter=delimiter,
        strict=True,
        quoting=csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL,
    )
    header: _Grid | None = None
    while True:
        number = reader.line_num + skipped + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            add(f"line {number}", f"it is no line of CSV ({error}): double the quotation marks in a cell")
            if "expected after" in str(error):
                continue
            return  # a quotation mark is never closed, so it is not known where the next row begins
        header = header or (_Grid(cells, columns, delimiter) if "".join(cells).strip() else None)
        if header and reader.line_num + skipped > number and header.swallowed(cells):
            add(f"line {number}", _OPEN)
        elif sum(map(len, cells)) > MAX_LINE:
            add(f"line {number}", f"it has more than {MAX_LINE} characters")
        else:
            yield number, cells


class _Grid:
    """Where a table has its pictures, by which a row is known inside a cell of another."""

    def __init__(self, header: Sequence[str], columns: Columns, delimiter: str) -> None:
        self.header, self.width = header, len(header)
        self.images = [index for index, name in enumerate(header) if columns.known(name) in BODY_SWAP_IMAGES]
        self.delimiter = delimiter

    def swallowed(self, cells: Sequence[str]) -> bool:
        """Whether a line of a cell would be a row, or the rest of one, if nothing were quoted."""
        for index, cell in enumerate(cells):
            if "\n" not in cell and "\r" not in cell:
                continue
            lines = _BREAK.split(cell)
            for number, line in enumerate(lines):
                before = 0 if number else index
                parts = [""] * before + line.split(self.delimiter)
                whole = index + 1 if number and number == len(lines) - 1 else self.width
                if len(parts) >= whole and self._has_image(parts[: self.width]):
                    return True
        return False

    def fits(self, cells: Sequence[str]) -> bool:
        """Whether these are the cells of one row, and no part of one."""
        return (
            not "".join(cells).strip() or cells == self.header or (len(cells) <= self.width and self._has_image(cells))
        )

    def _has_image(self, cells: Sequence[str]) -> bool:
        return any(_IMAGE.match(cells[index]) for index in self.images if index < len(cells))


def _is_literal(data: bytes, encoding: str, skipped: int, columns: Columns) -> bool:
    """Whether quotation marks in a file of tabs are no more than signs, as Google Sheets writes them."""
    if b'"' not in data:
        return False

    def read(quoting: Literal[0, 3]) -> Iterator[tuple[_Grid, list[str]]]:
        header = None
        reader = csv.reader(_text(data, encoding, skipped), delimiter="\t", strict=True, quoting=quoting)
        for cells in reader:
            header = header or (_Grid(cells, columns, "\t") if "".join(cells).strip() else None)
            if header:
                yield header, cells

    def lost(header: _Grid, cells: list[str]) -> bool:
        return header.swallowed(cells) or any("\t" in cell and not _BREAK.search(cell) for cell in cells)

    try:
        if not any(lost(*each) for each in read(csv.QUOTE_MINIMAL)):
            return False
    except csv.Error:
        pass
    try:
        return all(header.fits(cells) for header, cells in read(csv.QUOTE_NONE))
    except csv.Error:
        return False


def _text(data: bytes, encoding: str, skipped: int = 0) -> Iterator[str]:
    # As a stream: decoded at once, a large file would take several times its size.
    return islice(io.TextIOWrapper(io.BytesIO(data), encoding=encoding, newline=""), skipped, None)


def _dialect(data: bytes, encoding: str, columns: Columns) -> tuple[int, str]:
    """Return how many lines come before the header, and the delimiter under which it has most known columns."""
    said = _SEP.match(next(_text(data, encoding), "").lstrip("\ufeff"))
    skipped = 1 if said else 0

    def rank(delimiter: str) -> tuple[int, int]:
        lines = _text(data, encoding, skipped)
        try:
            header: list[str] = next((cells for cells in csv.reader(lines, delimiter=delimiter) if any(cells)), [])
        except csv.Error:
            return 0, 0
        return sum(columns.known(name) is not None for name in header), len(header)

    return skipped, max([said[1], *_DELIMITERS] if said else _DELIMITERS, key=rank)


def kept(others: Mapping[str, Any]) -> str:
    """Return a JSON object of the other columns as texts, as many as fit."""
    texts = {
        name: value if isinstance(value, str) else _to_json(value)
        for name, value in others.items()
        if value not in (None, "")
    }
    if sum(map(len, texts)) + sum(map(len, texts.values())) >= MAX_EXTRA:
        texts = dict(_cut(texts))
    return _to_json(texts) if texts else ""


def _cut(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    left = MAX_EXTRA
    for name, text in texts.items():
        left -= len(name)
        if left <= 0:
            return
        yield name, text if len(text) <= left else f"{text[:left]}…"
        left -= len(text)
