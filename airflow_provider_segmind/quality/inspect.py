"""Check pictures before they are paid for, and results of body swaps."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.quality.report import Check, Report, judged
from airflow_provider_segmind.quality.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_segmind.quality.reading import Picture

DEFAULTS = Thresholds()
_INPUT = ("min_side", "aspect_ratio", "contrast", "same_image")
_SWAP = (
    "resolution",
    "aspect_ratio_delta",
    "contrast",
    "flat_area_increase",
    "changed_area_fraction",
    "mirrored",
    "noise",
    "reference_returned",
)
QA_INPUT = ("person_count", "subject_area")
QA_SWAP = (
    "person_count",
    "background_psnr",
    "background_ssim",
    "background_luminance_shift",
    "background_color_shift",
    "background_moved",
    "subject_moved",
    "subject_ssim",
    "sharpness",
)
POSE_SWAP = ("pose",)


def check_input(
    source: bytes, reference: bytes | None = None, *, thresholds: Thresholds = DEFAULTS, qa: bool | None = None
) -> Report:
    """
    Check the inputs of a body swap before it is ordered and billed.

    :param source: an encoded picture: the photograph to edit.
    :param reference: an encoded picture of the new person, if there is one.
    :param thresholds: the limits.
    :param qa: whether to run the checks that need models: ``True`` requires them, ``None`` runs them if installed, see
        :func:`qa_available`.
    :return: one check per name, on the worse of both pictures. Bytes that are no picture fail ``readable``.
    :raises InvalidRequestError: if ``qa`` is required and not installed.
    :raises ModelError: a ``RuntimeError``: if the models are installed and cannot be run.
    """
    started = time.perf_counter()
    layers = _layers(qa)
    first, pictures = _read({"source": source, "reference": reference}, thresholds)
    if first.verdict == "fail":
        names = (*_INPUT, *(QA_INPUT if "qa" in layers else ()))
        return Report("input", (first, *_skipped(names)), layers, time.perf_counter() - started)
    checks: tuple[Check, ...] = (
        first,
        _min_side(pictures, thresholds),
        _aspect_ratio(pictures, thresholds),
        _contrast(pictures, thresholds),
        _same_image(pictures, thresholds),
    )
    if "qa" in layers:
        checks += _qa_input(pictures, thresholds)
    return Report("input", checks, layers, time.perf_counter() - started)


def check_swap(
    source: bytes,
    result: bytes,
    reference: bytes | None = None,
    *,
    thresholds: Thresholds = DEFAULTS,
    qa: bool | None = None,
    pose_model: Path | None = None,
) -> Report:
    """
    Check the result of a body swap against its inputs.

    :param source: an encoded picture: the photograph that was edited.
    :param result: an encoded picture: the swap's result.
    :param reference: an encoded picture of the new person, if there is one.
    :param thresholds: the limits.
    :param qa: as for :func:`check_input`.
    :param pose_model: path of ``pose_landmark_full.tflite`` of mediapipe 0.10.21. With it, the checks that need models
        also judge whether the new person keeps the old one's pose; without it, the report lacks that check.
    :return: one check per name. Bytes that are no picture fail ``readable``.
    :raises InvalidRequestError: if ``qa`` is required and not installed, or ``pose_model`` is another file.
    :raises ModelError: a ``RuntimeError``: if the models are installed and cannot be run.
    """
    started = time.perf_counter()
    layers = _with_poses(_layers(qa), pose_model)
    first, pictures = _read({"source": source, "result": result, "reference": reference}, thresholds)
    if first.verdict == "fail":
        names = (*_SWAP, *(QA_SWAP if "qa" in layers else ()), *(POSE_SWAP if "pose" in layers else ()))
        return Report("swap", (first, *_skipped(names)), layers, time.perf_counter() - started)
    before, after = pictures["source"], pictures["result"]
    checks: tuple[Check, ...] = (
        first,
        _resolution(before, after, thresholds),
        _aspect_ratio_delta(before, after, thresholds),
        _contrast({"result": after}, thresholds),
        _flat_area_increase(before, after, thresholds),
        _changed_area_fraction(before, after, thresholds),
        _mirrored(before, after, thresholds),
        _noise(before, after, thresholds),
        _reference_returned(after, pictures.get("reference"), thresholds),
    )
    if "qa" in layers:
        checks += _qa_swap(before, after, thresholds, pose_model)
    return Report("swap", checks, layers, time.perf_counter() - started)


def qa_available() -> bool:
    """Whether the extra ``qa`` is installed, for checks that need models; imports nothing."""
    return all(importlib.util.find_spec(name) for name in ("ai_edge_litert", "numpy"))


def _layers(qa: bool | None) -> tuple[str, ...]:
    if qa is False:
        return ("core",)
    if qa_available():
        return ("core", "qa")
    if qa:
        raise InvalidRequestError(
            "qa=True requires checks with models, which are not installed. Ask your Airflow administrator to "
            "run pip install 'airflow-provider-segmind[qa]' on every worker, or set qa=False to run only the core "
            "checks."
        )
    return ("core",)


def _with_poses(layers: tuple[str, ...], model: Path | None) -> tuple[str, ...]:
    """Return the layers, with ``pose`` if possible; refuse a wrong model even if no picture can be read."""
    if model is None or "qa" not in layers:
        return layers
    from airflow_provider_segmind.quality.interpreters import check_pose_model

    check_pose_model(model)
    return (*layers, "pose")


def _qa_input(pictures: Mapping[str, Picture], thresholds: Thresholds) -> tuple[Check, ...]:
    from airflow_provider_segmind.quality import qa

    return qa.input_checks({name: picture.small for name, picture in pictures.items()}, thresholds)


def _qa_swap(before: Picture, after: Picture, thresholds: Thresholds, pose_model: Path | None) -> tuple[Check, ...]:
    from airflow_provider_segmind.quality import qa

    return qa.swap_checks(before.small, after.small, thresholds, pose_model)


def _read(named: dict[str, bytes | None], thresholds: Thresholds) -> tuple[Check, dict[str, Picture]]:
    # Imported here, since importing an operator must not import Pillow.
    from airflow_provider_segmind.quality import reading

    pictures: dict[str, Picture] = {}
    problems: dict[str, str] = {}
    for name, data in named.items():
        if data is None:
            continue
        try:
            pictures[name] = reading.read(data, thresholds.max_pixels)
        except reading.UnreadableError as problem:
            problems[name] = str(problem)
    if problems:
        why = "; ".join(f"the {name} cannot be read: {problem}" for name, problem in problems.items())
        return Check("readable", "fail", ", ".join(problems), None, why), {}
    return Check("readable", "pass", None, None, f"can be read: {', '.join(pictures)}"), pictures


def _skipped(names: tuple[str, ...]) -> tuple[Check, ...]:
    return tuple(Check(name, "skipped", None, None, "a picture cannot be read") for name in names)


def _min_side(pictures: dict[str, Picture], thresholds: Thresholds) -> Check:
    which = min(pictures, key=lambda name: pictures[name].shorter)
    value = pictures[which].shorter
    why = f"the {which}'s shorter side has {value} pixels, at least {thresholds.min_side} are wanted"
    return judged("min_side", value >= thresholds.min_side, value, thresholds.min_side, why)


def _aspect_ratio(pictures: dict[str, Picture], thresholds: Thresholds) -> Check:
    elongation = {name: max(picture.ratio, 1 / picture.ratio) for name, picture in pictures.items()}
    which = max(elongation, key=elongation.__getitem__)
    value, most = elongation[which], thresholds.max_aspect_ratio
    why = f"the {which}'s longer side is {value:.2f} times its shorter side, at most {most:g} is wanted"
    return judged("aspect_ratio", value <= most, value, most, why)


def _contrast(pictures: dict[str, Picture], thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    contrasts = {name: measures.contrast(picture.small) for name, picture in pictures.items()}
    which = min(contrasts, key=contrasts.__getitem__)
    value, least = contrasts[which], thresholds.min_contrast
    why = f"the {which}'s contrast is {value:.1f}, at least {least:g} is wanted: below, it is blank"
    return judged("contrast", value >= least, value, least, why)


def _same_image(pictures: dict[str, Picture], thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    if "reference" not in pictures:
        return Check("same_image", "skipped", None, thresholds.same_image_bits, "there is no reference")
    value = measures.distance(pictures["source"].small, pictures["reference"].small)
    why = f"source and reference differ in {value} of 64 bits; {thresholds.same_image_bits} or fewer are one picture"
    return judged("same_image", value > thresholds.same_image_bits, value, thresholds.same_image_bits, why)


def _resolution(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality.reading import WORK_SIDE

    least = thresholds.min_resolution_share * min(WORK_SIDE, before.shorter)
    why = f"the result's shorter side has {after.shorter} pixels, at least {least:.0f} are wanted"
    return judged("resolution", after.shorter >= least, after.shorter, round(least, 1), why)


def _aspect_ratio_delta(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    change = after.ratio / before.ratio
    value, most = max(change, 1 / change) - 1, thresholds.max_aspect_ratio_delta
    why = f"width to height changed by {value:.1%}, at most {most:.1%} is wanted"
    return judged("aspect_ratio_delta", value <= most, value, most, why)


def _flat_area_increase(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    value = measures.flat_share(after.small) - measures.flat_share(before.small)
    most = thresholds.max_flat_area_increase
    why = f"flat areas grew by {value:.1%} of the picture, at most {most:.1%} is wanted"
    return judged("flat_area_increase", value <= most, value, most, why)


def _changed_area_fraction(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    value = measures.changed_share(before.small, after.small)
    least, most = thresholds.min_changed_area, thresholds.max_changed_area
    why = f"{value:.1%} of the picture changed"
    if value < least:
        why += ": the source came back unchanged"
    elif value > most:
        why += ": the result has nothing in common with the source"
    return judged("changed_area_fraction", least <= value <= most, value, f"{least:g} to {most:g}", why)


def _mirrored(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    value, most = measures.mirrored_gain(before.small, after.small), thresholds.max_mirrored_gain
    why = "the result fits the source as it is"
    if value > 0:
        why = f"{value:.1%} less of the picture changed beside the mirrored source, at most {most:.1%} is wanted"
    return judged("mirrored", value <= most, value, most, why)


def _noise(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    value, most = measures.noise(before.small, after.small), thresholds.max_noise
    why = f"the result is {value:.1f} times as rough as the source, at most {most:g} times is wanted"
    return judged("noise", value <= most, value, most, why)


def _reference_returned(after: Picture, reference: Picture | None, thresholds: Thresholds) -> Check:
    from airflow_provider_segmind.quality import measures

    most = thresholds.reference_returned_bits
    if reference is None:
        return Check("reference_returned", "skipped", None, most, "there is no reference")
    value = measures.distance(after.small, reference.small)
    why = f"result and reference differ in {value} of 64 bits; {most} or fewer are one picture"
    return judged("reference_returned", value > most, value, most, why)
