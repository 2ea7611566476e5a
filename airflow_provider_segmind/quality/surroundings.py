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

from airflow_provider_segmind.quality.comparison import LUMA, blocks, smooth
from airflow_provider_segmind.quality.detectors import grown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.comparison import BeforeAfter

_BLOCK = 16
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
_LINE, _ABOVE_NOISE = 12.0, 5.0
"""Least strength of a line, of 255, and how many times the noise it must have."""
_MARGIN = 1 / 16
_LEAST_AREA = 0.04
_DENSEST = 4
"""Blocks by which a mark is judged: those with the most new lines."""


@dataclass(frozen=True)
class Surroundings:
    """The background of a pair; each value is ``None`` if there is too little to measure it."""

    pair: BeforeAfter

    @cached_property
    def _area(self) -> NDArray[np.bool_]:
        before, after = self.pair.backgrounds
        return before & after

    @cached_property
    def _share(self) -> NDArray[np.float32]:
        return blocks(self._area.astype(np.float32), _BLOCK)

    @cached_property
    def _means(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """The mean colours of the blocks that are mostly background, before and after."""
        known = self._share > 0.5
        if np.count_nonzero(known) < _LEAST_BLOCKS:
            return None
        share, area = np.maximum(self._share, 0.5)[..., None], self._area[..., None]
        before, after = (
            np.asarray((blocks(picture * area, _BLOCK) / share)[known], np.float32)
            for picture in (self.pair.before, self.pair.after)
        )
        return before, after

    def contrast(self) -> float | None:
        """Return the factor by which the contrast from block to block changed, either way, 1 or more."""
        if self._means is None:
            return None
        before, after = (means @ LUMA for means in self._means)
        before, after = before - before.mean(), after - after.mean()
        strength, both = float((before * before).mean()), float((before * after).mean())
        # Only where the result still has the source's lights and shades: else another check says what it has.
        if strength < 25 or both < 0.7 * float(np.sqrt(strength * (after * after).mean())):
            return None
        return _factor(both / strength)

    def shading(self) -> float | None:
        """Return how much a quarter of the background got lighter or darker than the rest of it, of 255."""
        if self._means is None:
            return None
        moved = (self._means[1] - self._means[0]) @ LUMA
        return float(np.percentile(np.abs(moved - np.median(moved)), 75))

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
        before, after = (blocks(fine**2, _BLOCK) for fine in self.pair.fine)
        detailed = (before > _DETAILED) & (self._share > _KNOWN)
        if np.count_nonzero(detailed) < _LEAST_BLOCKS:
            return None
        return float(np.median(np.sqrt(after[detailed] / before[detailed])))

    def grain(self) -> float | None:
        """Return by how much the finest structure of even places grew: a standard deviation, of 255."""
        before, after = (blocks(finest**2, _BLOCK) for finest in self.pair.finest)
        even = (before < 2) & (self._share > _KNOWN)
        if np.count_nonzero(even) < _LEAST_BLOCKS:
            return None
        return float(np.median(np.sqrt(after[even])) - np.median(np.sqrt(before[even])))

    def erased(self) -> float | None:
        """Return the share of the background that has no structure any more, and had some."""
        if self._means is None:
            return None
        before, after = self.pair.variances(_BLOCK)
        known = self._share > 0.5
        return float(np.mean(((before > _ERASED[1]) & (after < _ERASED[0]))[known]))

    def taken(self) -> float | None:
        """Return the share of the source's background where the result shows a person."""
        background = self.pair.backgrounds[0]
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
        return float(np.sort(blocks(self._lines.astype(np.float32), _BLOCK).ravel())[-_DENSEST:].mean())


def _chroma(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    light = colours @ LUMA
    return np.stack([colours[..., 0] - light, colours[..., 2] - light], axis=-1)


def _factor(share: float) -> float:
    """Return a change as a factor of 1 to 10, whichever way it went."""
    return min(10.0, max(share, 1 / max(share, 0.1)))
