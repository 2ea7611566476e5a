"""Measure pictures with Pillow alone; all are RGB and at their working size."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageMath, ImageOps, ImageStat

_FLAT_BLOCK = 16
_FLAT_VARIANCE = 1.0
_CHANGE_BLOCK = 8
_CHANGE = 24
_USUAL_ROUGHNESS = 4.0


def contrast(picture: Image.Image) -> float:
    """Return the standard deviation of the luma, 0 to 127.5."""
    return ImageStat.Stat(picture.convert("L")).stddev[0]


def flat_share(picture: Image.Image) -> float:
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


def changed_share(before: Image.Image, after: Image.Image) -> float:
    """Return the share of 8-pixel blocks whose mean colour changed by more than 24 of 255 in any channel."""
    if after.size != before.size:
        after = after.resize(before.size, Image.Resampling.BICUBIC)
    moved = ImageChops.difference(before.reduce(_CHANGE_BLOCK), after.reduce(_CHANGE_BLOCK))
    red, green, blue = moved.split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    counts = strongest.histogram()
    return sum(counts[_CHANGE + 1 :]) / sum(counts)


def mirrored_gain(before: Image.Image, after: Image.Image) -> float:
    """
    Return by how much the changed area shrinks against the mirrored source, as a share of the picture.

    A swap leaves the surroundings of the person in place, so only a mirrored result gains much.
    """
    return changed_share(before, after) - changed_share(ImageOps.mirror(before), after)


def noise(before: Image.Image, after: Image.Image) -> float:
    """Return how many times rougher the result is; a very smooth source counts as a usual photograph."""
    return _roughness(after) / max(_roughness(before), _USUAL_ROUGHNESS)


def _roughness(picture: Image.Image) -> float:
    """Return the mean difference of a pixel's luma from its left neighbour's, 0 to 255."""
    luma = picture.convert("L")
    return ImageStat.Stat(ImageChops.difference(luma, ImageChops.offset(luma, 1, 0))).mean[0]


def distance(one: Image.Image, other: Image.Image) -> int:
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
