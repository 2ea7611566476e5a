"""
Measure what happened to the background of a source that its result shows in the same place.

A swap changes the person and nothing else, so each of these values has a meaning by itself: lines that were not there,
detail that is gone, colours that turned. They are measured on the registered pair, see :mod:`alignment`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality.comparison import BLOCK, LUMA, blocks, smooth
from airflow_provider_segmind.quality.detectors import grown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.comparison import BeforeAfter

_LEAST_BLOCKS = 6
_KNOWN = 0.9
"""Share of a block that must be background to judge its detail."""
_CHANGED = 24.0
"""Of 255: the change of a block's mean colour that is another content, not another light."""
_DETAILED = 9.0
"""Variance of the fine structure of a block that has any."""
_ERASED = 0.8, 9.0
"""Variance of a block that is empty, and of one that is not."""
_COLOURED = 4.0
_SMEARED = 0.4
_LINE, _ABOVE_NOISE = 12.0, 5.0
"""Least strength of a line, of 255, and how many times the noise it must have."""
_MARGIN = 1 / 16
_LEAST_AREA = 0.04
_DENSEST = 4
"""Blocks by which a mark is judged: those with the most new lines."""
_SMALL = 8
_OTHER, _ABOVE = 30.0, 5.0
"""Of 255: the change of a small block's colour that is another thing, and how many times the usual one it must be."""
_SHADOW = 0.5, 0.15
"""Share of the light that a shadow leaves at least, and by how much it differs between the colours."""
_HARD = 12.0
_EVEN_GRID = 0.3
_GRID_LINES = 24
_STEEPEST = 96
"""Percentile of rows or columns that stand for the lines of a grid: its cells have 25 pixels at most."""


@dataclass(frozen=True)
class Surroundings:
    """
    The background of a pair; each value is ``None`` if there is too little to measure it.

    :param area: the pixels that are surely background on both, height x width.
    """

    pair: BeforeAfter
    area: NDArray[np.bool_]

    @cached_property
    def _share(self) -> NDArray[np.float32]:
        return blocks(self.area.astype(np.float32), BLOCK)

    @cached_property
    def _means(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """The mean colours of the blocks that are mostly background, before and after."""
        known = self._share > 0.5
        if np.count_nonzero(known) < _LEAST_BLOCKS:
            return None
        share, area = np.maximum(self._share, 0.5)[..., None], self.area[..., None]
        before, after = (
            np.asarray((blocks(picture * area, BLOCK) / share)[known], np.float32)
            for picture in (self.pair.before, self.pair.after)
        )
        return before, after

    def changed(self) -> float | None:
        """Return the share of the background whose colour is another one, beyond a common change of all."""
        if self._means is None:
            return None
        moved = self._means[1] - self._means[0]
        return float(np.mean(np.abs(moved - np.median(moved, axis=0)).max(axis=1) > _CHANGED))

    def saturation(self) -> float | None:
        """Return the factor by which the differences of colour changed, either way; 10 if the hues are others."""
        if self._means is None:
            return None
        before, after = (_chroma(means) for means in self._means)
        before, after = before - before.mean(axis=0), after - after.mean(axis=0)
        strength = float((before**2).sum(axis=1).mean())
        return None if strength < _COLOURED**2 else _factor(float((before * after).sum(axis=1).mean()) / strength)

    def detail(self) -> float | None:
        """Return how strong the fine structure of the background is, compared with the source's."""
        before, after = self.pair.detail
        detailed = (before > _DETAILED) & (self._share > _KNOWN)
        if np.count_nonzero(detailed) < _LEAST_BLOCKS:
            return None
        return float(np.median(np.sqrt(after[detailed] / before[detailed])))

    def grain(self) -> float | None:
        """Return by how much the finest structure of even places grew: a standard deviation, of 255."""
        before, after = self.pair.grain
        even = (before < 2) & (self._share > _KNOWN)
        if np.count_nonzero(even) < _LEAST_BLOCKS:
            return None
        return float(np.median(np.sqrt(after[even])) - np.median(np.sqrt(before[even])))

    def erased(self) -> float | None:
        """Return the share of the background that has no structure any more, and had some."""
        if self._means is None:
            return None
        before, after = self.pair.variances(BLOCK)
        known = self._share > 0.5
        return float(np.mean(((before > _ERASED[1]) & (after < _ERASED[0]))[known]))

    @property
    def _is_known(self) -> bool:
        """Whether the area is the background, and not what is the same on both for want of one."""
        return bool(self.pair.backgrounds[0][self.area].all())

    def smeared(self) -> float | None:
        """Return the share of its detail that was lost in one place and not in others."""
        before, after = self.pair.detail
        detailed = (before > _DETAILED) & (self._share > _KNOWN)
        if np.count_nonzero(detailed) < 2 * _LEAST_BLOCKS or not self._is_known:
            return None
        left = np.sqrt(after[detailed] / before[detailed])
        return float(np.mean(left < _SMEARED * min(1.0, float(np.median(left)))))

    def taken(self) -> float | None:
        """Return the share of the source's background where the result shows a person."""
        background = self.pair.backgrounds[0]
        if not self._is_known:
            return None
        return float(np.mean(self.pair.after_subject[background] > 0.5)) if background.mean() > _LEAST_AREA else None

    @cached_property
    def _far(self) -> NDArray[np.bool_] | None:
        """The pixels far from any person, where no hair and no shadow is new; height x width."""
        margin = round(max(self.pair.before.shape) * _MARGIN)
        far = ~grown(np.maximum(self.pair.before_subject, self.pair.after_subject) > 0.2, margin)
        return far if far.mean() > _LEAST_AREA else None

    @cached_property
    def _lines(self) -> NDArray[np.bool_] | None:
        """Where the result has lines that the source does not have; height x width."""
        if self._far is None:
            return None
        before, after = self.pair.fine
        strength = float((before**2)[self._far].sum())
        kept = min(1.2, max(0.0, float((before * after)[self._far].sum()) / max(strength, 1e-6)))
        rest = np.abs(after - kept * before)
        noise = 1.48 * float(np.median(rest[self._far]))
        # Beside strong lines of the source, some of theirs is left when they are softer or moved by half a pixel.
        return self._far & (rest > max(_LINE, _ABOVE_NOISE * noise) + smooth(np.abs(before), 3))

    def new_lines(self) -> float | None:
        """Return the share of the background far from the person that is a new line."""
        if self._lines is None or self._far is None:
            return None
        return float(self._lines.sum() / self._far.sum())

    def new_mark(self) -> float | None:
        """Return how dense new lines are where they are densest: their share of four blocks."""
        if self._lines is None:
            return None
        return float(np.sort(blocks(self._lines.astype(np.float32), BLOCK).ravel())[-_DENSEST:].mean())

    def new_object(self) -> float | None:
        """Return the share of the picture that is one new thing, off the old person; shadows do not count."""
        pair = self.pair
        margin = round(max(pair.before.shape) * _MARGIN)
        off = blocks((~grown(pair.before_subject > 0.3, margin)).astype(np.float32), _SMALL) > 0.7
        if np.count_nonzero(off) < _LEAST_BLOCKS**2:
            return None
        before, after = blocks(pair.before, _SMALL), blocks(pair.after, _SMALL)
        moved = after - before
        change = np.abs(moved - np.median(moved[off], axis=0)).max(axis=2)
        left = after / np.maximum(before, 8)
        darkest, lightest = left.min(axis=2), left.max(axis=2)
        shadow = (lightest < 1) & (darkest > _SHADOW[0]) & (lightest - darkest < _SHADOW[1])
        new = off & ~shadow & (change > max(_OTHER, _ABOVE * float(np.median(change[off]))))
        return float(_largest(new) / new.size)

    def cells(self) -> float:
        """Return how many times more straight lines from edge to edge there are, as between the cells of a mosaic."""
        areas = (self.area, np.ones_like(self.area))
        before, after = ([_lines_across(luma, area) for area in areas] for luma in self.pair.lumas)
        return max((new / old for old, new in zip(before, after, strict=True) if old and new), default=1.0)


def _lines_across(luma: NDArray[np.float32], area: NDArray[np.bool_]) -> float:
    """Return how much steeper the steepest rows and columns of an area are than usual ones, 0 if it is too small."""
    found = []
    for values, known in ((luma, area), (luma.T, area.T)):
        both = known[:, 1:] & known[:, :-1]
        count = both.sum(axis=0)
        enough = count >= max(_LEAST_BLOCKS * 2, count.max(initial=0) / 4)
        if np.count_nonzero(enough) < _GRID_LINES:
            return 0.0
        steps = (np.minimum(np.abs(np.diff(values, axis=1)), _HARD) * both).sum(axis=0)[enough] / count[enough]
        found.append((float(np.percentile(steps, _STEEPEST)) + _EVEN_GRID) / (float(np.median(steps)) + _EVEN_GRID))
    return min(found)


def _largest(mask: NDArray[np.bool_]) -> int:
    """Return how many blocks the largest connected part has, without what is one block thin, as edges are."""
    square = mask[1:, 1:] & mask[1:, :-1] & mask[:-1, 1:] & mask[:-1, :-1]
    if not square.any():
        return 0
    names = np.where(square, np.arange(1, square.size + 1).reshape(square.shape), 0)
    while True:
        around = np.pad(names, 1)
        nearby = [around[1:-1, 1:-1], around[2:, 1:-1], around[:-2, 1:-1], around[1:-1, 2:], around[1:-1, :-2]]
        joined = np.where(square, np.max(nearby, axis=0), 0)
        if np.array_equal(joined, names):
            return int(np.bincount(names[square]).max())
        names = joined


def _chroma(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    light = colours @ LUMA
    return np.stack([colours[..., 0] - light, colours[..., 2] - light], axis=-1)


def _factor(share: float) -> float:
    """Return a change as a factor of 1 to 10, whichever way it went."""
    return min(10.0, max(share, 1 / max(share, 0.1)))
