"""The checks that need Pillow alone, and what they measure: on RGB pictures at their working size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageMath, ImageOps, ImageStat

from airflow_provider_segmind.quality.reading import WORK_SIDE
from airflow_provider_segmind.quality.report import Check, judged

if TYPE_CHECKING:
    from airflow_provider_segmind.quality.reading import Picture
    from airflow_provider_segmind.quality.thresholds import Thresholds

_CROP = 64
"""Pixels by which a model may crop a side."""
_FLAT_BLOCK = 16
_FLAT_VARIANCE = 1.0
_CHANGE_BLOCK = 8
_CHANGE = 24
_USUAL_ROUGHNESS = 4.0


def input_checks(pictures: Mapping[str, Picture], thresholds: Thresholds) -> tuple[Check, ...]:
    """Return the checks named in ``inspect.CORE_INPUT``, of the source and a reference if there is one."""
    return (
        _min_side(pictures, thresholds),
        _aspect_ratio(pictures, thresholds),
        _contrast(pictures, thresholds),
        _same_image(pictures, thresholds),
    )


def swap_checks(
    before: Picture, after: Picture, reference: Picture | None, thresholds: Thresholds
) -> tuple[Check, ...]:
    """Return the checks named in ``inspect.CORE_SWAP``."""
    return (
        _resolution(before, after, thresholds),
        _aspect_ratio_delta(before, after, thresholds),
        _contrast({"result": after}, thresholds),
        _flat_area_increase(before, after, thresholds),
        _changed_area_fraction(before, after, thresholds),
        _mirrored(before, after, thresholds),
        _noise(before, after, thresholds),
        _compression(after, thresholds),
        _reference_returned(after, reference, thresholds),
    )


def _min_side(pictures: Mapping[str, Picture], thresholds: Thresholds) -> Check:
    which = min(pictures, key=lambda name: pictures[name].shorter)
    value = pictures[which].shorter
    why = f"the {which}'s shorter side has {value} pixels, at least {thresholds.min_side} are wanted"
    return judged("min_side", value >= thresholds.min_side, value, thresholds.min_side, why)


def _aspect_ratio(pictures: Mapping[str, Picture], thresholds: Thresholds) -> Check:
    elongation = {name: max(picture.ratio, 1 / picture.ratio) for name, picture in pictures.items()}
    which = max(elongation, key=elongation.__getitem__)
    value, most = elongation[which], thresholds.max_aspect_ratio
    why = f"the {which}'s longer side is {value:.2f} times its shorter side, at most {most:g} is wanted"
    return judged("aspect_ratio", value <= most, value, most, why)


def _contrast(pictures: Mapping[str, Picture], thresholds: Thresholds) -> Check:
    contrasts = {name: _luma_deviation(picture.small) for name, picture in pictures.items()}
    which = min(contrasts, key=contrasts.__getitem__)
    words = f"the {which} is blank or faint: its contrast is {{}}"
    return thresholds.judge("contrast", "min_contrast", contrasts[which], words, ".1f")


def _same_image(pictures: Mapping[str, Picture], thresholds: Thresholds) -> Check:
    if "reference" not in pictures:
        return Check("same_image", "skipped", None, thresholds.same_image_bits, "there is no reference")
    value = _distance(pictures["source"].small, pictures["reference"].small)
    why = f"source and reference differ in {value} of 64 bits; {thresholds.same_image_bits} or fewer are one picture"
    return judged("same_image", value > thresholds.same_image_bits, value, thresholds.same_image_bits, why)


def _resolution(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    least = thresholds.min_resolution_share * min(WORK_SIDE, before.shorter)
    why = f"the result's shorter side has {after.shorter} pixels, at least {least:.0f} are wanted"
    return judged("resolution", after.shorter >= least, after.shorter, round(least, 1), why)


def _aspect_ratio_delta(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    change = after.ratio / before.ratio
    # A model may crop each side to a multiple of 64; the checks with models see whether it did.
    cropped = all(0 <= old - new < _CROP for old, new in zip(before.size, after.size, strict=True))
    value = 0.0 if cropped else max(change, 1 / change) - 1
    return thresholds.judge(
        "aspect_ratio_delta", "max_aspect_ratio_delta", value, "width to height changed by {}", ".1%"
    )


def _flat_area_increase(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    value = _flat_share(after.small) - _flat_share(before.small)
    words = "flat areas grew by {} of the picture"
    return thresholds.judge("flat_area_increase", "max_flat_area_increase", value, words, ".1%")


def _changed_area_fraction(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    value = _changed_share(before.small, after.small)
    if value > thresholds.max_changed_area:
        words = "{} of the picture changed: the result has nothing in common with the source"
        return thresholds.judge("changed_area_fraction", "max_changed_area", value, words, ".1%")
    review = thresholds.review("min_changed_area") or thresholds.min_changed_area
    words = "{} of the picture changed" + (": the source came back unchanged" if value < review else "")
    return thresholds.judge("changed_area_fraction", "min_changed_area", value, words, ".1%")


def _mirrored(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    value, most = _mirrored_gain(before.small, after.small), thresholds.max_mirrored_gain
    why = "the result fits the source as it is"
    if value > 0:
        why = f"{value:.1%} less of the picture changed beside the mirrored source, at most {most:.1%} is wanted"
    return judged("mirrored", value <= most, value, most, why)


def _noise(before: Picture, after: Picture, thresholds: Thresholds) -> Check:
    value, most = _roughening(before.small, after.small), thresholds.max_noise
    why = f"the result is {value:.1f} times as rough as the source, at most {most:g} times is wanted"
    return judged("noise", value <= most, value, most, why)


def _compression(after: Picture, thresholds: Thresholds) -> Check:
    words = "it was saved as a JPEG of low quality, with steps of {} of 255"
    return thresholds.judge("compression", "max_quantization", after.quantization, words, ".0f")


def _reference_returned(after: Picture, reference: Picture | None, thresholds: Thresholds) -> Check:
    most = thresholds.reference_returned_bits
    if reference is None:
        return Check("reference_returned", "skipped", None, most, "there is no reference")
    value = _distance(after.small, reference.small)
    why = f"result and reference differ in {value} of 64 bits; {most} or fewer are one picture"
    return judged("reference_returned", value > most, value, most, why)


def _luma_deviation(picture: Image.Image) -> float:
    """Return the standard deviation of the luma, 0 to 127.5."""
    return ImageStat.Stat(picture.convert("L")).stddev[0]


def _flat_share(picture: Image.Image) -> float:
    """Return the share of 16-pixel blocks whose luma has a standard deviation below 1."""
    luma = picture.convert("L").convert("F")
    squares = ImageMath.lambda_eval(lambda of: (of["luma"] - 128) * (of["luma"] - 128), luma=luma)
    variance = ImageMath.lambda_eval(
        lambda of: of["squares"] - (of["mean"] - 128) * (of["mean"] - 128),
        squares=squares.reduce(_FLAT_BLOCK),
        mean=luma.reduce(_FLAT_BLOCK),
    )
    values = variance.tobytes()
    floats = memoryview(values).cast("f")
    return sum(value < _FLAT_VARIANCE for value in floats) / len(floats)


def _changed_share(before: Image.Image, after: Image.Image) -> float:
    """Return the share of 8-pixel blocks whose mean colour changed by more than 24 of 255 in any channel."""
    if after.size != before.size:
        after = after.resize(before.size, Image.Resampling.BICUBIC)
    moved = ImageChops.difference(before.reduce(_CHANGE_BLOCK), after.reduce(_CHANGE_BLOCK))
    red, green, blue = moved.split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    counts = strongest.histogram()
    return sum(counts[_CHANGE + 1 :]) / sum(counts)


def _mirrored_gain(before: Image.Image, after: Image.Image) -> float:
    """Return by how much the changed area shrinks against the mirrored source, as a share of the picture."""
    # A swap leaves the surroundings of the person in place, so only a mirrored result gains much.
    return _changed_share(before, after) - _changed_share(ImageOps.mirror(before), after)


def _roughening(before: Image.Image, after: Image.Image) -> float:
    """Return how many times rougher the result is; a very smooth source counts as a usual photograph."""
    return _roughness(after) / max(_roughness(before), _USUAL_ROUGHNESS)


def _roughness(picture: Image.Image) -> float:
    """Return the mean difference of a pixel's luma from its left neighbour's, 0 to 255."""
    luma = picture.convert("L")
    return ImageStat.Stat(ImageChops.difference(luma, ImageChops.offset(luma, 1, 0))).mean[0]


def _distance(one: Image.Image, other: Image.Image) -> int:
    """Return the number of different dHash bits of 64: 0 for the same picture, about 32 for unrelated ones."""
    return (_dhash(one) ^ _dhash(other)).bit_count()


def _dhash(picture: Image.Image) -> int:
    """Return 64 bits: whether each of 8 x 8 places is brighter than its right neighbour."""
    pixels = picture.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes()
    value = 0
    for row in range(8):
        for column in range(8):
            value = value << 1 | (pixels[row * 9 + column] > pixels[row * 9 + column + 1])
    return value
