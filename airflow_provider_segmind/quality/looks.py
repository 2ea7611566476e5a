"""Look at faces and persons more closely: on a result, its source, and the reference of the new person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from airflow_provider_segmind.quality import detectors
from airflow_provider_segmind.quality.comparison import BLOCK, LUMA, blocks, smooth
from airflow_provider_segmind.quality.straight import longest, new_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.detectors import Found

FAINT = 0.25
"""Score from which a face or a body is found at all: to say that one is gone, a faint one counts."""
SURE = 0.6
SURELY = 0.7
"""Likelihood from which a pixel is surely a person."""
PLAIN = 1.0
"""Variance of the fine structure of a place that is plain."""
_LEAST_PIXELS = 2000
_CLOSER = 1.6
"""How many sides of a face a closer look shows on each side of its middle."""
_EXTREMES = (2, 98)
_SMALL, _WHOLLY, _LEAST_PLACES = 8, 0.9, 40
_TINY, _FLAT = 4, 0.6
INK = 70.0
"""Of 255: step of a colour that a letter's edge has at least."""
_LETTERS = 6
"""Blocks in a row that a text fills at least."""


@dataclass(frozen=True)
class Reference:
    """What the picture of the new person says of how detailed and how contrasty it is."""

    picture: Image.Image

    @cached_property
    def _luma(self) -> NDArray[np.float32]:
        luma: NDArray[np.float32] = np.asarray(self.picture, np.float32) @ LUMA
        return luma

    @cached_property
    def _person(self) -> NDArray[np.bool_]:
        return detectors.subject(self.picture) > SURELY

    @cached_property
    def _face(self) -> Found | None:
        return next(iter(detectors.find(detectors.FACES, self.picture, SURE)), None)

    @property
    def contrast(self) -> float | None:
        """The range of light and dark on the person, 0 to 255."""
        return range_of(self._luma[self._person]) if np.count_nonzero(self._person) >= _LEAST_PIXELS else None

    @property
    def smoothness(self) -> float | None:
        """How rough the smoother places of the person are."""
        return smoothness(self._luma - smooth(self._luma, 1), self._person)

    @property
    def print(self) -> float | None:
        """How dense hard edges are along a line of blocks, as of a text or a pattern on the clothes."""
        return line_of(hard_steps(np.asarray(self.picture, np.float32)) > INK)

    @property
    def straight(self) -> float:
        """How long the longest level or upright edge on the person is, in fourths of the person's longer side."""
        if not self._person.any():
            return 0.0
        longer = max(np.ptp(np.flatnonzero(self._person.any(axis))) + 1 for axis in (0, 1))
        level, upright = new_steps(np.zeros_like(self._luma), self._luma)
        return 4.0 * max(longest(level * self._person), longest(upright * self._person.T)) / float(longer)

    @property
    def plain(self) -> float:
        """The share of the person that has no fine structure."""
        fine = blocks((self._luma - smooth(self._luma)) ** 2, BLOCK)
        person = blocks(self._person.astype(np.float32), BLOCK) > 0.5
        return float(np.mean(fine[person] < PLAIN)) if person.any() else 0.0

    def face(self, side: float) -> NDArray[np.float32] | None:
        """Return the luma of its face, as large as another one."""
        if self._face is None:
            return None
        luma, share = cut(self._luma, self._face), side / max(1.0, side_of(self._face))
        size = [max(8, round(length * share)) for length in luma.shape[::-1]]
        return np.asarray(Image.fromarray(luma).resize(size, Image.Resampling.BICUBIC), np.float32)


def cut(values: NDArray[np.float32], found: Found, above: float = 0.0) -> NDArray[np.float32]:
    """Return the part of a picture in the box of a face; ``above``: and so many of its heights above it."""
    left, top, right, bottom = found.box
    top -= above * (bottom - top)
    left, top, right, bottom = (max(0, round(value)) for value in (left, top, right, bottom))
    return values[min(top, values.shape[0] - 1) : bottom + 1, min(left, values.shape[1] - 1) : right + 1]


def strength(fine: NDArray[np.float32]) -> float:
    """Return how strong fine structure is, where it is strong."""
    return float(np.percentile(np.abs(fine), 95))


def smoothness(finest: NDArray[np.float32], person: NDArray[np.bool_]) -> float | None:
    """Return how rough a person is where a quarter of it is smoother: skin and plain clothes are seldom all covered."""
    places = blocks(person.astype(np.float32), _SMALL) > _WHOLLY
    if np.count_nonzero(places) < _LEAST_PLACES:
        return None
    return float(np.percentile(np.sqrt(blocks(finest**2, _SMALL))[places], 25))


def flat(luma: NDArray[np.float32]) -> float:
    """Return the share of a picture that has no structure at all."""
    return float(np.mean(blocks(luma**2, _TINY) - blocks(luma, _TINY) ** 2 < _FLAT))


def hard_steps(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much a colour of each pixel changes over two pixels, across or down; height x width."""
    steps = np.zeros(picture.shape, np.float32)
    np.abs(picture[:, 2:] - picture[:, :-2], out=steps[:, 1:-1])
    np.maximum(steps[1:-1], np.abs(picture[2:] - picture[:-2]), out=steps[1:-1])
    return np.maximum(np.maximum(steps[..., 0], steps[..., 1]), steps[..., 2])


def line_of(edges: NDArray[np.bool_]) -> float | None:
    """Return how dense edges are along that line of blocks where they are densest; ``None`` in too small a picture."""
    if min(edges.shape) < BLOCK or edges.shape[1] < _LETTERS * BLOCK:
        return None
    dense = blocks(edges.astype(np.float32), BLOCK)
    return float(np.lib.stride_tricks.sliding_window_view(dense, _LETTERS, axis=1).min(axis=2).max())


def side_of(face: Found) -> float:
    """Return the side of a face, in pixels."""
    return math.sqrt(max(0.0, (face.box[2] - face.box[0]) * (face.box[3] - face.box[1])))


def range_of(values: NDArray[np.float32]) -> float:
    """Return the range of light and dark, without the extremes."""
    low, high = np.percentile(values, _EXTREMES)
    return float(high - low)


def redness(colour: NDArray[np.float32]) -> float:
    """Return by how much of its red a colour is redder than green and blue."""
    return float((colour[0] - max(colour[1], colour[2])) / max(1.0, colour[0]))


def score_closer(picture: NDArray[np.float32], face: Found) -> float:
    """Return the mean score of a face seen closer, straight and mirrored, 0 to 1."""
    (x, y), reach = ((face.box[axis] + face.box[axis + 2]) / 2 for axis in (0, 1)), _CLOSER * side_of(face)
    image = Image.fromarray(picture.astype(np.uint8))
    close = image.crop((round(x - reach), round(y - reach), round(x + reach), round(y + reach)))
    scores = []
    for look in (close, close.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        found = detectors.find(detectors.FACES, look, FAINT)
        scores.append(max((one.score for one in found if _is_in_the_middle(one, look)), default=0.0))
    return sum(scores) / len(scores)


def _is_in_the_middle(face: Found, picture: Image.Image) -> bool:
    middles = ((face.box[axis] + face.box[axis + 2]) / 2 for axis in (0, 1))
    return all(abs(middle / side - 0.5) < 0.3 for middle, side in zip(middles, picture.size, strict=True))
