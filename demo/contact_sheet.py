"""Before, reference and after, side by side on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

_SCALE = 2
_MARGIN = 56 * _SCALE
_GAP = 28 * _SCALE
_CELL = 340 * _SCALE
_TALLEST = 454 * _SCALE
_RADIUS = 14 * _SCALE
_PAPER = "#faf9f6"
_INK = "#1d1d1f"
_QUIET = "#77756f"
_RULE = "#e4e1da"
_PANEL = "#efede7"
_ALARM = "#a8322a"
_COLUMNS = ("Before", "Reference", "After")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
    pictures: tuple[Path | None, Path | None, Path | None]
    note: str = ""


def draw_sheet(title: str, subtitle: str, rows: Sequence[Row], target: Path) -> Path:
    """
    Draw the sheet.

    :param title: the headline.
    :param subtitle: one line below it.
    :param rows: the swaps, at least one.
    :param target: the PNG file to write.
    :returns: the same path.
    :raises OSError: a picture cannot be read.
    """
    cells = [[_load(path) for path in row.pictures] for row in rows]
    heights = [max((picture.height for picture in line if picture), default=_CELL) for line in cells]
    caption = 62 * _SCALE
    head = 150 * _SCALE
    width = 2 * _MARGIN + 3 * _CELL + 2 * _GAP
    height = _MARGIN + head + sum(heights) + len(rows) * caption + (len(rows) - 1) * _GAP + _MARGIN // 2
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(pen, title, subtitle, width)
    top = _MARGIN + head
    for row, line, tall in zip(rows, cells, heights, strict=True):
        for column, picture in enumerate(line):
            left = _MARGIN + column * (_CELL + _GAP)
            if picture is None:
                _draw_empty(pen, (left, top, left + _CELL, top + tall), row.note)
            else:
                _paste(sheet, picture, left, top, tall)
        _draw_caption(pen, row, top + tall, width)
        top += tall + caption + _GAP
    sheet.save(target, optimize=True)
    return target


def _font(size: float) -> Font:
    return ImageFont.load_default(size * _SCALE)


def _load(path: Path | None) -> Image.Image | None:
    if path is None:
        return None
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGBA")
    scale = min(_CELL / picture.width, _TALLEST / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _draw_head(pen: ImageDraw.ImageDraw, title: str, subtitle: str, width: int) -> None:
    pen.text((_MARGIN, _MARGIN), title, fill=_INK, font=_font(34), anchor="lt")
    pen.text((_MARGIN, _MARGIN + 52 * _SCALE), subtitle, fill=_QUIET, font=_font(15), anchor="lt")
    rule = _MARGIN + 92 * _SCALE
    pen.line((_MARGIN, rule, width - _MARGIN, rule), fill=_RULE, width=_SCALE)
    for column, name in enumerate(_COLUMNS):
        left = _MARGIN + column * (_CELL + _GAP)
        pen.text((left, rule + 22 * _SCALE), name, fill=_QUIET, font=_font(15), anchor="lt")


def _draw_caption(pen: ImageDraw.ImageDraw, row: Row, top: int, width: int) -> None:
    baseline = top + 34 * _SCALE
    pen.text((_MARGIN, baseline), row.title, fill=_INK, font=_font(18), anchor="ls")
    pen.text((width - _MARGIN, baseline), row.facts, fill=_QUIET, font=_font(15), anchor="rs")


def _draw_empty(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], note: str) -> None:
    pen.rounded_rectangle(box, _RADIUS, fill=_PANEL)
    center = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    pen.text(center, note or "no picture", fill=_ALARM, font=_font(16), anchor="mm")


def _paste(sheet: Image.Image, picture: Image.Image, left: int, top: int, tall: int) -> None:
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), _RADIUS, fill=255)
    whole = Image.new("RGBA", picture.size, _PANEL)
    whole.alpha_composite(picture)
    spot = (left + (_CELL - picture.width) // 2, top + (tall - picture.height) // 2)
    sheet.paste(whole.convert("RGB"), spot, mask)
