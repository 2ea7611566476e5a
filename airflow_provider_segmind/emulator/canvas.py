"""Draw smooth shapes with Pillow, in the coordinates of a 768 x 1024 photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

WIDTH, HEIGHT = 768, 1024
# Drawn at twice the size and scaled down: Pillow's own shapes are not antialiased.
SUPERSAMPLING = 2
_STEPS = 10


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return a mix of two colours; ``share`` of the second, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.25) -> Colour:
    """Return the colour with a ``share`` of black, 0 to 1."""
    return mixed(colour, (18, 16, 24), share)


def lighter(colour: Colour, share: float = 0.25) -> Colour:
    """Return the colour with a ``share`` of white, 0 to 1."""
    return mixed(colour, (255, 255, 255), share)


def gradient(top: Colour, bottom: Colour, width: float, height: float) -> Image.Image:
    """Return a vertical gradient; width and height in pixels of the photograph."""
    size = (max(1, round(width * SUPERSAMPLING)), max(1, round(height * SUPERSAMPLING)))
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


class Canvas:
    """
    A sheet to draw on.

    :param mode: Pillow's mode: ``RGB`` for a background, ``RGBA`` for a figure.
    """

    def __init__(self, mode: str = "RGB") -> None:
        self.image = Image.new(mode, (WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING))
        self._draw = ImageDraw.Draw(self.image)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour, radius: float = 0) -> None:
        """Fill a rectangle; sides and corner radius in pixels of the photograph."""
        self._draw.rounded_rectangle(_scaled([(left, top), (right, bottom)]), radius * SUPERSAMPLING, fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """Fill an ellipse around a point."""
        self._draw.ellipse(_scaled([(x - rx, y - ry), (x + rx, y + ry)]), fill)

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon(_scaled(points), fill)

    def blob(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a smooth closed shape through the points."""
        self._draw.polygon(_scaled(_smooth(points)), fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw a line with round ends through the points."""
        scaled = _scaled(points)
        radius = width * SUPERSAMPLING / 2
        self._draw.line(scaled, fill, round(radius * 2), "curve")
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill)

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, fill: Colour
    ) -> None:
        """Draw a part of an ellipse's outline; angles in degrees, clockwise from the right."""
        box = [(x - rx, y - ry), (x + rx, y + ry)]
        self._draw.arc(_scaled(box), start, end, fill, round(width * SUPERSAMPLING))

    def fill(self, left: float, top: float, right: float, bottom: float, above: Colour, below: Colour) -> None:
        """Fill a rectangle with a gradient from top to bottom."""
        patch = gradient(above, below, right - left, bottom - top)
        self.image.paste(patch, (round(left * SUPERSAMPLING), round(top * SUPERSAMPLING)))

    def shadow(self, x: float, y: float, rx: float, ry: float, strength: float) -> None:
        """Darken softly around a point; strength 0 to 1."""
        # A blur this wide needs no fine pixels, and is many times faster on coarse ones.
        mask = Image.new("L", (WIDTH // 4, HEIGHT // 4))
        box = [(x - rx) / 4, (y - ry) / 4, (x + rx) / 4, (y + ry) / 4]
        ImageDraw.Draw(mask).ellipse(box, round(255 * strength))
        soft = mask.filter(ImageFilter.GaussianBlur(ry / 8)).resize(self.image.size, Image.Resampling.BICUBIC)
        self.image.paste((20, 20, 32), (0, 0), soft)


def _scaled(points: Sequence[Point]) -> list[Point]:
    return [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]


def _smooth(points: Sequence[Point]) -> list[Point]:
    """Return a closed Catmull-Rom spline through the points."""
    count = len(points)
    curve: list[Point] = []
    for index in range(count):
        around = [points[(index + offset) % count] for offset in (-1, 0, 1, 2)]
        curve += [_between(around, step / _STEPS) for step in range(_STEPS)]
    return curve


def _between(around: Sequence[Point], share: float) -> Point:
    weights = (
        -0.5 * share + share**2 - 0.5 * share**3,
        1 - 2.5 * share**2 + 1.5 * share**3,
        0.5 * share + 2 * share**2 - 1.5 * share**3,
        -0.5 * share**2 + 0.5 * share**3,
    )
    return (
        math.fsum(weight * x for weight, (x, _) in zip(weights, around, strict=True)),
        math.fsum(weight * y for weight, (_, y) in zip(weights, around, strict=True)),
    )
