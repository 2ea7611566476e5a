"""What the checks with models judge: each value's check, its threshold, and what a person would see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """
    One measured value and how it is judged.

    :param check: the check's name.
    :param threshold: the field of ``Thresholds``; its first word says on which side of it a value is good.
    :param of: what is measured, by the method of the check's name: ``frame``, ``surroundings`` or ``person``.
    :param words: what a person would see; ``{}`` stands for the value.
    :param form: how value and threshold are written, as for ``format``.
    """

    check: str
    threshold: str
    of: Literal["frame", "surroundings", "person"]
    words: str
    form: str = ".2f"

    @property
    def measure(self) -> str:
        """The name of the method."""
        return self.check.removeprefix("background_").removeprefix("subject_")


RULES = (
    Rule("stretched", "max_stretch", "frame", "everything is wider or narrower by {} than on the source", ".1%"),
    Rule("shifted", "max_shift", "frame", "the picture is shifted or zoomed by {} of its side", ".1%"),
    Rule("empty_rows", "max_empty_rows", "frame", "{} of its rows or columns show nothing any more", ".1%"),
    Rule("colour", "min_colour", "frame", "it is black and white: {} of the source's colour is left", ".0%"),
    Rule(
        "sharpness",
        "min_sharpness",
        "frame",
        "it, or a half of it, is blurred: its edges are {} times as hard as the source's",
    ),
    Rule(
        "background_changed",
        "max_background_changed",
        "surroundings",
        "{} of the background shows something else",
        ".1%",
    ),
    Rule(
        "background_saturation",
        "max_background_saturation",
        "surroundings",
        "colours of the background are {} times as strong or as weak, or others",
    ),
    Rule(
        "background_detail",
        "min_background_detail",
        "surroundings",
        "the background is blurred or coarse: its detail is {} times as strong as the source's",
    ),
    Rule("background_grain", "max_background_grain", "surroundings", "even places got grainy by {} of 255", ".1f"),
    Rule("background_erased", "max_background_erased", "surroundings", "{} of the background was erased", ".1%"),
    Rule(
        "background_smeared",
        "max_background_smeared",
        "surroundings",
        "{} of the background's detail is smeared, or something lies over it",
        ".1%",
    ),
    Rule(
        "background_taken",
        "max_background_taken",
        "surroundings",
        "a person stands on {} of what was background",
        ".1%",
    ),
    Rule(
        "new_lines",
        "max_new_lines",
        "surroundings",
        "lines lie over {} of the background, as of a text, a watermark or another picture",
        ".2%",
    ),
    Rule(
        "new_mark",
        "max_new_mark",
        "surroundings",
        "a mark or an object is new in the background: there, {} of the pixels are lines",
        ".0%",
    ),
    Rule(
        "new_object",
        "max_new_object",
        "surroundings",
        "something new, of {} of the picture, is in the background",
        ".1%",
    ),
    Rule(
        "cells",
        "max_cells",
        "surroundings",
        "it is made of cells, as a mosaic: straight lines stand out {} times more",
        ".1f",
    ),
    Rule("text", "max_text", "frame", "a text lies on it: along a line, {} of the pixels are new edges", ".0%"),
    Rule(
        "straight_edge",
        "max_straight_edge",
        "frame",
        "a straight edge is new, as of a bar, a patch or a seam: {} times as long as a face, or a quarter of a side",
    ),
    Rule("turned", "max_turn", "person", "the person is turned by {} degrees", ".0f"),
    Rule(
        "subject_contrast",
        "min_subject_contrast",
        "person",
        "the person is pale or seen through: light and dark differ {} times as much as on the old one",
    ),
    Rule("face_lost", "max_face_loss", "person", "the face or body is less surely one: its score fell by {}"),
    Rule("face_detail", "min_face_detail", "person", "the face is blurred: its detail is {} times the old one's"),
    Rule(
        "face_flat", "max_face_flat", "person", "parts of the face are covered, or cells of one colour: {} of it", ".0%"
    ),
    Rule("subject_grain", "max_subject_grain", "person", "the person is grainy all over, by {} of 255", ".1f"),
    Rule(
        "face_colour",
        "min_skin",
        "person",
        "the face has no colour of skin: red exceeds green and blue by {} of it",
        ".0%",
    ),
    Rule(
        "subject_there",
        "min_there",
        "person",
        "a part of the person is missing: there, one is seen {} times as surely as before",
    ),
    Rule(
        "old_person",
        "max_old_detail",
        "person",
        "{} of the fine detail of the old person, of a half or of the face, is still there",
        ".0%",
    ),
    Rule(
        "subject_detail", "min_subject_detail", "person", "the person's detail is {} times as strong as the old one's"
    ),
    Rule("subject_erased", "max_subject_erased", "person", "{} of the person lost all detail", ".1%"),
)
