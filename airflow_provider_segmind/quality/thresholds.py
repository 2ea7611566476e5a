"""The limits for checks of pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import MAX_PIXELS


@dataclass(frozen=True)
class Thresholds:
    """
    The limits of all checks, which ``docs/quality.md`` defines. None was fitted on real body swaps of Segmind.

    :param max_pixels: width times height of a picture.
    :param min_side: pixels of an input's shorter side.
    :param max_aspect_ratio: longer side divided by shorter side of an input.
    :param min_contrast: standard deviation of the luma, 0 to 127.5.
    :param same_image_bits: of 64; inputs whose dHashes differ in at most so many bits are the same picture.
    :param min_resolution_share: a result's shorter side, as a share of the source's or of 512 pixels, the smaller.
    :param max_aspect_ratio_delta: relative change of width to height.
    :param max_flat_area_increase: share of 16-pixel blocks that became flat.
    :param min_changed_area: share of 8-pixel blocks whose colour changed; below, the source came back.
    :param max_changed_area: the same share; above, the result has nothing in common with the source.
    :param max_mirrored_gain: share by which the changed area may shrink against the mirrored source.
    :param max_noise: how many times rougher the result may be than the source.
    :param reference_returned_bits: of 64, as ``same_image_bits``, for result and reference.
    :param no_person: verdict for a picture without a person: ``fail`` or ``warn``. A person seen from the back, or far
        away, may not be found.
    :param min_face_score: 0 to 1, from which a face counts as a person.
    :param min_body_score: likewise for the detector of bodies, which also finds persons seen from the back.
    :param min_subject_area: share of the source; below, ``subject_area`` warns.
    :param min_background_area: share that must be background in both; below, the background is not judged.
    :param min_background_psnr: in dB; below, the background was changed, unless its similarity is high.
    :param min_background_ssim: similarity below which the background was replaced.
    :param sure_background_ssim: similarity from which a low PSNR does not count.
    :param max_background_luminance_shift: of 255, either way.
    :param max_background_color_shift: of 255, of the channel that changed most.
    :param max_move_evidence: how many times smaller the background's error may be if it is moved, zoomed or mirrored.
    :param max_subject_move: sideways, as a share of the longer side.
    :param max_subject_ssim: similarity of the subject above which it is still the old one.
    :param min_sharpness: strength of the result's hardest edges, as a share of the source's, or of 128 if less.
    :param min_pose_oks: similarity of the poses, 0 to 1, below which the new person does not keep the pose; 0 only
        reports it.
    :raises InvalidRequestError: if a value is not a number, or out of its range.
    """

    # "Good" are swaps that code pasted together from photographs: see benchmarks/results.md.
    max_pixels: int = MAX_PIXELS  # a judgement: cameras have 12 to 50 million; a pair of such WebPs takes 1.0 GB
    min_side: int = 512  # a judgement: the size at which these measures were made
    max_aspect_ratio: float = 3.0  # a judgement
    min_contrast: float = 5.0  # a blank picture has 0, the lowest of ten photographs had 25
    same_image_bits: int = 3
    min_resolution_share: float = 0.6  # a judgement: a result may be smaller than a large photograph
    max_aspect_ratio_delta: float = 0.05  # models that round sizes: up to 0.03; squashed pictures: 0.17 and more
    max_flat_area_increase: float = 0.35  # good: mostly up to 0.18, one above 0.25
    min_changed_area: float = 0.02  # good: 0.24 to 0.78; the source sent back, however encoded: up to 0.001
    max_changed_area: float = 0.95
    max_mirrored_gain: float = 0.10  # good: up to 0.05; 14 of 21 mirrored: 0.14 and more
    max_noise: float = 4.0  # good: up to 2.3; noise: 4.7 and more
    reference_returned_bits: int = 3  # good: 9 and more
    no_person: Literal["fail", "warn"] = "fail"
    min_face_score: float = 0.5  # counted 47 of 47 photographs correctly, on which it was chosen; MediaPipe: 0.6
    min_body_score: float = 0.6
    min_subject_area: float = 0.03  # a judgement
    min_background_area: float = 0.12  # with less, errors of the mask decided: one good swap with 0.11 failed
    min_background_psnr: float = 20.0  # good: 17.8 and more; any limit from 18 to 24 did the same
    min_background_ssim: float = 0.60  # good: 0.70 and more
    sure_background_ssim: float = 0.90  # a small error of the mask: 17.8 dB, but 0.98
    max_background_luminance_shift: float = 10.0  # good: up to 7.7; darkened: 15.5 and more
    max_background_color_shift: float = 12.0  # good: up to 10.1
    max_move_evidence: float = 2.5  # good: up to 1.02; shaded anew, 1 of 492 had more than this
    max_subject_move: float = 0.06  # good: up to 0.04
    max_subject_ssim: float = 0.80  # good: up to 0.42; the source sent back: mostly 0.82 and more
    min_sharpness: float = 0.3  # good: 0.43 and more; heavily blurred: up to 0.20
    min_pose_oks: float = 0.5  # COCO's loosest match; not fitted: no good swap at hand keeps the pose

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "no_person":
                _verify(field.name, getattr(self, field.name), whole=field.type == "int")
        if self.no_person not in ("fail", "warn"):
            raise InvalidRequestError(
                f"The threshold no_person must be 'fail' or 'warn', not {self.no_person!r}: set it in the DAG."
            )
        if self.min_changed_area > self.max_changed_area:
            raise InvalidRequestError(
                f"The threshold min_changed_area, {self.min_changed_area!r}, is above max_changed_area, "
                f"{self.max_changed_area!r}, so that no result could pass: change one of them."
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Thresholds:
        """
        Return the defaults with some values replaced.

        :param values: by name.
        :raises InvalidRequestError: if a name is unknown or a value is wrong; the message has both.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise InvalidRequestError(
                f"There is no threshold {', '.join(map(repr, unknown))}: use names from {', '.join(known)}."
            )
        return cls(**values)


_HIGHEST = {
    "same_image_bits": 64.0,
    "reference_returned_bits": 64.0,
    "min_contrast": 127.5,
    "min_resolution_share": 1.0,
    "max_flat_area_increase": 1.0,
    "min_changed_area": 1.0,
    "max_changed_area": 1.0,
    "max_mirrored_gain": 1.0,
    "min_face_score": 1.0,
    "min_body_score": 1.0,
    "min_subject_area": 1.0,
    "min_background_area": 1.0,
    "min_background_ssim": 1.0,
    "sure_background_ssim": 1.0,
    "max_background_luminance_shift": 255.0,
    "max_background_color_shift": 255.0,
    "max_subject_move": 1.0,
    "max_subject_ssim": 1.0,
    "min_pose_oks": 1.0,
}
_LOWEST = {"max_pixels": 1.0, "max_aspect_ratio": 1.0}


def _verify(name: str, value: object, *, whole: bool) -> None:
    lowest, highest = _LOWEST.get(name, 0.0), _HIGHEST.get(name, math.inf)
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not (lowest <= value <= highest):
        kind = "a whole number" if whole else "a number"
        limits = f"from {lowest:g}" + (f" to {highest:g}" if highest < math.inf else "")
        raise InvalidRequestError(f"The threshold {name} must be {kind} {limits}, not {value!r}: set it in the DAG.")
    if value == math.inf:
        raise InvalidRequestError(f"The threshold {name} must be finite, not {value!r}: set it in the DAG.")
