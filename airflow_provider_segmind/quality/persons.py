"""Count the persons in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segmind.quality import detectors

if TYPE_CHECKING:
    from PIL import Image

    from airflow_provider_segmind.quality.detectors import Found
    from airflow_provider_segmind.quality.thresholds import Thresholds


@dataclass(frozen=True)
class Persons:
    """The persons found in a picture, best first."""

    faces: tuple[Found, ...]
    bodies: tuple[Found, ...]

    @classmethod
    def on(cls, picture: Image.Image, thresholds: Thresholds) -> Persons:
        """Return the persons found in an RGB picture."""
        return cls(
            detectors.find(detectors.FACES, picture, thresholds.min_face_score),
            detectors.find(detectors.BODIES, picture, thresholds.min_body_score),
        )

    @property
    def count(self) -> int:
        """The larger count: each detector misses some persons, and seldom finds a false one."""
        return max(len(self.faces), len(self.bodies))
