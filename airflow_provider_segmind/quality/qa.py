"""The checks that need the extra ``qa``: persons on the pictures, and parts that a swap should not change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from airflow_provider_segmind.quality import comparison, detectors, pose
from airflow_provider_segmind.quality.alignment import align
from airflow_provider_segmind.quality.comparison import BeforeAfter, Difference
from airflow_provider_segmind.quality.frame import Frame
from airflow_provider_segmind.quality.looks import Reference
from airflow_provider_segmind.quality.person import OldAndNew, Persons, score_near
from airflow_provider_segmind.quality.report import Check
from airflow_provider_segmind.quality.rules import RULES, Rule
from airflow_provider_segmind.quality.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.detectors import Found
    from airflow_provider_segmind.quality.thresholds import Thresholds

_LEAST_KEPT = 0.05
"""Share of a picture that is plainly the same on both, by which its background can be judged."""
_NEW_FACE, _NEW_BODY = 0.55, 0.65
"""Scores from which one more face or body is doubtful."""
_SURE_FACE = 0.8
_MOST_TILT = 50.0
"""Degrees; upright persons of the benchmark have up to 27, those of the same pictures turned at least 66."""
_GONE = 0.5
"""Share of a person's likelihood that is left at most where a person is plainly gone."""


def input_checks(pictures: Mapping[str, Image.Image], thresholds: Thresholds) -> tuple[Check, ...]:
    """Return the checks named in ``inspect.QA_INPUT`` of the RGB pictures ``source`` and, if given, ``reference``."""
    persons = {name: Persons.on(picture, thresholds) for name, picture in pictures.items()}
    counts = {name: found.count for name, found in persons.items()}
    return (
        _person_count(counts, thresholds, {"source"}),
        _subject_area(pictures["source"], thresholds),
        _upright(persons),
    )


@dataclass(frozen=True)
class Given:
    """
    What the checks of a swap get.

    :param before: the source, RGB, at its working size.
    :param after: the result, likewise.
    :param sizes: width and height of both in pixels of their files.
    :param numbers: the source as it were without its colour profile, if that makes a difference.
    :param reference: the picture of the new person, RGB, if there is one.
    """

    before: Image.Image
    after: Image.Image
    sizes: tuple[tuple[int, int], tuple[int, int]]
    numbers: Image.Image | None = None
    reference: Image.Image | None = None


def swap_checks(given: Given, thresholds: Thresholds, pose_model: Path | None = None) -> tuple[Check, ...]:
    """Return the checks named in ``inspect.QA_SWAP``, and with a pose model in ``POSE_SWAP``."""
    before, after = given.before, given.after
    if after.size != before.size:
        after = after.resize(before.size, Image.Resampling.BICUBIC)
    subject = detectors.subject(before)
    alignment = align(before, after, subject, given.sizes)
    if alignment.farthest:
        after = alignment.laid(after, before)
    pair = BeforeAfter.of(before, after, subject)
    reference = Reference(given.reference) if given.reference else None
    persons = OldAndNew(pair, Persons.on(before, thresholds), Persons.on(after, thresholds), reference)
    if persons.likelihood < _GONE and persons.after.bodies:
        pair = replace(pair, after_subject=_with_bodies(pair.after_subject, persons.after.bodies))
        persons = replace(persons, pair=pair)
    similarity = comparison.similarity(pair)
    area = _background_of(pair, thresholds)
    measured = {
        "frame": Frame(pair, alignment, given.sizes, persons.face, reference),
        "surroundings": _surroundings(pair, area, thresholds),
        "person": persons,
    }
    checks: tuple[Check, ...] = (
        _persons(persons, thresholds),
        *_background(pair, area, similarity, thresholds, given.numbers),
        _subject_ssim(pair, similarity, thresholds),
        *(_ruled(rule, measured[rule.of], thresholds) for rule in RULES),
    )
    if pose_model is not None:
        checks += (_pose((before, after), persons, pose_model, thresholds),)
    return checks


def _with_bodies(subject: NDArray[np.float32], bodies: tuple[Found, ...]) -> NDArray[np.float32]:
    """Return a mask with the bodies that the model of subjects does not see: they are no background."""
    made = subject.copy()
    for body in bodies:
        (x, y), reach = body.points[0], float(np.hypot(*(body.points[1] - body.points[0])))
        made[
            max(0, round(y - reach)) : max(0, round(y + reach)), max(0, round(x - reach)) : max(0, round(x + reach))
        ] = 1
    return made


def _ruled(rule: Rule, measured: Any, thresholds: Thresholds) -> Check:
    value = None if measured is None else getattr(measured, rule.measure)()
    return thresholds.judge(rule.check, rule.threshold, value, rule.words, rule.form)


def _persons(persons: OldAndNew, thresholds: Thresholds) -> Check:
    """Judge how many persons the result shows, beside the source: a poster or a hidden face is on both."""
    before, after = persons.before.count, persons.after.count
    wanted = "as many as on the source"
    why = f"persons found: {before} on the source, {after} on the result"
    verdict: Literal["pass", "warn", "review", "fail"] = "pass"
    if before and not after and persons.surely and not _faint(persons):
        plain = persons.likelihood < _GONE
        verdict = "warn" if thresholds.no_person == "warn" else "fail" if plain else "review"
    elif after > before:
        face, body = (
            max((one.score for one in new if not score_near(one, old)), default=0.0)
            for new, old in (
                (persons.after.faces, persons.before.all_faces),
                (persons.after.bodies, persons.before.all_bodies),
            )
        )
        if face >= _SURE_FACE and body >= thresholds.min_body_score:
            verdict = "fail"
        elif face > _NEW_FACE or body > _NEW_BODY:
            verdict = "review"
    return Check("person_count", verdict, after, wanted, f"{why}; {wanted} are wanted")


def _faint(persons: OldAndNew) -> bool:
    """Whether there is a trace of a person where the old one was."""
    old, new = persons.before, persons.after
    kinds = ((old.faces, new.all_faces), (old.bodies, new.all_bodies))
    return any(score_near(one, found) for ones, found in kinds for one in ones[:1])


def _person_count(counts: Mapping[str, int], thresholds: Thresholds, single: set[str]) -> Check:
    """Judge counts; those of ``single`` must be 1, others at least 1."""
    verdicts: dict[str, Literal["pass", "warn", "fail"]] = {}
    for name, count in counts.items():
        if count == 0:
            verdicts[name] = thresholds.no_person
        else:
            verdicts[name] = "fail" if count > 1 and name in single else "pass"
    which = max(verdicts, key=lambda name: ("pass", "warn", "fail").index(verdicts[name]))
    wanted = "exactly 1" if which in single else "at least 1"
    found = ", ".join(f"{count} on the {name}" for name, count in counts.items())
    why = f"persons found: {found}; {wanted} is wanted on the {which}"
    return Check("person_count", verdicts[which], counts[which], wanted, why)


def _upright(persons: Mapping[str, Persons]) -> Check:
    """Judge whether a body stands: a picture that lies on its side without a note in its EXIF is swapped as it lies."""
    tilts = {name: found.tilt for name, found in persons.items() if found.tilt is not None}
    if not tilts:
        return Check("upright", "skipped", None, _MOST_TILT, "no body was found")
    which = max(tilts, key=lambda name: abs(tilts[name]))
    value = tilts[which]
    why = f"the person on the {which} is turned by {value:.0f} degrees, at most {_MOST_TILT:g} either way is wanted"
    if abs(value) <= _MOST_TILT:
        return Check("upright", "pass", round(value, 1), _MOST_TILT, why)
    why += ": turn the picture, unless the person lies"
    return Check("upright", "review", round(value, 1), _MOST_TILT, why)


def _subject_area(picture: Image.Image, thresholds: Thresholds) -> Check:
    value, least = float(np.mean(detectors.subject(picture) > comparison.SUBJECT)), thresholds.min_subject_area
    why = f"the subject covers {value:.1%} of the source, at least {least:.1%} is wanted: a swap of less is hard to see"
    return Check("subject_area", "pass" if value >= least else "warn", round(value, 4), least, why)


def _background_of(pair: BeforeAfter, thresholds: Thresholds) -> NDArray[np.bool_] | None:
    """Return the pixels that are background on both; ``None`` if they are too few."""
    before, after = pair.backgrounds
    # Where the subject seems to fill the picture, what is the same on both is no new person, so it is background.
    area = before & after
    if float(np.mean(area)) >= thresholds.min_background_area:
        return area
    area |= pair.kept
    return area if float(np.mean(area)) >= _LEAST_KEPT else None


def _surroundings(pair: BeforeAfter, area: NDArray[np.bool_] | None, thresholds: Thresholds) -> Surroundings | None:
    """Return what to measure around the person; ``None`` if the source has too little background."""
    if area is None and float(np.mean(pair.backgrounds[0])) >= thresholds.min_background_area:
        # The source has enough: on the result, something else is there, perhaps a person who is too large.
        area = np.zeros_like(pair.backgrounds[0])
    return None if area is None else Surroundings(pair, area)


def _background(
    pair: BeforeAfter,
    kept: NDArray[np.bool_] | None,
    similarity: NDArray[np.float32],
    thresholds: Thresholds,
    numbers: Image.Image | None,
) -> tuple[Check, Check, Check, Check]:
    if kept is None:
        why = f"less than {thresholds.min_background_area:.1%} of the picture is background on both"
        psnr, ssim, luminance, colour = (
            Check(f"background_{name}", "skipped", None, None, why)
            for name in ("psnr", "ssim", "luminance_shift", "color_shift")
        )
        return psnr, ssim, luminance, colour
    moved, alike = Difference.of(pair, kept), float(np.mean(similarity[kept]))
    lost = numbers is not None and comparison.profile_lost(pair, np.asarray(numbers, np.float32), kept)
    psnr = thresholds.judge(
        "background_psnr",
        "min_background_psnr",
        moved.psnr if alike < thresholds.sure_background_ssim else max(moved.psnr, 99.0),
        f"the background's PSNR is {moved.psnr:.1f} dB",
        ".1f",
    )
    luminance = thresholds.judge(
        "background_luminance_shift",
        "max_background_luminance_shift",
        abs(moved.luminance),
        f"the background got {'lighter' if moved.luminance > 0 else 'darker'} by {{}} of 255",
        ".1f",
    )
    colour = thresholds.judge(
        "background_color_shift",
        "max_background_color_shift",
        moved.colour,
        "a colour of the background moved by {} of 255",
        ".1f",
    )
    if lost and colour.verdict != "fail":
        words = "the result has the numbers of the source's colours without its colour profile, so all of them changed"
        colour = replace(colour, verdict="fail", why=words)
    return (
        replace(psnr, value=round(moved.psnr, 4)),
        thresholds.judge(
            "background_ssim",
            "min_background_ssim",
            alike,
            "the background is another one: its similarity is {}",
        ),
        luminance,
        colour,
    )


def _subject_ssim(pair: BeforeAfter, similarity: NDArray[np.float32], thresholds: Thresholds) -> Check:
    subject = pair.subject
    value = float(np.mean(similarity[subject])) if subject.any() else None
    return thresholds.judge("subject_ssim", "max_subject_ssim", value, "the subject is as before: its similarity is {}")


def _pose(pictures: tuple[Image.Image, Image.Image], persons: OldAndNew, model: Path, thresholds: Thresholds) -> Check:
    """Judge whether the pose was kept."""

    def skipped(why: str) -> Check:
        return Check("pose", "skipped", None, thresholds.min_pose_oks, why)

    masks = persons.pair.before_subject, persons.pair.after_subject
    bodies = [_on_subject(one.bodies, mask) for one, mask in zip((persons.before, persons.after), masks, strict=True)]
    if bodies[0] is None or bodies[1] is None:
        return skipped("there is no body on both pictures")
    before, after = (pose.find(picture, body, model) for picture, body in zip(pictures, bodies, strict=True) if body)
    if before is None or after is None:
        return skipped(f"no pose was found on the {'source' if before is None else 'result'}")
    joints = int(np.sum(before.seen & after.seen))
    if joints < pose.LEAST_JOINTS:
        return skipped(f"only {joints} of 17 joints are seen on both pictures, {pose.LEAST_JOINTS} are wanted")
    area = float(np.sum(masks[0] > comparison.SUBJECT))
    if not area:
        return skipped("no subject was found on the source")
    words = f"the pose is another one: {joints} joints, seen on both pictures, are alike by {{}} (OKS)"
    return thresholds.judge("pose", "min_pose_oks", pose.likeness(before, after, area), words)


def _on_subject(bodies: tuple[Found, ...], subject: NDArray[np.float32]) -> Found | None:
    """Return the body whose head is most on the subject: others are posters, or stand behind."""

    def share(body: Found) -> float:
        left, top, right, bottom = (max(0, round(edge)) for edge in body.box)
        inside = subject[top : bottom + 1, left : right + 1]
        return float(inside.mean()) if inside.size else 0.0

    return max(bodies, key=share, default=None)
