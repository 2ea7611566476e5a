"""The limits for checks of pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import MAX_PIXELS
from airflow_provider_segmind.quality.report import Check


@dataclass(frozen=True)
class Thresholds:
    """
    The limits beyond which a check fails; ``docs/quality.md`` defines them. None was fitted on real swaps of Segmind.

    Most values have a second, tighter limit from which a person has to look: ``review``. The project's own benchmark
    found it, see ``cuts.json``. A threshold that you set decides alone: beyond it the check fails, else it passes.

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
    :param min_background_area: share that must be background on both; below, what is plainly the same on both is added.
    :param min_background_psnr: in dB; below, the background was changed, unless its similarity is high.
    :param min_background_ssim: similarity below which the background was replaced.
    :param sure_background_ssim: similarity from which a low PSNR does not count.
    :param max_background_luminance_shift: of 255, either way.
    :param max_background_color_shift: of 255, of the channel that changed most.
    :param max_subject_ssim: similarity of the subject above which it is still the old one.
    :param min_sharpness: strength of the result's hardest edges, or of a half's, as a share of the source's, or of 128
        if less.
    :param min_pose_oks: similarity of the poses, 0 to 1, below which the new person does not keep the pose; 0 only
        reports it.
    :param max_quantization: mean step of a JPEG's levels of brightness, 1 to 255; above, it was saved too small.
    :param max_stretch: share by which things got wider or narrower.
    :param max_shift: share of a side by which the picture was shifted or zoomed, beyond a crop to a multiple of 64; 1
        never fails.
    :param max_empty_rows: share of rows or columns that show nothing any more.
    :param min_colour: share of the source's colour that is left.
    :param max_background_changed: share of it that shows another colour.
    :param max_background_saturation: factor by which its colours changed, either way, 1 to 10.
    :param min_background_detail: strength of its fine structure, as a share of the source's.
    :param max_background_grain: of 255; by how much its even places got grainy.
    :param max_background_erased: share of it that lost all structure.
    :param max_background_smeared: share of its detail that was lost in one place alone; 1 never fails.
    :param max_background_taken: share of the source's background where a person stands now.
    :param max_new_lines: share of the background, far from the person, that is a new line.
    :param max_new_mark: share of new lines where they are densest; 1 never fails.
    :param max_new_object: share of the picture that is one new thing, off the person; 1 never fails.
    :param max_cells: how many times more straight lines there may be, as of a mosaic.
    :param max_text: share of new hard edges along a line, as of a text; 1 never fails.
    :param max_straight_edge: length of a new straight edge: in widths of the face, or in quarters of the longer side; 4
        never fails.
    :param max_turn: degrees by which the person is turned.
    :param min_subject_contrast: range of light and dark on the person, as a share of the old one's; 0 never fails.
    :param max_face_loss: by how much the score of the face, or of the body, fell; 1 never fails.
    :param min_face_detail: strength of the face's fine structure, as a share of the old one's; 0 never fails.
    :param max_face_flat: share of the face that is flat, beyond the old one's and the reference's; 1 never fails.
    :param max_subject_grain: of 255; by how much even the smoother places of the person got grainy.
    :param min_skin: by how much of its red a face is redder than green and blue; -10 never fails.
    :param min_there: how surely a person is where each half of the old one was, as a share of the source's.
    :param max_old_detail: share of a half of the old person, or of the face, whose fine structure is still there.
    :param min_subject_detail: strength of the person's finest structure, as a share of the old one's.
    :param max_subject_erased: share of the person that lost all fine structure, beyond what is plain on the reference.
    :raises InvalidRequestError: if a value is not a number, or out of its range.
    """

    # "Good" are swaps that code pasted together from photographs: see benchmarks/results.md.
    max_pixels: int = MAX_PIXELS  # a judgement: cameras have 12 to 50 million; a pair of such WebPs takes 1.0 GB
    min_side: int = 512  # a judgement: the size at which these measures were made
    max_aspect_ratio: float = 3.0  # a judgement
    min_contrast: float = 5.0  # a blank picture has 0, the lowest of ten photographs had 25
    same_image_bits: int = 3
    min_resolution_share: float = 0.6  # a judgement: a result may be smaller than a large photograph
    max_aspect_ratio_delta: float = 0.12  # models that round sizes: up to 0.03; squashed pictures: 0.17 and more
    max_flat_area_increase: float = 0.35  # good: mostly up to 0.18, one above 0.25
    min_changed_area: float = 0.01  # the source sent back, however encoded: up to 0.003
    max_changed_area: float = 0.95
    max_mirrored_gain: float = 0.10  # good: up to 0.05; 14 of 21 mirrored: 0.14 and more
    max_noise: float = 4.0  # good: up to 2.3; noise: 4.7 and more
    reference_returned_bits: int = 3  # good: 9 and more
    no_person: Literal["fail", "warn"] = "fail"
    min_face_score: float = 0.5  # counted 47 of 47 photographs correctly, on which it was chosen; MediaPipe: 0.6
    min_body_score: float = 0.6
    min_subject_area: float = 0.03  # a judgement
    min_background_area: float = 0.12  # with less, errors of the mask decided: one good swap with 0.11 failed
    min_background_psnr: float = 15.0
    min_background_ssim: float = 0.45
    sure_background_ssim: float = 0.90  # a small error of the mask: 17.8 dB, but 0.98
    max_background_luminance_shift: float = 22.0  # real swaps: up to 8.0
    max_background_color_shift: float = 28.0  # real swaps: up to 11.3
    max_subject_ssim: float = 0.90  # the source sent back: mostly 0.95 and more
    min_sharpness: float = 0.15  # heavily blurred: up to 0.20
    min_pose_oks: float = 0.1  # real swaps: 0.64 to 0.98, 3 of 51 less
    max_quantization: float = 180.0  # quality 12
    max_stretch: float = 0.18
    max_shift: float = 1.0
    max_empty_rows: float = 0.2
    min_colour: float = 0.04
    max_background_changed: float = 0.5
    max_background_saturation: float = 5.0
    min_background_detail: float = 0.1
    max_background_grain: float = 9.0
    max_background_erased: float = 0.25
    max_background_smeared: float = 1.0
    max_background_taken: float = 0.6
    max_new_lines: float = 0.1
    max_new_mark: float = 1.0
    max_new_object: float = 1.0
    max_cells: float = 20.0
    max_text: float = 1.0
    max_straight_edge: float = 4.0
    max_turn: float = 60.0
    min_subject_contrast: float = 0.0
    max_face_loss: float = 1.0
    min_face_detail: float = 0.0
    max_face_flat: float = 1.0
    max_subject_grain: float = 9.0
    min_skin: float = -10.0
    min_there: float = 0.0
    max_old_detail: float = 0.85
    min_subject_detail: float = 0.05
    max_subject_erased: float = 0.6

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

    def judge(self, check: str, name: str, value: float | None, words: str, form: str = ".2f") -> Check:
        """
        Judge a value by a threshold, and by the tighter one from which a person has to look.

        :param check: the check's name.
        :param name: the threshold's.
        :param value: ``None`` if there was nothing to measure.
        :param words: what a person would see; ``{}`` stands for the value.
        :param form: how numbers are written.
        """
        limit, review = getattr(self, name), self.review(name)
        wanted = limit if review is None else review
        if value is None:
            return Check(check, "skipped", None, wanted, "there is not enough of it to measure")
        side = -1 if name.startswith("min_") else 1
        verdict: Literal["pass", "review", "fail"] = "pass"
        if side * value > side * limit:
            verdict, wanted = "fail", limit
        elif review is not None and side * value > side * review:
            verdict = "review"
        edge = "at least" if side < 0 else "at most"
        why = f"{words.format(format(value, form))}, {edge} {format(wanted, form)} is wanted"
        return Check(check, verdict, round(value, 4), wanted, why)

    def review(self, name: str) -> float | None:
        """Return the limit of a threshold from which a person has to look; ``None`` if there is none, or it was set."""
        return review_cuts().get(name) if getattr(self, name) == _DEFAULTS[name] else None


@cache
def review_cuts() -> Mapping[str, float]:
    """Return the limits that ``make bench-quality`` found, by the name of the threshold."""
    cuts = resources.files("airflow_provider_segmind.quality").joinpath("cuts.json").read_text(encoding="utf-8")
    found: dict[str, float] = json.loads(cuts)["review"]
    return found


_DEFAULTS = {field.name: field.default for field in fields(Thresholds)}
_SHARES = (
    "min_resolution_share", "max_flat_area_increase", "min_changed_area", "max_changed_area", "max_mirrored_gain",
    "min_face_score", "min_body_score", "min_subject_area", "min_background_area", "min_background_ssim",
    "sure_background_ssim", "max_subject_ssim", "min_pose_oks", "max_shift", "max_empty_rows", "min_colour",
    "max_background_changed", "max_background_erased", "max_background_taken", "max_new_lines", "max_new_mark",
    "max_new_object", "max_text", "max_face_loss", "max_face_flat", "max_background_smeared", "max_old_detail",
    "max_subject_erased",
)  # fmt: skip
_HIGHEST = dict.fromkeys(_SHARES, 1.0) | {
    "same_image_bits": 64.0,
    "reference_returned_bits": 64.0,
    "min_contrast": 127.5,
    "max_background_luminance_shift": 255.0,
    "max_background_color_shift": 255.0,
    "max_quantization": 255.0,
    "max_straight_edge": 4.0,
    "max_turn": 180.0,
}
_LOWEST = {
    "max_pixels": 1.0,
    "max_aspect_ratio": 1.0,
    "max_background_saturation": 1.0,
    "min_skin": -255.0,
}


def _verify(name: str, value: object, *, whole: bool) -> None:
    lowest, highest = _LOWEST.get(name, 0.0), _HIGHEST.get(name, math.inf)
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not (lowest <= value <= highest):
        kind = "a whole number" if whole else "a number"
        limits = f"from {lowest:g}" + (f" to {highest:g}" if highest < math.inf else "")
        raise InvalidRequestError(f"The threshold {name} must be {kind} {limits}, not {value!r}: set it in the DAG.")
    if value == math.inf:
        raise InvalidRequestError(f"The threshold {name} must be finite, not {value!r}: set it in the DAG.")
