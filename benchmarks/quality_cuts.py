"""
Find the limits from which a person has to look: by one recipe, from good swaps alone, on scenes apart from the test's.

No bad swap has a part in it, so nothing is fitted to the kinds of the benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from airflow_provider_segmind.quality import thresholds
from airflow_provider_segmind.quality.inspect import DEFAULTS
from airflow_provider_segmind.quality.rules import RULES
from benchmarks.quality_verdicts import Outcome, Said

FILE = Path(thresholds.__file__).with_name("cuts.json")
_WORST = 99.0
"""Percentile of good swaps that a limit has to clear."""
_ROOM = 1.15
"""How far beyond it the limit is, as a multiple of its distance from the middle of good swaps."""
_THRESHOLDS = {rule.check: rule.threshold for rule in RULES} | {
    "changed_area_fraction": "min_changed_area",
    "flat_area_increase": "max_flat_area_increase",
    "aspect_ratio_delta": "max_aspect_ratio_delta",
    "background_ssim": "min_background_ssim",
    "background_luminance_shift": "max_background_luminance_shift",
    "background_color_shift": "max_background_color_shift",
    "subject_ssim": "max_subject_ssim",
}
# Never tighter than this, whatever the set says: by real swaps, which had up to 11.3 of colour and 8.0 of light, or
# because nobody would mind less.
_NEVER_TIGHTER: Mapping[str, float] = {
    "min_changed_area": 0.015,
    "max_flat_area_increase": 0.25,
    "max_aspect_ratio_delta": 0.05,
    "min_background_ssim": 0.65,
    "max_background_luminance_shift": 10.0,
    "max_background_color_shift": 13.0,
    "max_subject_ssim": 0.86,
    "max_stretch": 0.08,
    "max_shift": 0.035,
    "max_empty_rows": 0.04,
    "min_colour": 0.12,
    "min_sharpness": 0.5,
    "max_background_changed": 0.12,
    "max_background_saturation": 1.45,
    "min_background_detail": 0.5,
    "max_background_grain": 2.2,
    "max_background_erased": 0.02,
    "max_background_smeared": 0.03,
    "max_background_taken": 0.08,
    "max_new_lines": 0.007,
    "max_new_mark": 0.15,
    "max_new_object": 0.005,
    "max_cells": 1.95,
    "max_text": 0.22,
    "max_straight_edge": 0.8,
    "max_turn": 16.0,
    "min_subject_contrast": 0.7,
    "max_face_loss": 0.48,
    "max_face_flat": 0.13,
    "max_subject_grain": 1.7,
    "min_face_detail": 0.5,
    "min_skin": 0.03,
    "min_there": 0.66,
    "max_old_detail": 0.58,
    "min_subject_detail": 0.33,
    "max_subject_erased": 0.2,
}
# Never looser than this, whatever one odd scene says: beyond, a person would mind.
_NEVER_LOOSER: Mapping[str, float] = {
    "min_changed_area": 0.015,
    "max_stretch": 0.12,
    "max_shift": 0.05,
    "max_empty_rows": 0.08,
    "max_background_changed": 0.3,
    "max_background_saturation": 2.0,
    "max_background_erased": 0.05,
    "max_background_smeared": 0.08,
    "max_background_taken": 0.25,
    "max_new_lines": 0.03,
    "max_new_mark": 0.4,
    "max_new_object": 0.02,
    "max_cells": 2.6,
    "max_text": 0.3,
    "max_straight_edge": 0.9,
    "max_turn": 30.0,
    "min_subject_contrast": 0.62,
    "max_face_loss": 0.6,
    "max_face_flat": 0.2,
    "max_subject_grain": 2.5,
    "min_face_detail": 0.35,
    "min_there": 0.5,
    "max_old_detail": 0.62,
    "min_subject_detail": 0.3,
    "max_subject_erased": 0.35,
    "max_background_color_shift": 14.0,
}
# Not measured here, or by a rule of several values.
_FIXED: Mapping[str, float] = {
    "max_quantization": 110.0,
    "min_background_psnr": 20.0,
    "min_pose_oks": 0.5,
}


def found(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the limits that good swaps of some scenes give, by the name of the threshold."""
    cuts = dict(_FIXED)
    for check, name in _THRESHOLDS.items():
        side = -1 if name.startswith("min_") else 1
        known = [said[1] for one in outcomes if one.is_good and (said := one.checks.get(check)) and said[1] is not None]
        cut = side * _NEVER_TIGHTER[name]
        if known:
            values = side * np.asarray(known, np.float64)
            middle, far = float(np.median(values)), float(np.percentile(values, _WORST))
            cut = max(cut, middle + _ROOM * (far - middle))
        # A limit for a look must be within the one for a failure.
        cuts[name] = round(side * min(cut, side * _NEVER_LOOSER.get(name, getattr(DEFAULTS, name))), 3)
    return cuts


def held_out(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Judge each fold anew by the limits that the others gave."""
    judged = []
    for fold in sorted({one.fold for one in outcomes}):
        cuts = found([one for one in outcomes if one.fold != fold])
        judged += [replace(one, checks=again(one.checks, cuts)) for one in outcomes if one.fold == fold]
    return judged


def again(checks: Said, cuts: Mapping[str, float]) -> Said:
    """Judge values anew by other limits for a look; what fails, fails."""
    made = dict(checks)
    for check, name in _THRESHOLDS.items():
        verdict, value = checks.get(check, ("skipped", None))
        if verdict in ("pass", "review") and value is not None:
            side = -1 if name.startswith("min_") else 1
            made[check] = ("review" if side * value > side * cuts[name] else "pass", value)
    return made


def write(outcomes: Sequence[Outcome], made: str, path: Path = FILE) -> None:
    """Write the limits that all scenes give, with what they were made of."""
    good = [one for one in outcomes if one.is_good]
    said = {
        "made_by": "make bench-quality",
        "of": made,
        "scenes": len({one.base for one in good}),
        "good_swaps": len(good),
        "recipe": f"percentile {_WORST} of good swaps, times {_ROOM} its distance from their median; "
        "never tighter than benchmarks/quality_cuts.py says",
        "review": found(outcomes),
    }
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
