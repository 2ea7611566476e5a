"""The checks that need the extra ``qa``: persons on the pictures, and parts that a swap should not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from airflow_provider_segmind.quality import comparison, detectors, pose, registration
from airflow_provider_segmind.quality.comparison import BeforeAfter, Difference
from airflow_provider_segmind.quality.report import Check, judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from airflow_provider_segmind.quality.detectors import Found
    from airflow_provider_segmind.quality.thresholds import Thresholds

_USUAL_EDGE = 128.0
_SHOULDERS = 2
_EDGES = (2, 98)


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


def input_checks(pictures: Mapping[str, Image.Image], thresholds: Thresholds) -> tuple[Check, ...]:
    """Return the checks named in ``inspect.QA_INPUT`` of the RGB pictures ``source`` and, if given, ``reference``."""
    counts = {name: Persons.on(picture, thresholds).count for name, picture in pictures.items()}
    return _person_count(counts, thresholds, {"source"}), _subject_area(pictures["source"], thresholds)


def swap_checks(
    before: Image.Image,
    after: Image.Image,
    thresholds: Thresholds,
    pose_model: Path | None = None,
    numbers: Image.Image | None = None,
) -> tuple[Check, ...]:
    """
    Return the checks of RGB pictures named in ``inspect.QA_SWAP``, and with a pose model in ``POSE_SWAP``.

    :param numbers: the source as it were without its colour profile, if that makes a difference.
    """
    if after.size != before.size:
        after = after.resize(before.size, Image.Resampling.BICUBIC)
    earlier, persons = Persons.on(before, thresholds), Persons.on(after, thresholds)
    pair = BeforeAfter.of(before, after)
    similarity = comparison.similarity(pair)
    checks: tuple[Check, ...] = (
        _person_count({"result": persons.count}, thresholds, {"result"}),
        *_background(pair, similarity, thresholds, numbers),
        _background_moved(pair, thresholds),
        _subject_moved(sideways(pair, earlier, persons), thresholds),
        _subject_ssim(pair, similarity, thresholds),
        _sharpness(pair, thresholds),
    )
    if pose_model is not None:
        area = float(np.sum(pair.before_subject > comparison.SUBJECT))
        checks += (_pose((before, after), (earlier, persons), area, pose_model, thresholds),)
    return checks


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


def _subject_area(picture: Image.Image, thresholds: Thresholds) -> Check:
    value, least = float(np.mean(detectors.subject(picture) > comparison.SUBJECT)), thresholds.min_subject_area
    why = f"the subject covers {value:.1%} of the source, at least {least:.1%} is wanted: a swap of less is hard to see"
    return Check("subject_area", "pass" if value >= least else "warn", round(value, 4), least, why)


def _background(
    pair: BeforeAfter, similarity: NDArray[np.float32], thresholds: Thresholds, numbers: Image.Image | None
) -> tuple[Check, Check, Check, Check]:
    before, after = pair.backgrounds
    kept = before & after
    share = float(np.mean(kept))
    if share < thresholds.min_background_area:
        why = f"only {share:.1%} of the picture is background in both, {thresholds.min_background_area:.1%} is wanted"
        psnr, ssim, luminance, colour = (
            Check(f"background_{name}", "skipped", None, None, why)
            for name in ("psnr", "ssim", "luminance_shift", "color_shift")
        )
        return psnr, ssim, luminance, colour
    moved, alike = Difference.of(pair, kept), float(np.mean(similarity[kept]))
    lost = numbers is not None and comparison.profile_lost(pair, np.asarray(numbers, np.float32), kept)
    least, sure = thresholds.min_background_psnr, thresholds.sure_background_ssim
    most_luminance, most_colour = thresholds.max_background_luminance_shift, thresholds.max_background_color_shift
    return (
        judged(
            "background_psnr",
            moved.psnr >= least or alike >= sure,
            moved.psnr,
            least,
            f"the background's PSNR is {moved.psnr:.1f} dB, at least {least:g} is wanted unless its similarity, "
            f"{alike:.2f}, is at least {sure:g}",
        ),
        judged(
            "background_ssim",
            alike >= thresholds.min_background_ssim,
            alike,
            thresholds.min_background_ssim,
            f"the background's similarity is {alike:.2f}, at least {thresholds.min_background_ssim:g} is wanted: "
            "below, it was replaced",
        ),
        judged(
            "background_luminance_shift",
            abs(moved.luminance) <= most_luminance,
            moved.luminance,
            most_luminance,
            f"the background's brightness moved by {moved.luminance:+.1f} of 255, at most {most_luminance:g} is wanted",
        ),
        judged(
            "background_color_shift",
            moved.colour <= most_colour and not lost,
            moved.colour,
            most_colour,
            "the result has the numbers of the source's colours without its colour profile, so all of them changed"
            if lost
            else f"a colour of the background moved by {moved.colour:.1f} of 255, at most {most_colour:g} is wanted",
        ),
    )


def _background_moved(pair: BeforeAfter, thresholds: Thresholds) -> Check:
    most, least = thresholds.max_move_evidence, thresholds.min_background_area
    # Each background by itself: after a move, less is background in both at the same
    share = min(float(np.mean(known)) for known in pair.backgrounds)
    move = registration.move(pair) if share >= least else None
    if move is None:
        why = f"only {share:.1%} of a picture is background, {least:.1%} is wanted"
        return Check("background_moved", "skipped", None, most, why)
    if move.evidence <= 1:
        why = "the background fits best where it was"
    else:
        why = (
            f"the background fits the source {move.evidence:.1f} times better when seen as {move}, "
            f"at most {most:g} times is wanted"
        )
    return judged("background_moved", move.evidence <= most, move.evidence, most, why)


def _subject_moved(value: float | None, thresholds: Thresholds) -> Check:
    most = thresholds.max_subject_move
    if value is None:
        return Check("subject_moved", "skipped", None, most, "there is not exactly one person on both pictures")
    why = f"the subject moved sideways by {value:+.1%} of the longer side, at most {most:.1%} is wanted"
    return judged("subject_moved", abs(value) <= most, value, most, why)


def _subject_ssim(pair: BeforeAfter, similarity: NDArray[np.float32], thresholds: Thresholds) -> Check:
    subject, most = pair.subject, thresholds.max_subject_ssim
    if not subject.any():
        return Check("subject_ssim", "skipped", None, most, "no subject was found, neither before nor after")
    value = float(np.mean(similarity[subject]))
    why = f"the subject's similarity to the old one is {value:.2f}, at most {most:g} is wanted: above, it is unchanged"
    return judged("subject_ssim", value <= most, value, most, why)


def _sharpness(pair: BeforeAfter, thresholds: Thresholds) -> Check:
    before, after = comparison.edge(pair.before), comparison.edge(pair.after)
    least = thresholds.min_sharpness
    # Compared with very hard edges, as in print, a photograph's edges would be a small share.
    hardest = min(before, _USUAL_EDGE)
    if not hardest:
        return Check("sharpness", "skipped", None, least, "the source has no edges")
    value = after / hardest
    why = f"the result's edges are {value:.2f} times as hard as the source's, at least {least:g} is wanted"
    return judged("sharpness", value >= least, value, least, why)


def _pose(
    pictures: tuple[Image.Image, Image.Image],
    persons: tuple[Persons, Persons],
    area: float,
    model: Path,
    thresholds: Thresholds,
) -> Check:
    """Judge whether the pose was kept; ``area``: pixels of the old person."""
    least = thresholds.min_pose_oks

    def skipped(why: str) -> Check:
        return Check("pose", "skipped", None, least, why)

    if any(one.count != 1 or not one.bodies for one in persons):
        return skipped("there is not exactly one body on both pictures")
    before, after = (pose.find(picture, one.bodies[0], model) for picture, one in zip(pictures, persons, strict=True))
    if before is None or after is None:
        return skipped(f"no pose was found on the {'source' if before is None else 'result'}")
    joints = int(np.sum(before.seen & after.seen))
    if joints < pose.LEAST_JOINTS:
        return skipped(f"only {joints} of 17 joints are seen on both pictures, {pose.LEAST_JOINTS} are wanted")
    if not area:
        return skipped("no subject was found on the source")
    value = pose.likeness(before, after, area)
    why = f"{joints} joints, seen on both pictures, are alike by {value:.2f} (OKS), at least {least:g} is wanted"
    return judged("pose", value >= least, value, least, why)


def sideways(pair: BeforeAfter, before: Persons, after: Persons) -> float | None:
    """Return how far a single subject moved to the right, as a share of the longer side, or ``None``."""
    # The smallest move of face, shoulders, and the mask's edges and middle; 0 if they disagree on the side, as with a
    # wider person or another pose. Up and down are ignored, since a taller person moves all five.
    if before.count != 1 or after.count != 1:
        return None
    said = np.array(list(_said(pair, before, after))) / max(pair.before.shape[:2])
    if not said.size or not (np.all(said > 0) or np.all(said < 0)):
        return 0.0
    return float(said[np.argmin(np.abs(said))])


def _said(pair: BeforeAfter, before: Persons, after: Persons) -> Iterator[float]:
    if before.faces and after.faces:
        one, other = before.faces[0].box, after.faces[0].box
        yield (other[0] + other[2] - one[0] - one[2]) / 2
    if before.bodies and after.bodies:
        yield float(after.bodies[0].points[_SHOULDERS, 0] - before.bodies[0].points[_SHOULDERS, 0])
    masks = [mask > comparison.SUBJECT for mask in (pair.before_subject, pair.after_subject)]
    if all(mask.any() for mask in masks):
        yield from _extent(masks[1]) - _extent(masks[0])


def _extent(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    columns = np.nonzero(mask)[1]
    return np.array([*np.percentile(columns, _EDGES), columns.mean()])
