"""Measure what became of the person of a source, whom the result should show as another one in the same place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality import detectors
from airflow_provider_segmind.quality.comparison import SUBJECT, blocks
from airflow_provider_segmind.quality.detectors import grown

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from airflow_provider_segmind.quality.comparison import BeforeAfter
    from airflow_provider_segmind.quality.detectors import Found
    from airflow_provider_segmind.quality.thresholds import Thresholds

FAINT = 0.25
"""Score from which a face or a body is found at all: to say that one is gone, a faint one counts."""
SURE = 0.6
_NEAR, _WITHIN = 0.15, 0.5
_BLOCK = 16
_LEAST_BLOCKS = 12
_DETAILED = 12.0
_ALIKE = 0.55
"""Correlation of the fine structure from which a block still shows the old person."""
_SURELY, _SEEN = 0.7, 0.4
_ERASED = 0.8, 9.0
_DRAWN = 0.15
_FULL_HEIGHT = (1, 99)
_SKIN = 10.0
"""By how much skin is redder than blue, of 255, in a picture whose light tells."""


@dataclass(frozen=True)
class Persons:
    """The persons found in a picture, best first; ``faces`` and ``bodies`` are those that count."""

    all_faces: tuple[Found, ...]
    all_bodies: tuple[Found, ...]
    least_face: float
    least_body: float

    @classmethod
    def on(cls, picture: Image.Image, thresholds: Thresholds) -> Persons:
        """Return the persons found in an RGB picture."""
        faces, bodies = thresholds.min_face_score, thresholds.min_body_score
        return cls(
            detectors.find(detectors.FACES, picture, min(FAINT, faces)),
            detectors.find(detectors.BODIES, picture, min(FAINT, bodies)),
            faces,
            bodies,
        )

    @property
    def faces(self) -> tuple[Found, ...]:
        """The faces that count."""
        return tuple(face for face in self.all_faces if face.score >= self.least_face)

    @property
    def bodies(self) -> tuple[Found, ...]:
        """The bodies that count."""
        return tuple(body for body in self.all_bodies if body.score >= self.least_body)

    @property
    def tilt(self) -> float | None:
        """Degrees by which the best body is turned clockwise, -180 to 180."""
        if not self.bodies:
            return None
        right, down = (self.bodies[0].points[1] - self.bodies[0].points[0]).tolist()
        return math.degrees(math.atan2(right, -down))

    @property
    def count(self) -> int:
        """The larger count: each detector misses some persons, and seldom finds a false one."""
        return max(len(self.faces), len(self.bodies))


def score_near(one: Found, others: tuple[Found, ...]) -> float:
    """Return the best score of those that are where this one is, 0 if there is none."""
    return max((other.score for other in others if _meet(one.box, other.box)), default=0.0)


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    both = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both > _NEAR * (sum(areas) - both) or both > _WITHIN * min(areas)


@dataclass(frozen=True)
class OldAndNew:
    """The person of a pair; each value is ``None`` if there is nothing to measure it by."""

    pair: BeforeAfter
    before: Persons
    after: Persons

    @cached_property
    def _face(self) -> Found | None:
        """The source's face, if it is surely one."""
        faces = self.before.all_faces
        return faces[0] if faces and faces[0].score > SURE else None

    @property
    def surely(self) -> bool:
        """Whether the source surely shows a person: who is hardly found there may as well not be found again."""
        return any(found[0].score > _SURELY for found in (self.before.faces, self.before.bodies) if found)

    def face_loss(self) -> float | None:
        """Return by how much the score of the source's face fell, or of its body if no face was to be seen, 0 to 1."""
        if self._face is not None:
            return max(0.0, self._face.score - score_near(self._face, self.after.all_faces))
        bodies = self.before.all_bodies
        if not bodies or bodies[0].score < self.before.least_body:
            return None
        left = max(score_near(bodies[0], self.after.all_bodies), score_near(bodies[0], self.after.all_faces))
        return max(0.0, bodies[0].score - left)

    def face_detail(self) -> float | None:
        """Return how strong the fine structure of the face is, compared with that of the old one."""
        if self._face is None or self._is_drawn:
            return None
        before, after = self.pair.fine
        there = _cut(after, self._face), _cut(before, self._face)
        found = [other for other in self.after.all_faces if _meet(self._face.box, other.box)]
        values = [_strength(there[0]) / max(2.0, _strength(there[1]))]
        if found:
            values.append(_strength(_cut(after, found[0])) / max(2.0, _strength(there[1])))
        return min(values)

    def skin(self) -> float | None:
        """Return by how much the face is redder than blue, of 255, if the old one was as skin is."""
        if self._face is None:
            return None
        before, after = (_cut(picture, self._face).reshape(-1, 3).mean(axis=0) for picture in self._pictures)
        return float(after[0] - after[2]) if before[0] - before[2] > _SKIN else None

    @property
    def _pictures(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.pair.before, self.pair.after

    def size(self) -> float | None:
        """Return how many times larger or smaller the person is, 1 or more: what most of four measures say."""
        said = []
        for kind, size in (("faces", _side), ("bodies", _radius), ("bodies", _torso)):
            before, after = getattr(self.before, kind), getattr(self.after, kind)
            if before and after:
                said.append(size(after[0]) / max(1.0, size(before[0])))
        old, new = (_rows(mask) for mask in self._masks)
        if old and new:
            said.append((new[1] - new[0]) / max(1.0, old[1] - old[0]))
        middle = float(np.median(said)) if len(said) >= 3 else None
        return None if middle is None else max(middle, 1 / max(middle, 0.01))

    @cached_property
    def _masks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.pair.before_subject > SUBJECT, self.pair.after_subject > SUBJECT

    def missing_above(self) -> float | None:
        """Return which share of the old person's height is empty above the new one."""
        ends = self._ends
        return (ends[1][0] - ends[0][0]) / (ends[0][1] - ends[0][0] + 1) if ends else None

    def missing_below(self) -> float | None:
        """Return which share of the old person's height is empty below the new one."""
        ends = self._ends
        return (ends[0][1] - ends[1][1]) / (ends[0][1] - ends[0][0] + 1) if ends else None

    @property
    def _ends(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """First and last row of the old person and of the new one, if the model of subjects sees that one."""
        old, new = (_rows(mask) for mask in self._masks)
        return (old, new) if old and new and self.likelihood > _SEEN else None

    def there(self) -> float | None:
        """Return how surely a person is where the old one was, compared with the source."""
        # The model of subjects does not know every back, nor every drawing: a body that is found there counts as one.
        old, new = self.before.all_bodies, self.after.bodies
        if old and any(_meet(old[0].box, one.box) and _alike(old[0], one) for one in new):
            return None
        return self.likelihood if (self.pair.before_subject > _SURELY).any() else None

    @cached_property
    def likelihood(self) -> float:
        """How surely a person is where the old one was, compared with the source, by the model of subjects alone."""
        core = self.pair.before_subject > _SURELY
        if not core.any():
            return 1.0
        return float(self.pair.after_subject[core].mean() / self.pair.before_subject[core].mean())

    @cached_property
    def _core(self) -> NDArray[np.float32]:
        """Share of each block that is surely the old person, without the outline, which stays as the pose does."""
        sure = self.pair.before_subject > _SURELY
        return blocks((sure & ~grown(~sure, 3)).astype(np.float32), _BLOCK)

    @cached_property
    def _is_drawn(self) -> bool:
        """Whether the old person has areas of one colour, as no photograph: then a new one may have them, too."""
        even = (self.pair.variances(_BLOCK)[0] < _ERASED[0])[self._core > 0.5]
        return bool(even.size) and float(even.mean()) > _DRAWN

    def old_detail(self) -> float | None:
        """Return the share of the old person whose fine structure is still there."""
        before, after = self.pair.fine
        one, other, both = (blocks(values, _BLOCK) for values in (before**2, after**2, before * after))
        detailed = (one > _DETAILED) & (self._core > 0.95)
        if np.count_nonzero(detailed) < _LEAST_BLOCKS or self._is_drawn:
            return None
        return float(np.mean((both / np.sqrt(one * other + 1e-3))[detailed] > _ALIKE))

    def detail(self) -> float | None:
        """Return how strong the finest structure of the person is, compared with that of the old one."""
        before, after = (blocks(finest**2, _BLOCK) for finest in self.pair.finest)
        detailed = (before > _DETAILED) & (self._core > 0.5)
        if np.count_nonzero(detailed) < _LEAST_BLOCKS or self._is_drawn:
            return None
        return float(np.median(np.sqrt(after[detailed] / before[detailed])))

    def erased(self) -> float | None:
        """Return the share of the person that has no structure, where the old one had some."""
        before, after = self.pair.variances(_BLOCK)
        core = self._core > 0.5
        if np.count_nonzero(core) < _LEAST_BLOCKS or self._is_drawn:
            return None
        return float(np.mean(((before > _ERASED[1]) & (after < _ERASED[0]))[core]))


def _alike(one: Found, other: Found) -> bool:
    return 0.7 < _radius(other) / max(1.0, _radius(one)) < 1.4


def _cut(values: NDArray[np.float32], found: Found) -> NDArray[np.float32]:
    left, top, right, bottom = (max(0, round(value)) for value in found.box)
    return values[min(top, values.shape[0] - 1) : bottom + 1, min(left, values.shape[1] - 1) : right + 1]


def _strength(fine: NDArray[np.float32]) -> float:
    return float(np.percentile(np.abs(fine), 95))


def _rows(mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return the first and the last row of a person."""
    rows = np.nonzero(mask)[0]
    if rows.size < _BLOCK:
        return None
    first, last = np.percentile(rows, _FULL_HEIGHT)
    return float(first), float(last)


def _side(face: Found) -> float:
    return math.sqrt(max(0.0, (face.box[2] - face.box[0]) * (face.box[3] - face.box[1])))


def _radius(body: Found) -> float:
    return float(np.hypot(*(body.points[1] - body.points[0])))


def _torso(body: Found) -> float:
    return float(np.hypot(*(body.points[2] - body.points[0])))
