"""Check pictures before they are paid for, and results of body swaps."""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.quality.report import Check, Report
from airflow_provider_segmind.quality.rules import RULES
from airflow_provider_segmind.quality.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_segmind.quality.reading import Picture

DEFAULTS = Thresholds()
CORE_INPUT = ("min_side", "aspect_ratio", "contrast", "same_image")
CORE_SWAP = (
    "resolution",
    "aspect_ratio_delta",
    "contrast",
    "flat_area_increase",
    "changed_area_fraction",
    "mirrored",
    "noise",
    "compression",
    "reference_returned",
)
QA_INPUT = ("person_count", "subject_area", "upright")
QA_SWAP = (
    "person_count",
    "background_psnr",
    "background_ssim",
    "background_luminance_shift",
    "background_color_shift",
    "subject_ssim",
    *(rule.check for rule in RULES),
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
        names = (*CORE_INPUT, *(QA_INPUT if "qa" in layers else ()))
        return Report("input", (first, *_skipped(names)), layers, time.perf_counter() - started)
    from airflow_provider_segmind.quality import core

    checks = (first, *core.input_checks(pictures, thresholds))
    if "qa" in layers:
        from airflow_provider_segmind.quality import qa as models

        checks += models.input_checks({name: picture.small for name, picture in pictures.items()}, thresholds)
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
        names = (*CORE_SWAP, *(QA_SWAP if "qa" in layers else ()), *(POSE_SWAP if "pose" in layers else ()))
        return Report("swap", (first, *_skipped(names)), layers, time.perf_counter() - started)
    before, after = pictures["source"], pictures["result"]
    from airflow_provider_segmind.quality import core

    checks = (first, *core.swap_checks(before, after, pictures.get("reference"), thresholds))
    if "qa" in layers:
        from airflow_provider_segmind.quality import qa as models

        reference_small = pictures["reference"].small if "reference" in pictures else None
        given = models.Given(before.small, after.small, (before.size, after.size), before.numbers, reference_small)
        checks += models.swap_checks(given, thresholds, pose_model)
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


def _read(named: dict[str, bytes | None], thresholds: Thresholds) -> tuple[Check, dict[str, Picture]]:
    # Imported here, since importing an operator must not import Pillow.
    from airflow_provider_segmind.quality import holding, reading

    pictures: dict[str, Picture] = {}
    problems: dict[str, str] = {}
    # The files are held, too, and what a decoder gets of one is a copy. Who allows more pixels has more memory.
    files = sum(len(data) for data in named.values() if data) + max(len(data or b"") for data in named.values())
    most = holding.MOST * max(1, -(-thresholds.max_pixels // DEFAULTS.max_pixels)) - files
    for name, data in named.items():
        if data is None:
            continue
        try:
            pictures[name] = reading.read(data, thresholds.max_pixels, most)
        except reading.UnreadableError as problem:
            problems[name] = str(problem)
    if problems:
        why = "; ".join(f"the {name} cannot be read: {problem}" for name, problem in problems.items())
        return Check("readable", "fail", ", ".join(problems), None, why), {}
    return Check("readable", "pass", None, None, f"can be read: {', '.join(pictures)}"), pictures


def _skipped(names: tuple[str, ...]) -> tuple[Check, ...]:
    return tuple(Check(name, "skipped", None, None, "a picture cannot be read") for name in names)
