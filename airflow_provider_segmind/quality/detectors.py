"""Find the faces, the bodies and the subject of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from airflow_provider_segmind.quality import interpreters

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MASK_SIDE = 256
_SAME = 0.3
"""Overlap (intersection over union) from which two boxes are one person; MediaPipe's own value."""


@dataclass(frozen=True)
class Detector:
    """A single-shot detector; facts from MediaPipe's graphs that its files do not contain."""

    model: str  # a key of interpreters.SHA256
    side: int  # of the square input in pixels, with values from -1 to 1
    grids: tuple[tuple[int, int], ...]  # per grid, cells along a side and boxes in each cell, in order


FACES = Detector("face_detection_full_range_sparse", 192, ((48, 1),))
"""Points: right eye, left eye, nose, mouth, right ear, left ear."""
BODIES = Detector("pose_detection", 224, ((28, 2), (14, 2), (7, 6)))
"""Boxes of heads. Points: hips, a point on the circle around the body, shoulders, one around the upper body."""


@dataclass(frozen=True)
class Found:
    """A face or a body."""

    score: float  # 0 to 1
    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels of the picture
    points: NDArray[np.float32]  # n x 2, x and y in pixels of the picture


def find(detector: Detector, picture: Image.Image, least: float) -> tuple[Found, ...]:
    """Return what a detector finds in an RGB picture, best first; ``least``: lowest score, 0 to 1."""
    side = detector.side
    scale = side / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    corner = np.array([(side - width) // 2, (side - height) // 2], np.float32)
    stretch = np.array([picture.width / width, picture.height / height], np.float32)
    square = Image.new("RGB", (side, side))
    square.paste(picture.resize((width, height), Image.Resampling.BILINEAR), (int(corner[0]), int(corner[1])))
    values, logits = interpreters.run(detector.model, np.asarray(square, np.float32) / np.float32(127.5) - 1)
    scores = np.asarray(1 / (1 + np.exp(-np.clip(logits[:, 0], -80, 80))), np.float32)
    likely = scores >= least
    # The first pair of numbers is a box's middle, the second its size, the others are points. All except the size are
    # relative to the middle of their cell.
    pairs = values[likely].reshape(-1, values.shape[1] // 2, 2)
    cells = _middles(detector)[likely] * side
    middles, sizes = (pairs[:, 0] + cells - corner) * stretch, pairs[:, 1] * stretch
    points = (pairs[:, 2:] + cells[:, None] - corner) * stretch
    corners = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)
    return _distinct(scores[likely], corners, points)


@cache
def _middles(detector: Detector) -> NDArray[np.float32]:
    parts = []
    for cells, boxes in detector.grids:
        along = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells
        x, y = np.meshgrid(along, along)
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), boxes, axis=0))
    return np.concatenate(parts)


def _distinct(
    scores: NDArray[np.float32], corners: NDArray[np.float32], points: NDArray[np.float32]
) -> tuple[Found, ...]:
    """Merge overlapping boxes, weighted by score as in MediaPipe, since single boxes jitter."""
    found = []
    left = np.argsort(-scores, kind="stable")
    while left.size:
        same = _overlap(corners[left[0]], corners[left]) > _SAME
        same[0] = True
        joined = left[same]
        weights = scores[joined] / scores[joined].sum()
        x0, y0, x1, y1 = (float(value) for value in weights @ corners[joined])
        found.append(Found(float(scores[left[0]]), (x0, y0, x1, y1), np.tensordot(weights, points[joined], 1)))
        left = left[~same]
    return tuple(found)


def _overlap(one: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float32]:
    inside = np.clip(np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2]), 0, None).prod(axis=1)
    area = np.clip(many[:, 2:] - many[:, :2], 0, None).prod(axis=1)
    both = np.clip(one[2:] - one[:2], 0, None).prod() + area - inside
    return np.asarray(inside / np.maximum(both, np.float32(1e-9)), np.float32)


def subject(picture: Image.Image) -> NDArray[np.float32]:
    """Return the likelihood of a person per pixel of an RGB picture, height x width, 0 to 1."""
    # Not a test of presence: an animal or an object in front also counts.
    square = picture.resize((_MASK_SIDE, _MASK_SIDE), Image.Resampling.BILINEAR)
    (mask,) = interpreters.run("selfie_segmentation", np.asarray(square, np.float32) / np.float32(255))
    small = Image.fromarray(np.round(np.clip(mask[..., 0], 0, 1) * 255).astype(np.uint8))
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR), np.float32) / np.float32(255)


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return a mask grown by this many pixels in every direction, as a square."""
    # Sums along each axis: Pillow's filter for this takes a quarter of a second.
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (pixels + 1, pixels)
        sums = np.moveaxis(np.cumsum(np.pad(mask, margin), axis=axis, dtype=np.int32), axis, 0)
        mask = np.moveaxis(sums[2 * pixels + 1 :] > sums[: -2 * pixels - 1], 0, axis)
    return np.asarray(mask, np.bool_)
