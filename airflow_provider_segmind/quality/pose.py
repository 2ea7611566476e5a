"""Find the joints of a person, and compare two poses; needs a model that is not shipped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_segmind.quality import interpreters

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from airflow_provider_segmind.quality.detectors import Found

LEAST_JOINTS = 6
"""Fewest joints that both pictures must show: eyes, ears and nose are five, and say nothing about a body."""
_SEEN = 0.5
# Facts from MediaPipe's graph: which of the detector's points the model needs, and how much margin around them.
_MIDDLE, _ON_CIRCLE = 0, 1
_AROUND = 1.25
_SIDE = 256
_LANDMARKS = 39
_WINDOW = 3
"""Cells of a heatmap on each side of a landmark that refine its place."""
# COCO's 17 key points among BlazePose's: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
_COCO = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
# How far apart people put the same key point, as a share of the root of the person's area (cocodataset.org).
_SIGMAS = np.array(
    (0.026, *np.repeat((0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089), 2).tolist()), np.float64
)


@dataclass(frozen=True)
class Pose:
    """The joints of a person."""

    joints: NDArray[np.float64]  # 17 x 2, COCO's key points, x and y in pixels of the picture
    seen: NDArray[np.bool_]  # 17, whether the picture shows each joint


def find(picture: Image.Image, body: Found, model: Path) -> Pose | None:
    """Return the pose of a body that ``detectors.BODIES`` found in an RGB picture, or ``None`` if there is none."""
    pixels = np.asarray(picture, np.float32)
    middle = body.points[_MIDDLE].astype(np.float64)
    axes = _axes(body)
    outputs = interpreters.run(interpreters.POSE, _crop(pixels, middle, axes), model)
    by_size = {output.size: output for output in outputs}
    if float(by_size[1].ravel()[0]) < _SEEN:
        return None
    marks = by_size[_LANDMARKS * 5].reshape(_LANDMARKS, 5)[list(_COCO)].astype(np.float64)
    heat = next(output for output in outputs if output.ndim == 3 and output.shape[-1] == _LANDMARKS)
    places = _refined(marks[:, :2] / _SIDE, heat[..., list(_COCO)])
    joints = middle + (places - 0.5) @ axes
    inside = np.all((joints >= 0) & (joints < (picture.width, picture.height)), axis=1)
    return Pose(joints, inside & (_sigmoid(marks[:, 3]) >= _SEEN))


def _axes(body: Found) -> NDArray[np.float64]:
    """Return the square around a body as two vectors in pixels: along its upper edge, and down."""
    up = (body.points[_ON_CIRCLE] - body.points[_MIDDLE]).astype(np.float64) * 2 * _AROUND
    return np.array([[-up[1], up[0]], [-up[0], -up[1]]])


def _crop(pixels: NDArray[np.float32], middle: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a square of a picture, 256 x 256 x 3, 0 to 1; beyond the picture, its edge is repeated."""
    along = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
    right, down = np.meshgrid(along, along)
    places = middle + np.stack([right, down], axis=-1) @ axes - 0.5
    places = np.clip(places, 0, np.array(pixels.shape[1::-1]) - 1.0)
    corner = places.astype(np.intp)
    part = (places - corner).astype(np.float32)[..., None]
    x, y = corner[..., 0], corner[..., 1]
    next_x, next_y = np.minimum(x + 1, pixels.shape[1] - 1), np.minimum(y + 1, pixels.shape[0] - 1)
    upper = pixels[y, x] * (1 - part[..., 0, :]) + pixels[y, next_x] * part[..., 0, :]
    lower = pixels[next_y, x] * (1 - part[..., 0, :]) + pixels[next_y, next_x] * part[..., 0, :]
    return np.asarray((upper * (1 - part[..., 1, :]) + lower * part[..., 1, :]) / 255, np.float32)


def _refined(places: NDArray[np.float64], heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """Move landmarks (n x 2, 0 to 1) to the middle of their heatmap's warm area (height x width x n, logits)."""
    refined = places.copy()
    height, width = heat.shape[:2]
    for number, (x, y) in enumerate(places):
        column, row = math.floor(x * width), math.floor(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        top, left = max(0, row - _WINDOW), max(0, column - _WINDOW)
        warm = _sigmoid(heat[top : row + _WINDOW + 1, left : column + _WINDOW + 1, number].astype(np.float64))
        if warm.max() < _SEEN:
            continue
        rows, columns = np.indices(warm.shape)
        total = warm.sum()
        refined[number] = ((columns + left) * warm).sum() / total / width, ((rows + top) * warm).sum() / total / height
    return refined


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float64)


def likeness(before: Pose, after: Pose, area: float) -> float:
    """Return COCO's object key point similarity (OKS), 0 to 1; ``area``: pixels that the earlier person covers."""
    both = before.seen & after.seen
    if not both.any():
        raise ValueError("no joint is seen in both poses")
    squares = ((after.joints - before.joints)[both] ** 2).sum(axis=1)
    return float(np.mean(np.exp(-squares / (2 * area * (2 * _SIGMAS[both]) ** 2))))
