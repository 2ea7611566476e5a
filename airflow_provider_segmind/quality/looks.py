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


@dataclass(frozen=True)
class Reference:
    """What the picture of the new person says of how detailed and how contrasty it is."""

    picture: Image.Image

    @cached_property
    def contrast(self) -> float | None:
        """The range of light and dark on the person, 0 to 255."""
        person = detectors.subject(self.picture) > SURELY
        if np.count_nonzero(person) < _LEAST_PIXELS:
            return None
        return range_of((np.asarray(self.picture, np.float32) @ LUMA)[person])

    @cached_property
    def plain(self) -> float:
        """The share of the person that has no fine structure."""
        person = blocks((detectors.subject(self.picture) > SURELY).astype(np.float32), BLOCK) > 0.5
        luma = np.asarray(self.picture, np.float32) @ LUMA
        return float(np.mean((blocks((luma - smooth(luma)) ** 2, BLOCK) < PLAIN)[person])) if person.any() else 0.0

    def face_strength(self, side: float) -> float | None:
        """Return how strong the fine structure of its face is, as large as another one."""
        faces = detectors.find(detectors.FACES, self.picture, SURE)
        if not faces:
            return None
        left, top, right, bottom = (round(value) for value in faces[0].box)
        share = side / max(1.0, side_of(faces[0]))
        size = [max(4, round((end - start) * share)) for start, end in ((left, right), (top, bottom))]
        face = self.picture.crop((left, top, right, bottom)).resize(size, Image.Resampling.BICUBIC)
        luma = np.asarray(face, np.float32) @ LUMA
        return strength(luma - smooth(luma))


def cut(values: NDArray[np.float32], found: Found) -> NDArray[np.float32]:
    """Return the part of a picture in the box of a face."""
    left, top, right, bottom = (max(0, round(value)) for value in found.box)
    return values[min(top, values.shape[0] - 1) : bottom + 1, min(left, values.shape[1] - 1) : right + 1]


def strength(fine: NDArray[np.float32]) -> float:
    """Return how strong fine structure is, where it is strong."""
    return float(np.percentile(np.abs(fine), 95))


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
