"""Before, reference and after, side by side on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

# All lengths are in pixels of a sheet that is drawn at twice its size.
_MARGIN, _HEAD, _CAPTION, _GAP = 112, 412, 180, 56
_CELL = (680, 908)
_WIDTH = 2 * _MARGIN + 3 * _CELL[0] + 2 * _GAP
_PAPER, _PANEL, _RULE = "#faf9f6", "#efede7", "#e4e1da"
_INK, _QUIET, _ALARM = "#1d1d1f", "#77756f", "#a8322a"


@dataclass(frozen=True)
class Row:
    """One swap: what it is, its state in a line, before, reference and after, and what an empty place says."""

    title: str
    facts: str
    pictures: Sequence[bytes | None]
    note: str


def draw_sheet(title: str, subtitle: str, rows: Sequence[Row], target: Path) -> None:
    """Draw the sheet into a PNG file."""
    sheet = Image.new("RGB", (_WIDTH, _HEAD + len(rows) * (_CELL[1] + _CAPTION)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    corners = Image.new("L", _CELL, 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, _CELL[0] - 1, _CELL[1] - 1), 28, fill=255)
    lefts = [_MARGIN + column * (_CELL[0] + _GAP) for column in range(3)]
    _write(pen, _MARGIN, _MARGIN, title, 34, _INK)
    _write(pen, _MARGIN, _MARGIN + 104, subtitle, 15, _QUIET)
    pen.line((_MARGIN, _MARGIN + 184, _WIDTH - _MARGIN, _MARGIN + 184), fill=_RULE, width=2)
    for left, name in zip(lefts, ("Before", "Reference", "After"), strict=True):
        _write(pen, left, _MARGIN + 228, name, 15, _QUIET)
    for number, row in enumerate(rows):
        top = _HEAD + number * (_CELL[1] + _CAPTION)
        for left, data in zip(lefts, row.pictures, strict=True):
            sheet.paste(_cell(data, row.note), (left, top), corners)
        _write(pen, _MARGIN, top + _CELL[1] + 68, row.title, 18, _INK, "ls")
        _write(pen, _WIDTH - _MARGIN, top + _CELL[1] + 68, row.facts, 15, _QUIET, "rs")
    sheet.save(target, optimize=True)


def _cell(data: bytes | None, note: str) -> Image.Image:
    cell = Image.new("RGBA", _CELL, _PANEL)
    if data is None:
        _write(ImageDraw.Draw(cell), _CELL[0] // 2, _CELL[1] // 2, note, 16, _ALARM, "mm")
    else:
        with Image.open(BytesIO(data)) as opened:
            picture = ImageOps.contain(ImageOps.exif_transpose(opened).convert("RGBA"), _CELL, Image.Resampling.LANCZOS)
        cell.alpha_composite(picture, ((_CELL[0] - picture.width) // 2, (_CELL[1] - picture.height) // 2))
    return cell


def _write(pen: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, colour: str, anchor: str = "lt") -> None:
    pen.text((x, y), text, fill=colour, font=ImageFont.load_default(2 * size), anchor=anchor)
