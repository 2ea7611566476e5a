"""Measure what happened to a picture as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality import straight
from airflow_provider_segmind.quality.comparison import BLOCK, LUMA, SUBJECT, blocks, edges, smooth
from airflow_provider_segmind.quality.looks import INK, cut, hard_steps, line_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.alignment import Alignment
    from airflow_provider_segmind.quality.comparison import BeforeAfter
    from airflow_provider_segmind.quality.detectors import Found
    from airflow_provider_segmind.quality.looks import Reference

_EMPTY, _FULL = 1.5, 4.0
"""Standard deviation of the luma of a row that shows nothing, and of one that shows something."""
_COLOURED = 6.0
_USUAL_EDGE = 128.0
_HARDEST, _HARDEST_OF_A_HALF = 0.002, 0.005
"""Shares of a picture's edges, and of those of a half."""
_STRENGTHS, _FINE = 362, 8
"""Highest strength of an edge, and into how many steps each unit of it is divided."""
_LEAST_EDGE = 30.0
"""Of 361: strength of the source's hardest edges with which it was not sharp there."""
_STEP = 64
"""Pixels by which a model may crop a side."""
_ABOVE = 3.0
"""How many times steeper than before the edge of a letter is."""
_AS_PRINTED, _USUAL_PRINT = 1.25, 0.3
"""
How many times as dense as on the reference a print may be, and as long a straight edge; and how dense a print may be if
there is no reference.
"""
_EDGE = 4
"""Pixels at the edge of a picture, where what was shifted ends."""
_STILL_THERE = 0.3
"""Likelihood from which the result may show a person where the source surely does."""
_LONG = 1 / 4
"""Share of the longer side with which an edge that is not on a face is compared: faces are mostly that large."""
_FOREHEAD = 0.6
"""Of a face's height: how much of the head above its box counts."""
_LEAST_FACE = 24
"""Pixels of a face's width: the edges of a smaller one are short."""


@dataclass(frozen=True)
class Frame:
    """A pair as a whole; each value is ``None`` if there is nothing to measure it by."""

    pair: BeforeAfter
    alignment: Alignment
    sizes: tuple[tuple[int, int], tuple[int, int]]
    face: Found | None = None
    reference: Reference | None = None

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
        """Return how hard the hardest edges are, of all or of the softest half, compared with the source's."""
        before, after = (_counts(edges(luma)) for luma in self.pair.lumas)
        whole = _hardness(before[0] + before[1], after[0] + after[1], _HARDEST)
        halves = [_hardness(old, new, _HARDEST_OF_A_HALF) for old, new in zip(before, after, strict=True)]
        return min((one for one in (whole, *halves) if one is not None), default=None)

    def text(self) -> float | None:
        """Return how dense new hard edges are along a line of blocks, the person's included: as in a text."""
        before, after = (hard_steps(picture) for picture in (self.pair.before, self.pair.after))
        new = line_of((after > INK) & (after > _ABOVE * smooth(before)))
        # What is printed on the reference's clothes is on the new person's, too.
        known = self.reference.print if self.reference else _USUAL_PRINT
        return 0.0 if new is not None and new <= _AS_PRINTED * (known or 0.0) else new

    def straight_edge(self) -> float:
        """Return how long the longest new straight edge is: in widths of the face, or in fourths of the longer side."""
        level, upright = straight.new_steps(*self.pair.lumas)
        shown = self._shown
        level, upright = level * shown, upright * shown.T
        side: float = _LONG * max(level.shape)
        sure = self._sure
        anywhere = max(straight.longest(level * sure), straight.longest(upright * sure.T)) / side
        # Stripes and seams of the reference's clothes are on the new person, too.
        if self.reference and anywhere <= _AS_PRINTED * self.reference.straight:
            anywhere = 0.0
        return max(anywhere, self._across_the_face(level))

    def _across_the_face(self, level: NDArray[np.float32]) -> float:
        """Return how long the longest level edge on the face is, in widths of it; 0 if there is none to judge."""
        if self.face is None:
            return 0.0
        width: float = self.face.box[2] - self.face.box[0]
        return straight.longest(cut(level, self.face, _FOREHEAD)) / width if width >= _LEAST_FACE else 0.0

    @property
    def _shown(self) -> NDArray[np.bool_]:
        """The pixels that the result shows, but for those at its edge; height x width."""
        height, width = self.pair.before.shape[:2]
        left, top, right, bottom = self.alignment.shown((width, height))
        shown = np.zeros((height, width), np.bool_)
        shown[math.ceil(top) + _EDGE : int(bottom) - _EDGE, math.ceil(left) + _EDGE : int(right) - _EDGE] = True
        return shown

    @property
    def _sure(self) -> NDArray[np.bool_]:
        """The pixels on the person, or far from any: beside one, what was hidden comes to light; height x width."""
        person = (self.pair.before_subject > SUBJECT) & (self.pair.after_subject > _STILL_THERE)
        before, after = self.pair.backgrounds
        return person | (before & after)


def _counts(strengths: NDArray[np.float32]) -> list[NDArray[np.intp]]:
    """Return how many edges of the upper, lower, left and right half have which strength."""
    # Sorting ten times takes four times as long.
    fine = (strengths * _FINE).astype(np.intp)
    down, across = (length // 2 for length in fine.shape)
    halves = (fine[:down], fine[down:], fine[:, :across], fine[:, across:])
    return [np.bincount(half.ravel(), minlength=_STRENGTHS * _FINE) for half in halves]


def _hardness(before: NDArray[np.intp], after: NDArray[np.intp], share: float) -> float | None:
    """Return how hard the hardest edges are, compared with those before; ``None`` if those were soft, too."""
    old, new = (_exceeded_by(counts, share) for counts in (before, after))
    # Compared with very hard edges, as in print, a photograph's edges would be a small share.
    return new / min(old, _USUAL_EDGE) if old > _LEAST_EDGE else None


def _exceeded_by(counts: NDArray[np.intp], share: float) -> float:
    """Return the strength that only so large a share of the edges exceeds."""
    harder = np.cumsum(counts[::-1])
    return float(len(counts) - 1 - np.searchsorted(harder, share * harder[-1])) / _FINE
