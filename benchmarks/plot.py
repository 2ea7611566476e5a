"""How the cost grows, as an SVG: four small plots that share their first axis and their legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
LOOKS = {
    "ours": ("#1f5fbf", ""),
    "http_sensor": ("#c2410c", "7 3"),
    "own_session": ("#7e22ce", "2 3"),
    "limit": ("#6b7280", "1 4"),
}
"""Colour and dashes of each line, so that it is known without colours, too."""
WIDTH, HEIGHT = 330, 210
LEFT, TOP, RIGHT, BOTTOM = 58, 28, 12, 40


@dataclass(frozen=True)
class Panel:
    """
    One plot; both axes are logarithmic.

    :param title: what its second axis is, with the unit.
    :param lines: points of each line, by its key in :data:`LOOKS`.
    """

    title: str
    lines: dict[str, Sequence[Point]]


def ticks(values: Sequence[float]) -> list[float]:
    """Return the powers of ten around all values, at least two."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def short(value: float) -> str:
    """Return a number as a tick has it."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def place(value: float, marks: Sequence[float], first: float, last: float) -> float:
    """Return where a value is between two pixels, of which one is the first mark's and one the last's."""
    share = math.log(value / marks[0]) / math.log(marks[-1] / marks[0])
    return round(first + share * (last - first), 1)


def drawn(panel: Panel, left: float, top: float) -> str:
    """Return one plot with its axes."""
    points = [point for line in panel.lines.values() for point in line]
    across, up = ticks([x for x, _ in points]), ticks([y for _, y in points])
    x0, x1, y0, y1 = left + LEFT, left + WIDTH - RIGHT, top + HEIGHT - BOTTOM, top + TOP
    parts = [f'<text class="title" x="{x0}" y="{top + 16}">{escape(panel.title)}</text>']
    for mark in up:
        y = place(mark, up, y0, y1)
        parts.append(
            f'<path class="grid" d="M{x0} {y}H{x1}"/><text class="up" x="{x0 - 6}" y="{y + 4}">{short(mark)}</text>'
        )
    for mark in across:
        x = place(mark, across, x0, x1)
        parts.append(
            f'<path class="grid" d="M{x} {y0}V{y1}"/><text class="across" x="{x}" y="{y0 + 15}">{short(mark)}</text>'
        )
    parts.append(f'<text class="across" x="{(x0 + x1) / 2}" y="{y0 + 31}">jobs waited for at once</text>')
    for key, line in panel.lines.items():
        colour, dashes = LOOKS[key]
        where = [(place(x, across, x0, x1), place(y, up, y0, y1)) for x, y in line]
        path = "L".join(f"{x} {y}" for x, y in where)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in where]
    return "\n".join(parts)


def svg(panels: Sequence[Panel], names: dict[str, str], title: str) -> str:
    """
    Return the whole picture; its own light background makes it readable on a dark page.

    :param names: what each line is, by its key.
    """
    rows = math.ceil(len(panels) / 2)
    legend = rows * HEIGHT + 14
    parts = [drawn(panel, index % 2 * WIDTH, index // 2 * HEIGHT) for index, panel in enumerate(panels)]
    for index, (key, name) in enumerate(names.items()):
        x, y = LEFT, legend + index * 20
        colour, dashes = LOOKS[key]
        parts.append(f'<path d="M{x} {y}h34" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        parts.append(f'<text x="{x + 42}" y="{y + 4}">{escape(name)}</text>')
    height = legend + len(names) * 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.up{text-anchor:end}"
        ".across{text-anchor:middle}.grid{stroke:#ddd}</style>\n"
        f'<rect width="{2 * WIDTH}" height="{height}" rx="6" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
