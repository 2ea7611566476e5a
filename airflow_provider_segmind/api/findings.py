"""What checks found, in words for people who look at pictures and not at numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = ("review", "fail")
"""Verdicts that people are shown."""
LOOK = "doubtful, please look: "
"""What the reason of a check begins with that only a person can decide."""

_WORDS = {
    "readable": "the file is no picture that can be read",
    "min_side": "the photograph is too small",
    "aspect_ratio": "the photograph is too long and narrow",
    "contrast": "the picture is blank",
    "same_image": "photograph and reference are one picture",
    "subject_area": "the person is very small",
    "resolution": "the result is smaller than the photograph",
    "aspect_ratio_delta": "the result is stretched or squashed",
    "flat_area_increase": "parts of the result are blank",
    "changed_area_fraction": "too little or too much of the picture changed",
    "mirrored": "the result is mirrored",
    "noise": "the result is full of noise",
    "reference_returned": "the reference came back instead of a swap",
    "background_psnr": "the background changed",
    "background_ssim": "the background changed",
    "background_luminance_shift": "the background is brighter or darker",
    "background_color_shift": "the background's colours changed",
    "subject_ssim": "the person was not replaced",
    "sharpness": "the result is blurred",
    "pose": "the pose changed",
    "upright": "a picture may lie on its side",
    "compression": "the result is saved too small",
    "stretched": "the result is stretched or squashed",
    "shifted": "the picture is shifted or zoomed",
    "empty_rows": "an edge of the result is empty",
    "colour": "the result lost its colours",
    "background_changed": "the background's colours changed",
    "background_saturation": "the background's colours changed",
    "background_detail": "the background is blurred or coarse",
    "background_grain": "the background is grainy",
    "background_erased": "parts of the background are gone",
    "background_smeared": "a place in the background is smeared or covered",
    "background_taken": "somebody stands where nobody stood",
    "new_lines": "there is a text, a watermark or stripes",
    "new_mark": "there is a logo or an object that was not there",
    "new_object": "something new is in the background",
    "cells": "the picture is made of cells, as a mosaic",
    "text": "a text lies on the picture",
    "straight_edge": "a straight edge is new: a bar, a patch or a seam",
    "turned": "the person is turned",
    "subject_contrast": "the person is pale or seen through",
    "face_lost": "the face or the body is hard to make out",
    "face_detail": "the face is blurred",
    "face_flat": "parts of the face are covered",
    "face_colour": "the face has no colour of skin",
    "subject_grain": "the person is grainy",
    "subject_there": "a part of the person is missing",
    "old_person": "a part of the old person is still there",
    "subject_detail": "the person is blurred",
    "subject_erased": "parts of the person are one colour",
}
_CHANGES = (("unchanged", "nothing was swapped"), ("nothing in common", "the result is another picture"))
_PERSONS = re.compile(r"(\d+) on the (\w+)")
_PICTURES = {"source": "photograph"}
_NOBODY = "nobody in the photograph"


def in_words(name: str, why: str = "") -> str:
    """
    Return what a failed check means, such as "nobody in the photograph".

    :param name: the check's name, as in ``docs/quality.md``.
    :param why: its reason, with the numbers.
    """
    if why.startswith(LOOK) and (words := in_words(name, why.removeprefix(LOOK))):
        return LOOK + words
    if name == "person_count":
        return _persons(why)
    if name == "changed_area_fraction":
        return next((words for sign, words in _CHANGES if sign in why), _WORDS[name])
    return _WORDS.get(name, "")


def found_in(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and reason of each check of a report that people are shown."""
    for check in report["checks"]:
        if check["verdict"] in SHOWN:
            yield check["name"], told(check)


def findings_in(report: Mapping[str, Any]) -> list[str]:
    """Return in words, each once, what the checks of a report found that is not well, warnings included."""
    bad = (check for check in report["checks"] if check["verdict"] not in ("pass", "skipped"))
    said = dict.fromkeys(in_words(check["name"], told(check)) or told(check) for check in bad)
    if _NOBODY in said:  # then how large the person is means nothing
        said.pop(_WORDS["subject_area"], None)
    return list(said)


def told(check: Mapping[str, Any]) -> str:
    """Return the reason of a check in words for people."""
    return f"{LOOK if check['verdict'] == 'review' else ''}{check.get('why')}"


def _persons(why: str) -> str:
    for count, picture in _PERSONS.findall(why):
        where = _PICTURES.get(picture, picture)
        if count == "0":
            return f"nobody in the {where}"
        if count != "1" and picture != "reference":
            return f"{count} people in the {where}"
    return "not one person in the picture"
