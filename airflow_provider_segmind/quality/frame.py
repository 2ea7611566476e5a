"""Measure what happened to a picture as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality.comparison import BLOCK, LUMA, blocks, edge, smooth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.alignment import Alignment
    from airflow_provider_segmind.quality.comparison import BeforeAfter

_EMPTY, _FULL = 1.5, 4.0
"""Standard deviation of the luma of a row that shows nothing, and of one that shows something."""
_COLOURED = 6.0
_USUAL_EDGE = 128.0
_STEP = 64
"""Pixels by which a model may crop a side."""
_INK, _ABOVE = 70.0, 3.0
"""Step of the luma, of 255, that a letter's edge has at least, and how many times steeper than before it is."""
_LETTERS = 4
"""Blocks in a row that a text fills at least."""


@dataclass(frozen=True)
class Frame:
    """A pair as a whole; each value is ``None`` if there is nothing to measure it by."""

    pair: BeforeAfter
    alignment: Alignment
    sizes: tuple[tuple[int, int], tuple[int, int]]

    def stretched(self) -> float | None:
        """Return by which share things got wider or narrower."""
        if not self.alignment.sure:
            return None
        return max(self.alignment.stretch, 1 / self.alignment.stretch) - 1

    def shifted(self) -> float | None:
        """Return how far a corner moved, as a share of its side, beyond what cropping to a multiple of 64 explains."""
        # That it fits better elsewhere is sure enough, however plain it is.
        if not self.alignment.sure and not self.alignment.farthest:
            return None
        before, after = self.sizes
        cropped = 0.0 if before == after else max(_STEP / side for side in before)
        return max(0.0, self.alignment.farthest - cropped)

    def empty_rows(self) -> float:
        """Return the share of rows, or of columns if that is more, that show nothing and did before."""
        before, after = self.pair.lumas
        return max(float(np.mean((after.std(axis=axis) < _EMPTY) & (before.std(axis=axis) > _FULL))) for axis in (0, 1))

    def colour(self) -> float | None:
        """Return the share of the source's colour that is left."""
        before, after = (
            float(np.abs(means - (means @ LUMA)[..., None]).sum(axis=-1).mean())
            for means in (blocks(self.pair.before, BLOCK), blocks(self.pair.after, BLOCK))
        )
        return after / before if before > _COLOURED else None

    def sharpness(self) -> float | None:
        """Return how hard the hardest edges are, compared with the source's."""
        # Compared with very hard edges, as in print, a photograph's edges would be a small share.
        hardest = min(edge(self.pair.before), _USUAL_EDGE)
        return edge(self.pair.after) / hardest if hardest else None

    def text(self) -> float | None:
        """Return how dense new hard edges are along a line of blocks, the person's included: as in a text."""
        if min(self.pair.before.shape[:2]) < BLOCK:
            return None
        before, after = (_steps(luma) for luma in self.pair.lumas)
        dense = blocks(((after > _INK) & (after > _ABOVE * smooth(before))).astype(np.float32), BLOCK)
        if dense.shape[1] < _LETTERS:
            return None
        return float(np.lib.stride_tricks.sliding_window_view(dense, _LETTERS, axis=1).min(axis=2).max())


def _steps(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much the luma changes over two pixels, across or down."""
    across, down = np.abs(luma[:, 2:] - luma[:, :-2]), np.abs(luma[2:] - luma[:-2])
    steps: NDArray[np.float32] = np.maximum(np.pad(across, ((0, 0), (1, 1))), np.pad(down, ((1, 1), (0, 0))))
    return steps
