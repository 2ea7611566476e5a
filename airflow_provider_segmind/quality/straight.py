"""
Find straight edges that a result has and its source has not, as of a bar, a patch, a box or a seam.

What a camera sees is seldom level or upright to the pixel. So an edge that stays in one row, or in one column, over a
long way was drawn or cut. An edge that the source has in that row or column may go on behind the old person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP = 20.0
"""Of 255: how much the luma changes over two pixels at an edge."""
_PEAK = 0.8
"""Share of the steps beside it, across the edge, that a step has at least: it is the edge, not its slope."""
_OLD = 0.5
"""Share of a step that the source has at least where the edge is an old one."""
_LINE = 24
"""Pixels of an old edge that may go on elsewhere."""
_BESIDE = 3
"""Rows or columns on each side of such an edge that may show it."""
Steps = tuple["NDArray[np.float32]", "NDArray[np.float32]"]


def new_steps(before: NDArray[np.float32], after: NDArray[np.float32]) -> Steps:
    """Return the new steps of the luma at level edges and, transposed, at upright ones; 0 where there is none."""
    return _down(before, after), _down(before.T, after.T)


def longest(steps: NDArray[np.float32]) -> int:
    """Return how many pixels in a row are an edge, from light to dark or from dark to light, at most."""
    return max(int(length.max(initial=0)) for length, _ in _runs(steps))


def _down(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    if before.shape[0] < 3:
        return np.zeros_like(after)
    old, new = (luma[2:] - luma[:-2] for luma in (before, after))
    strength = np.abs(new)
    steps = np.where((strength >= _PEAK * _highest(strength)) & (_highest(np.abs(old)) < _OLD * strength), new, 0)
    for length, row in _runs(old):
        for beside in range(-_BESIDE, _BESIDE + 1):
            steps[np.clip(row[length >= _LINE] + beside, 0, len(steps) - 1)] = 0
    return np.pad(steps, ((1, 1), (0, 0)))


def _highest(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the highest of each value and of those above and below it."""
    highest = values.copy()
    np.maximum(highest[1:], values[:-1], out=highest[1:])
    np.maximum(highest[:-1], values[1:], out=highest[:-1])
    return highest


def _runs(steps: NDArray[np.float32]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the length and the row of each run of steps, for those that go up and for those that go down."""
    found = []
    for side in (1, -1):
        there = np.pad(side * steps > _STEP, ((0, 0), (1, 1)))
        ends = np.flatnonzero(there.ravel()[1:] != there.ravel()[:-1])
        found.append((ends[1::2] - ends[::2], ends[::2] // there.shape[1]))
    return found
