"""Compare the source and the result of a swap, separately for background and subject."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_segmind.quality import detectors

if TYPE_CHECKING:
    from PIL import Image

SUBJECT = 0.5
"""Likelihood from which a pixel is a person."""
# The masks have 256 of the pictures' 512 pixels and are not exact. So where the background is judged, half shadows,
# hair and 16 of 512 pixels around the subject count as subject.
_NEAR_SUBJECT = 0.3
_MARGIN = 1 / 32
BLOCK = 16
"""Pixels of a side of the squares that are judged as one place."""
_LEAST_BLOCKS = 8
_KEPT = 9.0, 0.6
"""Variance of the fine structure of a place that has any, and its correlation from which the place is the same."""
_SEEN = 1.0
"""Of 255: the change of colours by a profile that can be told from noise."""
_ALIKE = 0.25
"""Share of that change by which a result may miss the numbers; lost: up to 0.14, less saturated by 10 %: from 0.40."""
LUMA: NDArray[np.float32] = np.array((0.299, 0.587, 0.114), np.float32)
"""Weights of red, green and blue in the luma (ITU-R BT.601)."""


@dataclass(frozen=True)
class BeforeAfter:
    """A source and a result that lies over it, of the same size, with the likelihood of a person per pixel, 0 to 1."""

    before: NDArray[np.float32]  # RGB, height x width x 3, 0 to 255
    after: NDArray[np.float32]
    before_subject: NDArray[np.float32]  # height x width
    after_subject: NDArray[np.float32]

    @classmethod
    def of(cls, before: Image.Image, after: Image.Image, subject: NDArray[np.float32] | None = None) -> BeforeAfter:
        """Return the pair of two RGB pictures of the same size; ``subject``: that of the first, if it is known."""
        return cls(
            np.asarray(before, np.float32),
            np.asarray(after, np.float32),
            detectors.subject(before) if subject is None else subject,
            detectors.subject(after),
        )

    @cached_property
    def lumas(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The lumas, before and after; height x width, 0 to 255."""
        return self.before @ LUMA, self.after @ LUMA

    @cached_property
    def fine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What differs from the mean of 7 x 7 pixels: edges, hair, folds."""
        before, after = (luma - smooth(luma, 3) for luma in self.lumas)
        return before, after

    @cached_property
    def finest(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What differs from the mean of 3 x 3 pixels: grain and the sharpest edges."""
        before, after = (luma - smooth(luma, 1) for luma in self.lumas)
        return before, after

    @cached_property
    def detail(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The variance of the fine structure in each block, before and after."""
        before, after = (blocks(fine**2, BLOCK) for fine in self.fine)
        return before, after

    @cached_property
    def grain(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The variance of the finest structure in each block, before and after."""
        before, after = (blocks(finest**2, BLOCK) for finest in self.finest)
        return before, after

    @cached_property
    def structure(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How strong the source's fine structure is in each block, as variance, and how well the result's fits it."""
        one, other = self.detail
        both = blocks(self.fine[0] * self.fine[1], BLOCK)
        return one, np.asarray(both / np.sqrt(one * other + 1e-3), np.float32)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """The pixels of blocks that plainly show the same on both, of the background or of a person; height x width."""
        strength, alike = self.structure
        same = np.kron((strength > _KEPT[0]) & (alike > _KEPT[1]), np.ones((BLOCK, BLOCK), np.bool_))
        rest = [(0, length - there) for length, there in zip(self.before.shape[:2], same.shape, strict=True)]
        return np.pad(same, rest)

    def variances(self, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the variance of the luma within each block of ``side`` pixels, before and after."""
        before, after = (blocks(luma**2, side) - blocks(luma, side) ** 2 for luma in self.lumas)
        return before, after

    @cached_property
    def backgrounds(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The pixels that are surely background in the source, and in the result; height x width."""
        margin = max(1, round(max(self.before.shape) * _MARGIN))
        before, after = (
            ~detectors.grown(mask > _NEAR_SUBJECT, margin) for mask in (self.before_subject, self.after_subject)
        )
        return before, after

    @property
    def subject(self) -> NDArray[np.bool_]:
        """The pixels that show a person in the source or in the result; height x width."""
        return np.maximum(self.before_subject, self.after_subject) > SUBJECT


@dataclass(frozen=True)
class Difference:
    """The difference between an area of the result and of the source."""

    psnr: float  # in dB, over the pixels of the area alone; 99 if equal
    luminance: float  # mean luma of the result minus that of the source, -255 to 255
    colour: float  # the largest change of a channel's mean, 0 to 255

    @classmethod
    def of(cls, pair: BeforeAfter, area: NDArray[np.bool_]) -> Difference:
        """Return the difference in an area, height x width, which must not be empty."""
        moved = (pair.after - pair.before)[area]
        # Over the area alone: PnPInversion's own script averages over the whole frame, which gives better values.
        error = float(np.mean(moved**2))
        means = moved.mean(axis=0, dtype=np.float64)
        psnr = min(99.0, 10 * math.log10(255**2 / error)) if error else 99.0
        return cls(psnr, float(means @ LUMA), float(np.abs(means).max()))


def profile_lost(pair: BeforeAfter, numbers: NDArray[np.float32], area: NDArray[np.bool_]) -> bool:
    """Whether the result has the numbers of the source, height x width x 3, and not its colours, in an area."""
    # Means of blocks, for noise averages out in them; without the mean of all, for brightness has a check of its own.
    share = blocks(area[..., None].astype(np.float32), BLOCK)
    known = share[..., 0] > 0.5
    if np.count_nonzero(known) < _LEAST_BLOCKS:
        return False
    before, after, kept = (
        (blocks(picture * area[..., None], BLOCK) / np.maximum(share, 0.5))[known]
        for picture in (pair.before, pair.after, numbers)
    )
    strength = _variance(kept - before)
    return strength >= _SEEN**2 and _variance(kept - after) < _ALIKE * strength


def blocks(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the mean of each whole block of ``side`` pixels of a picture, height x width and perhaps x channels."""
    side = min(side, *values.shape[:2])  # of a picture that is smaller, too
    rows, columns = (length // side for length in values.shape[:2])
    whole = values[: rows * side, : columns * side].reshape(rows, side, columns * side, *values.shape[2:])
    return np.asarray(whole.mean(axis=1).reshape(rows, columns, side, *values.shape[2:]).mean(axis=2), np.float32)


def _variance(colours: NDArray[np.floating[Any]]) -> float:
    return float(np.mean((colours - colours.mean(axis=0)) ** 2))


def edges(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the change of the luma over two pixels at each pixel but the outermost, 0 to 361."""
    across, down = luma[1:-1, 2:] - luma[1:-1, :-2], luma[2:, 1:-1] - luma[:-2, 1:-1]
    return np.asarray(np.hypot(across, down), np.float32)


def similarity(pair: BeforeAfter) -> NDArray[np.float32]:
    """Return the structural similarity of the luma around each pixel, height x width, -1 to 1."""
    # As in Wang et al. 2004 (IEEE TIP 13, 4), with a plain window of 7 pixels instead of a Gaussian one.
    one, other = pair.lumas
    means = smooth(one), smooth(other)
    squares = smooth(one * one) - means[0] ** 2 + smooth(other * other) - means[1] ** 2
    both = smooth(one * other) - means[0] * means[1]
    small, large = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * means[0] * means[1] + small) * (2 * both + large)
    return np.asarray(value / ((means[0] ** 2 + means[1] ** 2 + small) * (squares + large)), np.float32)


def smooth(values: NDArray[np.float32], radius: int = 3) -> NDArray[np.float32]:
    """Return the mean of the square around each value, ``radius`` pixels in each direction; the edge is repeated."""
    # Shifted sums: running ones need double precision, and take five times as long for squares as small as these.
    (height, width), size = values.shape, 2 * radius + 1
    around = np.pad(values, radius, mode="edge")
    rows = around[:height].copy()
    for step in range(1, size):
        rows += around[step : step + height]
    sums = rows[:, :width].copy()
    for step in range(1, size):
        sums += rows[:, step : step + width]
    return np.asarray(sums * np.float32(1 / size**2), np.float32)
