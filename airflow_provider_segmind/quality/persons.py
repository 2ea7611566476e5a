"""Count the persons on a picture."""

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
    """
    Who was found on a picture.

    :param faces: best first.
    :param bodies: best first.
    """

    faces: tuple[Found, ...]
    bodies: tuple[Found, ...]

    @classmethod
    def on(cls, picture: Image.Image, thresholds: Thresholds) -> Persons:
        """Return who is found on an RGB picture."""
        return cls(
            detectors.find(detectors.FACES, picture, thresholds.min_face_score),
            detectors.find(detectors.BODIES, picture, thresholds.min_body_score),
        )

    @property
    def count(self) -> int:
        """The larger number: each detector misses some persons, and seldom finds one where there is none."""
        return max(len(self.faces), len(self.bodies))
