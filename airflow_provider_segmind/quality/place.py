"""Check whether the new person stands where the old one stood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality import comparison

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.comparison import Pair
    from airflow_provider_segmind.quality.persons import Persons

_SHOULDERS = 2
_EDGES = (2, 98)


def sideways(pair: Pair, before: Persons, after: Persons) -> float | None:
    """
    Return how far the subject moved to the right, as a share of the longer side; negative to the left.

    Takes the smallest move of face, shoulders, and the mask's left edge, right edge and middle; 0 if they disagree on
    the side, as with a wider person or another pose. Ignores up and down, since a taller person moves all five.

    :param before: the persons on the source, in its pixels.
    :param after: the persons on the result, in the source's pixels.
    :return: ``None`` unless each picture has exactly one person.
    """
    if before.count != 1 or after.count != 1:
        return None
    said = np.array(list(_said(pair, before, after))) / max(pair.before.shape[:2])
    if not said.size or not (np.all(said > 0) or np.all(said < 0)):
        return 0.0
    return float(said[np.argmin(np.abs(said))])


def _said(pair: Pair, before: Persons, after: Persons) -> Iterator[float]:
    if before.faces and after.faces:
        one, other = before.faces[0].box, after.faces[0].box
        yield (other[0] + other[2] - one[0] - one[2]) / 2
    if before.bodies and after.bodies:
        yield float(after.bodies[0].points[_SHOULDERS, 0] - before.bodies[0].points[_SHOULDERS, 0])
    masks = [mask > comparison.SUBJECT for mask in (pair.before_subject, pair.after_subject)]
    if all(mask.any() for mask in masks):
        yield from _extent(masks[1]) - _extent(masks[0])


def _extent(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    columns = np.nonzero(mask)[1]
    return np.array([*np.percentile(columns, _EDGES), columns.mean()])
