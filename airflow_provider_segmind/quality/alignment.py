"""
Lay a result over its source: models crop, scale and shift pictures by a few pixels, which is no fault.

One registration serves all measures. It is a Gauss-Newton search (B. D. Lucas and T. Kanade, 1981), from coarse to
fine, for the shift and the two scales with the least error; the background counts most, and what does not fit little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDES = (32, 64, 128, 256)
"""Pixels of the longer side, from coarse to fine."""
_ROUNDS = (10, 8, 6, 4)
_SUBJECT = 0.1
"""Weight of a pixel that shows a person, who is another one."""
_STEP = 64
"""Pixels to whose multiples models crop."""
_REACH = 0.2
"""Farthest that a corner may go, as a share of the longer side: what is farther is another picture."""
_BETTER = 0.9
"""Share of the error that must be left at most; else, the result is taken as it lies."""
_NEAR, _MUCH_BETTER = 0.02, 0.2
"""A picture of the source's size was not cropped: what is farther than this share of it must fit much better."""
_SEEN = 0.25
"""Pixels of 512 that make no difference."""
_EXPLAINED = 0.4
"""Share of the background's variance that may be left if its place is known."""
_STILL = 0.02
"""Pixels of a step with which the search ends."""
_MOST = 900.0
"""Most that a pixel's squared error counts."""
_NEAR_SUBJECT = 0.3
_LEAST = 0.05
"""Share of a picture that must be background to judge by it alone."""
_EDGE, _LEAST_EDGES = 5.0, 0.02
"""Change of the luma from pixel to pixel that is an edge, and the share of a background that must have one."""


@dataclass(frozen=True)
class Alignment:
    """Where the places of a source are in its result."""

    matrix: NDArray[np.float64]  # 2 x 3, from shares of the source's width and height to shares of the result's
    sure: bool  # whether the background has enough detail to know it
    stretch: float = 1.0  # how many times wider things are in the result, compared with their height

    @property
    def farthest(self) -> float:
        """How far a corner of the picture moved, as a share of its side."""
        return _farthest(self.matrix)

    def shown(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the part of a source of this size that the result shows: left, top, right, bottom, in pixels."""
        (across, _, right), (_, down, below) = self.matrix
        edges = (-right / across, -below / down, (1 - right) / across, (1 - below) / down)
        left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in edges)
        return left * size[0], top * size[1], right * size[0], bottom * size[1]

    def laid(self, result: Image.Image, source: Image.Image) -> Image.Image:
        """Return the result over the source, in its size; what the result lacks at its edge is as in the source."""
        (a, b, c), (d, e, f) = self.matrix
        across, down = result.width / source.width, result.height / source.height
        # Pillow's map goes from the pixel that is wanted to the one that has it.
        how = (
            *(a * across, b * result.width / source.height, c * result.width),
            *(d * result.height / source.width, e * down, f * result.height),
        )
        rgba = result.convert("RGBA")
        moved = rgba.transform(source.size, Image.Transform.AFFINE, how, Image.Resampling.BICUBIC)
        there = moved.getchannel("A").point(lambda value: 255 if value == 255 else 0)
        return Image.composite(moved.convert("RGB"), source, there)


STRAIGHT = Alignment(np.array([[1.0, 0, 0], [0, 1.0, 0]]), sure=False)


def align(
    source: Image.Image,
    result: Image.Image,
    subject: NDArray[np.float32],
    sizes: tuple[tuple[int, int], tuple[int, int]],
) -> Alignment:
    """
    Return how a result lies over its source.

    :param source: RGB, at its working size.
    :param result: the same.
    :param subject: the likelihood of a person on either, height x width of ``source``.
    :param sizes: width and height of source and result in pixels of their files.
    """
    source, result = source.convert("L"), result.convert("L")
    coarse = [_level(source, result, subject, side) for side in _SIDES[:-1]]
    starts = list(_starts(sizes))
    starts += [_refined(coarse, start, _ROUNDS[:3]) for start in starts]
    matrix = min(starts, key=lambda one: _left(coarse[-1], one))
    # Most results lie straight, which the coarse sizes see at little cost.
    fine = coarse[-1]
    if _farthest(matrix) * max(source.size) > _SEEN:
        fine = _level(source, result, subject, _SIDES[-1])
        matrix = min((matrix, _refined([fine], matrix, _ROUNDS[3:])), key=lambda one: _left(fine, one))
    plain, moved = fine.plain, _farthest(matrix)
    better = _BETTER if moved < _NEAR or len(starts) > 2 else _MUCH_BETTER
    if plain or moved * max(source.size) <= _SEEN or moved > _REACH or _left(fine, matrix) > better:
        matrix = STRAIGHT.matrix
    sure = not plain and _error(fine, matrix, fine.weight >= 0, math.inf) < _EXPLAINED * fine.variance
    return Alignment(matrix, sure, _stretch(matrix, sizes))


def _starts(sizes: tuple[tuple[int, int], tuple[int, int]]) -> Iterator[NDArray[np.float64]]:
    """Yield what a result of this size may be: the whole, or cropped around the middle or at the end."""
    yield STRAIGHT.matrix
    (width, height), made = sizes
    if made == (width, height) or any(
        not 0 <= old - new < _STEP for old, new in zip((width, height), made, strict=True)
    ):
        return
    across, down = width / made[0], height / made[1]
    for share in (0.5, 0.0):
        yield np.array([[across, 0, share * (1 - across)], [0, down, share * (1 - down)]])


def _farthest(matrix: NDArray[np.float64]) -> float:
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], np.float64)
    return float(np.abs(corners @ matrix.T - corners[:, :2]).max())


def _stretch(matrix: NDArray[np.float64], sizes: tuple[tuple[int, int], tuple[int, int]]) -> float:
    """Return how many times wider things are in the result, in pixels of the files."""
    (width, height), (made_width, made_height) = sizes
    return float(matrix[0, 0] * made_width / width / (matrix[1, 1] * made_height / height))


@dataclass(frozen=True)
class _Level:
    """Both pictures at one size, of the source's shape: their lumas, and how much each pixel counts."""

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    weight: NDArray[np.float32]

    @cached_property
    def background(self) -> NDArray[np.bool_]:
        """The pixels by which a place is judged; all of them, if nearly all show a person."""
        background = self.weight == 1
        return background if background.mean() > _LEAST else np.ones_like(background)

    @property
    def variance(self) -> float:
        return float(self.before[self.background].var())

    @property
    def plain(self) -> bool:
        """Whether the background has too few edges to hold on to: a gradient of light looks the same anywhere."""
        down, right = np.gradient(self.before)
        return float(np.mean((np.hypot(down, right) > _EDGE)[self.background])) < _LEAST_EDGES

    @cached_property
    def grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The places of the pixels, as shares of width and height."""
        height, width = self.before.shape
        down, right = np.mgrid[0:height, 0:width].astype(np.float32)
        return (right + 0.5) / width, (down + 0.5) / height


def _level(source: Image.Image, result: Image.Image, subject: NDArray[np.float32], side: int) -> _Level:
    share = side / max(source.size)
    size = (max(8, round(source.width * share)), max(8, round(source.height * share)))
    before, after = (np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32) for picture in (source, result))
    person = np.asarray(Image.fromarray(subject).resize(size, Image.Resampling.BOX), np.float32)
    return _Level(before, after, np.where(person > _NEAR_SUBJECT, np.float32(_SUBJECT), np.float32(1)))


def _laid(level: _Level, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the result at the source's pixels, and where it has any."""
    if matrix is STRAIGHT.matrix:
        return level.after, np.ones_like(level.after, np.bool_)
    height, width = level.before.shape
    (x, y), ((a, b, c), (d, e, f)) = level.grid, matrix.astype(np.float32)
    column, row = (a * x + b * y + c) * width - 0.5, (d * x + e * y + f) * height - 0.5
    inside = (column >= -0.5) & (column <= width - 0.5) & (row >= -0.5) & (row <= height - 0.5)
    column, row = np.clip(column, 0, width - 1.001), np.clip(row, 0, height - 1.001)
    left, top = column.astype(np.intp), row.astype(np.intp)
    part_x, part_y = column - left, row - top
    flat, corner = level.after.ravel(), top * width + left
    upper = flat[corner] * (1 - part_x) + flat[corner + 1] * part_x
    lower = flat[corner + width] * (1 - part_x) + flat[corner + width + 1] * part_x
    return np.asarray(upper * (1 - part_y) + lower * part_y, np.float32), inside


def _rest(level: _Level, laid: NDArray[np.float32], weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return what differs when another light and contrast are allowed for, and the contrast."""
    total = float(weight.sum()) + 1e-9
    one, other = (values - float((weight * values).sum()) / total for values in (level.before, laid))
    gain = float((weight * one * other).sum()) / max(float((weight * other * other).sum()), 1e-9)
    gain = min(2.0, max(0.5, gain))
    return np.asarray(one - gain * other, np.float32), gain


def _error(level: _Level, matrix: NDArray[np.float64], among: NDArray[np.bool_], most: float = _MOST) -> float:
    laid, _ = _laid(level, matrix)
    weight = (level.background & among).astype(np.float32)
    rest, _ = _rest(level, laid, weight)
    return float((np.minimum(rest**2, most) * weight).sum() / (weight.sum() + 1e-9))


def _left(level: _Level, matrix: NDArray[np.float64]) -> float:
    """Return the error there, as a share of that of the result as it lies, on the same pixels."""
    inside = _laid(level, matrix)[1]
    return _error(level, matrix, inside) / (_error(level, STRAIGHT.matrix, inside) + 1e-6)


def _refined(levels: list[_Level], matrix: NDArray[np.float64], rounds: tuple[int, ...]) -> NDArray[np.float64]:
    for level, count in zip(levels, rounds, strict=True):
        height, width = level.before.shape
        x, y = level.grid
        for _ in range(count):
            laid, inside = _laid(level, matrix)
            weight = level.weight * inside
            rest, gain = _rest(level, laid, weight)
            scale = (
                max(2.0, 1.5 * float(np.median(np.abs(rest[level.weight == 1])))) if (level.weight == 1).any() else 4
            )
            weight = weight / (1 + (rest / (2 * scale)) ** 2)
            slope_y, slope_x = np.gradient(laid * np.float32(gain))
            slope_x, slope_y = slope_x * width, slope_y * height
            parts = np.stack([slope_x * x, slope_x, slope_y * y, slope_y]).reshape(4, -1)
            weighted = parts * weight.ravel()
            normal = (weighted @ parts.T).astype(np.float64)
            normal[np.diag_indices(4)] += 1e-3 * np.trace(normal) / 4 + 1e-9
            step = np.linalg.solve(normal, (weighted @ rest.ravel()).astype(np.float64))
            matrix = matrix + np.array([[step[0], 0, step[1]], [0, step[2], step[3]]])
            if np.abs(step).max() * max(width, height) < _STILL:
                break
    return matrix
