"""Read the rows of an Excel workbook's first sheet as a person sees them, in bounded memory."""

from __future__ import annotations

import datetime
import io
import logging
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import IO, Any
from xml.parsers.expat import ParserCreate

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.texts import MAX_MANIFEST

log = logging.getLogger(__name__)

MAX_UNPACKED = 4 * MAX_MANIFEST
"""Most bytes of a workbook's XML; pictures in it are not read."""
MAX_PARTS = 10_000
MAX_ROWS, MAX_COLUMNS = 1_048_576, 1_000

MAX_NOTED = 500_000
"""Most merged cells, and cells whose formula gave 0, in a sheet."""

_MERGED = re.compile(r"([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})")
_PLACE = re.compile(r"([A-Z]{1,3})\d+")
_ESCAPED = re.compile(r"_x(00[01][0-9A-Fa-f]|005[Ff])_")
"""A control character as Excel writes it, such as the CR of ``_x000D_``."""
_Merge = tuple[int, bool, int]
"""A column from 0, whether others to its right belong to it, and the last row."""
_ENTITIES = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_ENCODED = re.compile(
    rb"\xff\xfe|\xfe\xff|.?\0|\s*<\?xml[^>]*encoding\s*=\s*[\"'](?!utf-8[\"'])", re.IGNORECASE | re.DOTALL
)
"""Another encoding than UTF-8, in which the above would not be found."""
NO_RESULTS = "it has formulas without results: open it in Excel and save it"
_QUOTED = re.compile(r"\\|\"|;@$|\[\$[^\]]*\]")
_LOCAL_DATE = "mm-dd-yy"
"""Excel's own short date, shown by each computer in its own way."""
_PARTS = {
    "yyyy": "{0.year:04}", "yy": "{0:%y}", "mm": "{0.month:02}", "m": "{0.month}", "dd": "{0.day:02}", "d": "{0.day}",
}  # fmt: skip


class Uncalculated(str):
    """The 0 of a formula: the result, or what a program wrote that calculates none."""

    __slots__ = ()


def workbook_rows(data: bytes, names: list[str]) -> Iterator[tuple[int, Sequence[Any]]]:
    """
    Yield number and cells of each row of the first visible sheet: texts, or what has no certain text.

    :param names: gets the names of all visible sheets.
    :raises InvalidRequestError: if it is too large or broken, or the package that reads it is missing.
    """
    try:
        from openpyxl import load_workbook  # an extra
    except ImportError:
        raise InvalidRequestError(
            "it is an Excel workbook (.xlsx), which needs the package openpyxl: have airflow-provider-segmind[excel] "
            "installed, or export the sheet as CSV UTF-8"
        ) from None
    try:
        _check_parts(data)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        names += [sheet.title for sheet in sheets]
        if len(sheets) > 1:
            log.warning("The workbook has %d visible sheets: only the first is read.", len(sheets))
        yield from _rows(sheets[0], _notes(data, sheets[0]._worksheet_path))
    except InvalidRequestError:
        raise
    except Exception as error:  # noqa: BLE001 - a broken file can raise anything in a library that trusts it
        raise InvalidRequestError(
            f"it is a broken Excel workbook ({type(error).__name__}): save it again in Excel, or export the sheet as "
            "CSV UTF-8"
        ) from None


def _check_parts(data: bytes) -> None:
    """Raise if what a library would unpack is too much, or has what makes little XML large."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [part for part in archive.infolist() if part.filename.endswith((".xml", ".rels"))]
        # zipfile reads no more of a part than its entry says.
        if sum(part.file_size for part in parts) > MAX_UNPACKED or len(parts) > MAX_PARTS:
            raise InvalidRequestError(
                f"the Excel workbook has more than {MAX_UNPACKED // 2**20} MiB unpacked: export the sheet as CSV UTF-8"
            )
        for part in parts:
            with archive.open(part) as file:
                for first, text in _chunks(file):
                    if _ENTITIES.search(text) or (first and _ENCODED.match(text)):
                        raise InvalidRequestError("its XML has what Excel never writes: save it again in Excel")


def _chunks(file: IO[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Yield overlapping pieces of a file, and whether each is the first."""
    before = b""
    first = True
    while chunk := file.read(2**20):
        yield first, before + chunk
        before, first = chunk[-10:], False


def _rows(sheet: Any, notes: _Notes) -> Iterator[tuple[int, list[Any]]]:
    """Yield the rows down to the last; a cell that is merged downwards counts in each of its rows."""

    def read(width: int) -> Iterator[tuple[int, list[Any]]]:
        rows = sheet.iter_rows(min_row=1, max_row=MAX_ROWS, min_col=1, max_col=width)
        before: Any = None
        nothing = False
        for number, row in enumerate(rows, 1):
            # Before a cell far below, openpyxl gives the same empty row up to a million times.
            if row is before and nothing:
                cells = [""] * len(row)
            else:
                before, cells = row, [_shown(cell) for cell in row]
                for column in notes.zeros.get(number, ()):
                    if column < len(cells):
                        cells[column] = Uncalculated("0")
                nothing = not any(cells)
            yield number, cells

    begin, header = next(((number, cells) for number, cells in read(MAX_COLUMNS) if any(cells)), (0, []))
    width = max((index for index, cell in enumerate(header, 1) if cell), default=1)
    if notes.hidden_rows or notes.hidden_of(width):
        log.warning(
            "The sheet's hidden rows (%d) and columns (%d) are read too.", notes.hidden_rows, notes.hidden_of(width)
        )
    going_on: dict[int, tuple[int, Any]] = {}
    for number, cells in read(width):
        for column, (last, value) in going_on.items():
            if number <= last:
                cells[column] = value
        for column, across, last in notes.merged.get(number, ()):
            if column < width and cells[column]:
                if across and number > begin:
                    raise InvalidRequestError(f"row {number}: cells are merged across columns: unmerge them")
                going_on[column] = last, cells[column]
        if any(cells):
            yield number, cells


def _notes(data: bytes, part: str) -> _Notes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(part) as file:
        return _Notes(file)


class _Notes:
    """What openpyxl does not tell of a sheet, by its XML."""

    def __init__(self, file: IO[bytes]) -> None:
        self.merged: dict[int, list[_Merge]] = {}
        self.zeros: dict[int, list[int]] = {}
        self.hidden_rows = 0
        self.hidden_columns: list[tuple[int, int]] = []
        self._noted = self._row = self._column = 0
        self._hidden = self._formula = False
        self._kind: str | None = None
        self._value: str | None = None
        self._parser = ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.ParseFile(file)

    def hidden_of(self, width: int) -> int:
        """Return how many of the first columns are hidden."""
        return sum(max(0, min(last, width) - first + 1) for first, last in self.hidden_columns)

    def _start(self, name: str, given: Mapping[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "row":
            self._row, self._column = int(given.get("r", self._row + 1)), 0
            self._hidden = given.get("hidden") in ("1", "true")
        elif name == "c":
            place = _PLACE.match(given.get("r", ""))
            self._column = _column_number(place[1]) if place else self._column + 1
            self._kind, self._value, self._formula = given.get("t"), None, False
            self.hidden_rows += self._hidden
            self._hidden = False
        elif name == "f":
            self._formula = True
        elif name in ("v", "is") and self._formula:
            self._value = ""
            self._parser.CharacterDataHandler = self._text
        elif name == "col" and given.get("hidden") in ("1", "true"):
            self._note()
            self.hidden_columns.append((int(given["min"]), int(given["max"])))
        elif name == "mergeCell" and (found := _MERGED.fullmatch(given.get("ref", ""))):
            self._note()
            left, top, right, bottom = found.groups()
            self.merged.setdefault(int(top), []).append((_column_number(left) - 1, left != right, int(bottom)))

    def _text(self, text: str) -> None:
        self._value = ((self._value or "") + text)[:9]

    def _end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name in ("v", "is"):
            self._parser.CharacterDataHandler = None
        elif name == "c" and self._formula:
            value = self._value and self._value.strip()
            if value is None or (not value and self._kind != "str"):
                raise InvalidRequestError(NO_RESULTS)
            if value == "0" and self._kind in (None, "n"):
                self._note()
                self.zeros.setdefault(self._row, []).append(self._column - 1)

    def _note(self) -> None:
        self._noted += 1
        if self._noted > MAX_NOTED:
            raise InvalidRequestError(
                f"the sheet has more than {MAX_NOTED} merged cells and formulas that give 0: export it as CSV UTF-8"
            )


def _column_number(letters: str) -> int:
    """Return a column's number, from 1."""
    return reduce(lambda number, letter: number * 26 + ord(letter) - 64, letters, 0)


def _shown(cell: Any) -> Any:
    """Return a cell's text if it is certain how Excel shows it, else the value, which is no text then."""
    value = cell.value
    if value is not None and cell.data_type == "e":
        return "#N/A"  # whatever its text in the language of who made it
    if value is None or isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value or "")
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        return _number(value, cell.number_format)
    if isinstance(value, datetime.date):
        return _date(value, cell.number_format)
    return value


def _number(value: float, style: str) -> Any:
    whole = float(value).is_integer() and abs(value) < 1e15
    if whole and style in ("General", "@"):
        return str(int(value))
    if whole and value >= 0 and style.strip("0") == "":
        return str(int(value)).zfill(len(style))
    if style == "General" and len(str(value)) <= 11:  # Excel shows so many signs
        return str(value)
    return float(value)


def _date(value: datetime.date, style: str) -> Any:
    plain = _QUOTED.sub("", style.lower())
    if plain == "yyyy-mm-dd h:mm:ss" and isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d} {value.hour}:{value:%M:%S}"
    if plain == _LOCAL_DATE or not all(part in _PARTS for part in re.findall(r"[^-/. ]+", plain)):
        return value
    return re.sub(r"[a-z]+", lambda part: _PARTS[part.group()].format(value), plain)
