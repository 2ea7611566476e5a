"""Measure what became of the person of a source, whom the result should show as another one in the same place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality import detectors
from airflow_provider_segmind.quality.comparison import BLOCK, SUBJECT, blocks, smooth
from airflow_provider_segmind.quality.detectors import grown
from airflow_provider_segmind.quality.looks import (
    FAINT,
    PLAIN,
    SURE,
    SURELY,
    cut,
    flat,
    range_of,
    redness,
    score_closer,
    side_of,
    smoothness,
    strength,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from airflow_provider_segmind.quality.comparison import BeforeAfter
    from airflow_provider_segmind.quality.detectors import Found
    from airflow_provider_segmind.quality.looks import Reference
    from airflow_provider_segmind.quality.thresholds import Thresholds

_NEAR, _WITHIN = 0.15, 0.5
_LEAST_BLOCKS = 12
_DETAILED = 12.0
_ALIKE = 0.55
"""Correlation of the fine structure from which a block still shows the old person."""
_SEEN = 0.4
_DETAILED_ENOUGH = 6.0
"""Variance of the fine structure of a place that is not plain."""
_ERASED = 0.8, 9.0
_BEST = 75
"""Percentile of the blocks by which detail is judged."""
_DRAWN = 0.15
_SKIN = 0.06
"""By how much of its red skin is redder than green and blue, in a picture whose light tells."""
_LARGE_FACE, _SMALL_FACE = 24.0, 0.1
"""Pixels of a face's side that are worth a closer look, and the share of the picture's with which it may hide."""
_LEAST_FACE = 16.0
"""Pixels of a face's side that show whose it is."""
_SMALL_LOSS = 0.4
"""What the loss of such a face counts, if its body is there."""
_BESIDE, _LEAST_BESIDE = 0.6, 30.0
"""How far from the middle of a face its body is surely: in widths of the face, or in pixels if that is more."""
_FOREHEAD = 0.3
"""Of a face's height: how much of the head above its box counts."""
_LEAST_RANGE = 20.0
_LEAST_PIXELS = 2000


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
    reference: Reference | None = None

    @cached_property
    def face(self) -> Found | None:
        """The source's face, if it is surely one."""
        faces = self.before.all_faces
        return faces[0] if faces and faces[0].score > SURE else None

    @property
    def surely(self) -> bool:
        """Whether the source surely shows a person: who is hardly found there may as well not be found again."""
        return any(found[0].score > SURELY for found in (self.before.faces, self.before.bodies) if found)

    def face_lost(self) -> float | None:
        """Return by how much the score of the source's face fell, or of its body if no face was to be seen, 0 to 1."""
        if self.face is not None:
            loss = max(0.0, self.face.score - score_near(self.face, self.after.all_faces))
            loss = min(1.0, loss + self._loss_seen_closer(self.face))
            small = side_of(self.face) < _SMALL_FACE * max(self.pair.before.shape[:2])
            return _SMALL_LOSS * loss if small and self._body_is_there else loss
        bodies = self.before.all_bodies
        if not bodies or bodies[0].score < self.before.least_body:
            return None
        left = max(score_near(bodies[0], self.after.all_bodies), score_near(bodies[0], self.after.all_faces))
        return max(0.0, bodies[0].score - left)

    @property
    def _body_is_there(self) -> bool:
        old, new = self.before.all_bodies, self.after.bodies
        return bool(old) and any(_meet(old[0].box, one.box) and _alike(old[0], one) for one in new)

    def _loss_seen_closer(self, face: Found) -> float:
        """Return by how much the score fell in closer looks, 0 to 1: a face that is only a blot is none there."""
        if side_of(face) < _LARGE_FACE:
            return 0.0
        before, after = (score_closer(picture, face) for picture in self._pictures)
        return max(0.0, before - after)

    def face_detail(self) -> float | None:
        """Return how strong the fine structure of the face is, compared with the old one's or the reference's."""
        if self.face is None or self._is_drawn:
            return None
        old, new = (strength(cut(fine, self.face)) for fine in self.pair.fine)
        found = [other for other in self.after.all_faces if _meet(self.face.box, other.box)]
        if found:
            new = min(new, strength(cut(self.pair.fine[1], found[0])))
        face = self.reference.face(side_of(self.face)) if self.reference else None
        return new / max(2.0, old if face is None else min(old, strength(face - smooth(face))))

    def face_flat(self) -> float | None:
        """Return the share of the face and forehead that is flat, beyond the old one's and the reference's."""
        if self.face is None or self._is_drawn:
            return None
        usual, new = (flat(cut(luma, self.face, _FOREHEAD)) for luma in self.pair.lumas)
        known = self.reference.face(side_of(self.face)) if self.reference else None
        return new - (usual if known is None else max(usual, flat(known)))

    def grain(self) -> float | None:
        """Return by how much even the smoother places of the person got grainy: a standard deviation, of 255."""
        (before, after), person = self.pair.finest, self.pair.before_subject > SURELY
        old, new = smoothness(before, person), smoothness(after, person & (self.pair.after_subject > SUBJECT))
        usual = self.reference.smoothness if self.reference else None
        return None if old is None or new is None or usual is None else new - max(old, usual)

    def turned(self) -> float | None:
        """Return by how many degrees the body is turned, either way."""
        tilts = self.before.tilt, self.after.tilt
        if tilts[0] is None or tilts[1] is None:
            return None
        return abs((tilts[1] - tilts[0] + 180) % 360 - 180)

    def contrast(self) -> float | None:
        """Return the range of light and dark on the person, compared with the old one's or the reference's."""
        person = (self.pair.before_subject > SURELY) & (self.pair.after_subject > _SEEN)
        if np.count_nonzero(person) < _LEAST_PIXELS:
            return None
        old, new = (range_of(luma[person]) for luma in self.pair.lumas)
        wanted = self.reference.contrast if self.reference else None
        # Without a reference nobody knows: other hair and clothes can be all of one tone.
        return None if wanted is None else new / max(_LEAST_RANGE, min(old, wanted))

    def face_colour(self) -> float | None:
        """Return by how much of its red the face is redder than green or blue, if the old one was as skin is."""
        if self.face is None:
            return None
        before, after = (cut(picture, self.face).reshape(-1, 3).mean(axis=0) for picture in self._pictures)
        return redness(after) if redness(before) > _SKIN else None

    @property
    def _pictures(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.pair.before, self.pair.after

    def there(self) -> float | None:
        """Return how surely a person is where that half of the old one was that lost most, compared with the source."""
        before, after = self.pair.before_subject, self.pair.after_subject
        core = before > SURELY
        if not core.any():
            return None
        return min(float(after[half].mean() / before[half].mean()) for half in _halves(core) if half.any())

    @cached_property
    def likelihood(self) -> float:
        """How surely a person is where the old one was, compared with the source, by the model of subjects alone."""
        core = self.pair.before_subject > SURELY
        if not core.any():
            return 1.0
        return float(self.pair.after_subject[core].mean() / self.pair.before_subject[core].mean())

    @cached_property
    def _core(self) -> NDArray[np.float32]:
        """Share of each block that is surely the old person, without the outline, which stays as the pose does."""
        sure = self.pair.before_subject > SURELY
        return blocks((sure & ~grown(~sure, 3)).astype(np.float32), BLOCK)

    @cached_property
    def _is_drawn(self) -> bool:
        """Whether the old person has areas of one colour, as no photograph: then a new one may have them, too."""
        even = (self.pair.variances(BLOCK)[0] < _ERASED[0])[self._core > 0.5]
        return bool(even.size) and float(even.mean()) > _DRAWN

    def old_person(self) -> float | None:
        """Return the share of the old person's fine structure that is still there, of a half or of the face."""
        return max((share for share in (self._old_half(), self._old_face()) if share is not None), default=None)

    def _old_face(self) -> float | None:
        """Return the share of the face's fine structure that the old one explains, as a squared correlation."""
        if self.face is None or self._is_drawn or side_of(self.face) < _LEAST_FACE:
            return None
        old, new = (cut(fine, self.face) for fine in self.pair.fine)
        both, each = float((old * new).sum()), float((old**2).sum() * (new**2).sum())
        return max(0.0, both) ** 2 / max(each, 1e-6)

    def _old_half(self) -> float | None:
        """Return the share of a half of the old person, of that with the most, whose fine structure is still there."""
        strength, alike = self.pair.structure
        core = (self._core > 0.95) & self._near_face
        detailed = (strength > _DETAILED) & core
        if np.count_nonzero(detailed) < _LEAST_BLOCKS or self._is_drawn:
            return None
        halves = [detailed & half for half in _halves(core)]
        return max(
            float(np.mean(alike[half] > _ALIKE))
            for half in [detailed, *halves]
            if np.count_nonzero(half) >= _LEAST_BLOCKS * 2 / 3
        )

    @property
    def _near_face(self) -> NDArray[np.bool_]:
        """The blocks above and below the face: what is held, or stands beside, the model also takes for the subject."""
        columns = (np.arange(self._core.shape[1]) + 0.5) * BLOCK
        if self.face is None:
            return np.ones_like(self._core, np.bool_)
        left, _, right, _ = self.face.box
        near = np.abs(columns - (left + right) / 2) < max(_BESIDE * (right - left), _LEAST_BESIDE)
        return np.broadcast_to(near, self._core.shape)

    def detail(self) -> float | None:
        """Return how strong the finest structure of the person is, compared with that of the old one."""
        before, after = self.pair.grain
        detailed = (before > _DETAILED) & (self._core > 0.5)
        if np.count_nonzero(detailed) < _LEAST_BLOCKS or self._is_drawn:
            return None
        # Other clothes may be plain, but a new person has a face and hair.
        return float(np.percentile(np.sqrt(after[detailed] / before[detailed]), _BEST))

    def erased(self) -> float | None:
        """Return the share of the person that lost all fine structure, beyond what is plain on the reference."""
        before, after = self.pair.detail
        core = self._core > 0.5
        if np.count_nonzero(core) < _LEAST_BLOCKS or self._is_drawn:
            return None
        share = float(np.mean(((before > _DETAILED_ENOUGH) & (after < PLAIN))[core]))
        return max(0.0, share - (self.reference.plain if self.reference else 0.0))


def _halves(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the right, left, lower and upper half of a mask."""
    rows, columns = np.nonzero(mask)
    right = np.arange(mask.shape[1])[None, :] > np.median(columns)
    low = np.arange(mask.shape[0])[:, None] > np.median(rows)
    return [mask & half for half in (right, ~right, low, ~low)]


def _alike(one: Found, other: Found) -> bool:
    return 0.7 < _radius(other) / max(1.0, _radius(one)) < 1.4


def _radius(body: Found) -> float:
    return float(np.hypot(*(body.points[1] - body.points[0])))
