"""Before, reference and after, side by side on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

# All lengths are in pixels of a sheet that is drawn at twice its size.
_MARGIN, _GAP, _RADIUS = 112, 56, 28
_CELL, _TALLEST = 680, 908
_HEAD, _CAPTION = 300, 124
_PAPER, _PANEL, _RULE = "#faf9f6", "#efede7", "#e4e1da"
_INK, _QUIET, _ALARM = "#1d1d1f", "#77756f", "#a8322a"
_COLUMNS = ("Before", "Reference", "After")
_WIDTH = 2 * _MARGIN + 3 * _CELL + 2 * _GAP


@dataclass(frozen=True)
class Row:
    """
    One swap on the sheet.

    :param title: what it is.
    :param facts: one short line: state, seconds, cost.
    :param pictures: before, reference and after; ``None`` leaves an empty place.
    :param note: what the empty place says.
    """

    title: str
    facts: str
    pictures: Sequence[bytes | None]
    note: str


def draw_sheet(title: str, subtitle: str, rows: Sequence[Row], target: Path) -> None:
    """Draw the sheet into a PNG file."""
    cells = [[_load(data) if data else None for data in row.pictures] for row in rows]
    heights = [max((picture.height for picture in line if picture), default=_CELL) for line in cells]
    height = _MARGIN + _HEAD + sum(heights) + len(rows) * (_CAPTION + _GAP) - _GAP + _MARGIN // 2
    sheet = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(pen, title, subtitle)
    top = _MARGIN + _HEAD
    for row, line, tall in zip(rows, cells, heights, strict=True):
        for column, picture in enumerate(line):
            left = _MARGIN + column * (_CELL + _GAP)
            if picture is None:
                pen.rounded_rectangle((left, top, left + _CELL, top + tall), _RADIUS, fill=_PANEL)
                _write(pen, left + _CELL // 2, top + tall // 2, row.note, 16, _ALARM, "mm")
            else:
                mask = Image.new("L", picture.size, 0)
                ImageDraw.Draw(mask).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), _RADIUS, fill=255)
                sheet.paste(picture, (left + (_CELL - picture.width) // 2, top + (tall - picture.height) // 2), mask)
        _write(pen, _MARGIN, top + tall + 68, row.title, 18, _INK, "ls")
        _write(pen, _WIDTH - _MARGIN, top + tall + 68, row.facts, 15, _QUIET, "rs")
        top += tall + _CAPTION + _GAP
    sheet.save(target, optimize=True)


def _draw_head(pen: ImageDraw.ImageDraw, title: str, subtitle: str) -> None:
    _write(pen, _MARGIN, _MARGIN, title, 34, _INK)
    _write(pen, _MARGIN, _MARGIN + 104, subtitle, 15, _QUIET)
    pen.line((_MARGIN, _MARGIN + 184, _WIDTH - _MARGIN, _MARGIN + 184), fill=_RULE, width=2)
    for column, name in enumerate(_COLUMNS):
        _write(pen, _MARGIN + column * (_CELL + _GAP), _MARGIN + 228, name, 15, _QUIET)


def _write(pen: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, colour: str, anchor: str = "lt") -> None:
    pen.text((x, y), text, fill=colour, font=ImageFont.load_default(2 * size), anchor=anchor)


def _load(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGBA")
    whole = Image.new("RGBA", picture.size, _PANEL)
    whole.alpha_composite(picture)
    return ImageOps.contain(whole.convert("RGB"), (_CELL, _TALLEST), Image.Resampling.LANCZOS)
