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
    The limits of all checks. None was fitted on real body swaps of Segmind: see ``docs/quality.md``.

    :param max_pixels: width times height. A judgement: above a camera's 12 to 50 million. A pair of WebPs of 64 million
        pixels, the most expensive kind measured, takes a process to 1.0 GB, a pair of PNGs with transparency to 0.3.
    :param min_side: pixels of an input's shorter side. A judgement: the size at which these measures were made.
    :param max_aspect_ratio: longer side divided by shorter side of an input. A judgement.
    :param min_contrast: standard deviation of the luma, 0 to 255. A blank picture has 0; the lowest of ten source
        photographs was 25, of their good swaps 37.
    :param same_image_bits: two inputs whose 64-bit dHashes differ in at most this many bits are the same picture.
    :param min_resolution_share: a result's shorter side, as a share of the source's shorter side or of 512 pixels, the
        smaller of the two. A judgement: a result may be smaller than a large photograph.
    :param max_aspect_ratio_delta: relative change. Editing models that round sizes change it by up to 0.03; squashed
        pictures started at 0.17.
    :param max_flat_area_increase: share of 16-pixel blocks that became flat. Good swaps: mostly up to 0.18, one above
        0.25, after which it was raised from 0.25.
    :param min_changed_area: share of 8-pixel blocks whose colour changed. Good swaps: 0.24 to 0.78; the source sent
        back, however re-encoded: up to 0.001.
    :param max_changed_area: the same share; above it, the result has nothing in common with the source.
    :param max_mirrored_gain: share by which the changed area may shrink against the mirrored source. 42 good swaps of
        21 photographs had up to 0.05; 14 of 21 mirrored ones 0.14 and more, the others were of plain or symmetric
        scenes.
    :param max_noise: how many times rougher the result may be than the source. The same swaps had up to 2.3, noise 4.7
        and more.
    :param reference_returned_bits: bits of the dHash, as above; good swaps of ten photographs differed from the
        reference in 9 or more.
    :param no_person: verdict for a source, a reference or a result without a person: ``fail`` or ``warn``. A person
        seen from the back, or far away, may not be found.
    :param min_face_score: 0 to 1, from which a face counts as a person. At this value, 10 of 10 photographs without and
        37 of 37 with one person were counted correctly; chosen on them. MediaPipe's own is 0.6.
    :param min_body_score: likewise for the detector of bodies, which also finds persons seen from the back.
    :param min_subject_area: share of the source; below, ``subject_area`` warns. A judgement.
    :param min_background_area: share of the picture that must be background in both; below, the background is not
        judged. With less, errors of the subject's mask decided; one good swap with 0.11 failed by its PSNR.
    :param min_background_psnr: in dB; below, the background was changed, unless its similarity is high. Any limit from
        18 to 24 did the same on 24 photographs; good swaps had 17.8 and more.
    :param min_background_ssim: similarity below which the background was replaced. Good swaps had 0.70 and more.
    :param sure_background_ssim: similarity from which a low PSNR does not count: a small error of the subject's mask
        lowers the PSNR to 17.8 and leaves a similarity of 0.98.
    :param max_background_luminance_shift: of 255, either way. Good swaps had up to 7.7, darkened ones 15.5 and more.
    :param max_background_color_shift: of 255, of the channel that changed most. Good swaps had up to 10.1.
    :param max_move_evidence: how many times smaller the background's error may be if the result is laid on the source
        moved, zoomed or mirrored. Good swaps of 42 photographs had up to 1.02; shaded anew, 1 of 492 had more than this
        limit.
    :param max_subject_move: sideways, as a share of the longer side. The same good swaps had up to 0.04.
    :param max_subject_ssim: similarity of the subject above which it is still the old one. Good swaps had up to 0.42,
        the source sent back mostly 0.82 and more.
    :param min_sharpness: strength of the result's hardest edges, as a share of the source's, or of 128 if those are
        harder. 124 good swaps of 42 photographs had 0.43 and more; heavily blurred ones up to 0.20.
    :param min_pose_oks: similarity of the poses, 0 to 1, below which the new person does not keep the old one's pose.
        COCO's loosest match; it could not be fitted, since the available good swaps do not keep the pose. 0 only
        reports it.
    :raises InvalidRequestError: if a value is not a number, or out of its range.
    """

    max_pixels: int = MAX_PIXELS
    min_side: int = 512
    max_aspect_ratio: float = 3.0
    min_contrast: float = 5.0
    same_image_bits: int = 3
    min_resolution_share: float = 0.6
    max_aspect_ratio_delta: float = 0.05
    max_flat_area_increase: float = 0.35
    min_changed_area: float = 0.02
    max_changed_area: float = 0.95
    max_mirrored_gain: float = 0.10
    max_noise: float = 4.0
    reference_returned_bits: int = 3
    no_person: Literal["fail", "warn"] = "fail"
    min_face_score: float = 0.5
    min_body_score: float = 0.6
    min_subject_area: float = 0.03
    min_background_area: float = 0.12
    min_background_psnr: float = 20.0
    min_background_ssim: float = 0.60
    sure_background_ssim: float = 0.90
    max_background_luminance_shift: float = 10.0
    max_background_color_shift: float = 12.0
    max_move_evidence: float = 2.5
    max_subject_move: float = 0.06
    max_subject_ssim: float = 0.80
    min_sharpness: float = 0.3
    min_pose_oks: float = 0.5

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
                f"{self.max_changed_area!r}, so that no result could pass: the DAG's author must change one of them."
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
                f"There is no threshold {', '.join(map(repr, unknown))}: the DAG's author must use names from "
                f"{', '.join(known)}."
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
