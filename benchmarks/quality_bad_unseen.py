"""More kinds of bad results; those of ``UNSEEN`` are looked at by their sum alone, to know what others may expect."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from benchmarks.quality_bad_people import Kind, blurred, box_of, head_of, mosaic, old_mask
from benchmarks.quality_good import Swap
from benchmarks.quality_people import grained
from benchmarks.quality_variants import cast, covering, pasted


def _on_the_person(swap: Swap, changed: Image.Image) -> Image.Image:
    return Image.composite(changed, swap.good, old_mask(swap))


def _text_on_the_chest(swap: Swap) -> Image.Image:
    made, (left, top, right, bottom) = swap.good.copy(), box_of(swap)
    size = max(12, (right - left) // 7)
    where = (left + (right - left) * 0.15, top + (bottom - top) * 0.6)
    ImageDraw.Draw(made).text(where, "PREVIEW ONLY", (230, 30, 30), ImageFont.load_default(size))
    return made


def _patch_smeared(swap: Swap) -> Image.Image:
    """A part of the background run together, as where an object was painted over."""
    width, height = swap.good.size
    side = min(width, height) // 3
    left = swap.base.mask.resize((2, 1), Image.Resampling.BOX).tobytes()
    x = round(0.03 * width) if left[0] < left[1] else round(0.97 * width) - side
    box = (x, height // 4, x + side, height // 4 + side)
    mask = Image.new("L", swap.good.size)
    ImageDraw.Draw(mask).ellipse(box, 255)
    mask = ImageChops.subtract(mask, old_mask(swap))
    smeared = blurred(ImageEnhance.Color(swap.good).enhance(0.4), 0.05)
    return Image.composite(smeared, swap.good, mask)


def _head_enlarged(swap: Swap) -> Image.Image:
    left, top, right, bottom = head_of(swap)
    by = (right - left) // 3
    large = swap.good.crop((left, top, right, bottom)).resize((right - left + 2 * by, bottom - top + 2 * by))
    mask = Image.new("L", large.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *large.size), 255)
    return pasted(swap.good, large, mask.filter(ImageFilter.GaussianBlur(4)), (left - by, top - by))


def _head_doubled(swap: Swap) -> Image.Image:
    left, top, right, bottom = head_of(swap)
    head = swap.good.crop((left, top, right, bottom))
    mask = Image.new("L", head.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *head.size), 255)
    by = round((right - left) * (0.9 if (left + right) / 2 < swap.good.width / 2 else -0.9))
    return pasted(swap.good, head, mask.filter(ImageFilter.GaussianBlur(3)), (left + by, top))


def _face_old(swap: Swap) -> Image.Image:
    mask = Image.new("L", swap.good.size)
    ImageDraw.Draw(mask).ellipse(head_of(swap), 255)
    return Image.composite(swap.base.picture, swap.good, mask.filter(ImageFilter.GaussianBlur(3)))


def _eyes_covered(swap: Swap) -> Image.Image:
    left, top, right, bottom = head_of(swap)
    made, height = swap.good.copy(), bottom - top
    box = (left, top + height * 0.35, right, top + height * 0.55)
    ImageDraw.Draw(made).rectangle(box, (0, 0, 0))
    return made


def _lower_old(swap: Swap) -> Image.Image:
    _, top, _, bottom = box_of(swap)
    made, middle = swap.good.copy(), (top + bottom) // 2
    made.paste(swap.base.picture.crop((0, middle, made.width, made.height)), (0, middle))
    return made


def _cut_and_shifted(swap: Swap) -> Image.Image:
    """The right half slid down, as of two pictures that do not meet."""
    made, middle, by = swap.good.copy(), swap.good.width // 2, swap.good.height // 16
    made.paste(swap.good.crop((middle, 0, made.width, made.height - by)), (middle, by))
    return made


def _speckled(swap: Swap) -> Image.Image:
    pixels = np.asarray(swap.good).copy()
    chance = np.random.default_rng(5).random(pixels.shape[:2])
    pixels[chance < 0.02], pixels[chance > 0.98] = 0, 255
    return Image.fromarray(pixels)


def _hues_turned(swap: Swap) -> Image.Image:
    hue, saturation, value = swap.good.convert("HSV").split()
    turned = hue.point([(level + 60) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _half_blurred(swap: Swap) -> Image.Image:
    mask = Image.linear_gradient("L").resize(swap.good.size)
    return Image.composite(blurred(swap.good, 0.012), swap.good, mask)


def _painted(swap: Swap) -> Image.Image:
    small = swap.good.resize([max(8, side // 2) for side in swap.good.size], Image.Resampling.BOX)
    return small.filter(ImageFilter.ModeFilter(9)).resize(swap.good.size, Image.Resampling.BICUBIC)


def _plain_room(swap: Swap) -> Image.Image:
    return Image.composite(swap.good, Image.new("RGB", swap.good.size, (196, 204, 210)), old_mask(swap))


def _references_room(swap: Swap) -> Image.Image:
    return pasted(covering(blurred(swap.person.picture, 0.02), swap.good.size), *swap.cut)


def _one_large_mark(swap: Swap) -> Image.Image:
    layer = Image.new("L", swap.good.size)
    size = swap.good.width // 6
    ImageDraw.Draw(layer).text((size // 2, layer.height * 0.42), "preview", 110, ImageFont.load_default(size))
    layer = layer.rotate(25, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", swap.good.size, "white"), swap.good, layer)


def _harsh(swap: Swap) -> Image.Image:
    return ImageEnhance.Contrast(swap.good).enhance(2.2).filter(ImageFilter.UnsharpMask(3, 400, 0))


MORE: dict[str, Kind] = {
    "text on the chest": _text_on_the_chest,
    "one large mark": _one_large_mark,
    "background smeared": _patch_smeared,
    "lower half blurred": _half_blurred,
    "cut and shifted": _cut_and_shifted,
    "head enlarged": _head_enlarged,
    "eyes covered": _eyes_covered,
    "lower half of the old": _lower_old,
    "person green": lambda swap: _on_the_person(swap, cast(swap.good, (0.7, 1.2, 0.7))),
    "person noisy": lambda swap: _on_the_person(swap, grained(swap.good, 30, 3)),
    "person of few cells": lambda swap: _on_the_person(swap, mosaic(swap.good, 50)),
    "old one faintly over all": lambda swap: Image.blend(
        swap.good, swap.base.picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.25
    ),
}
"""Kinds by which the measures were improved last."""
UNSEEN: dict[str, Kind] = {
    "plain room": _plain_room,
    "room of the reference": _references_room,
    "hues turned": _hues_turned,
    "too light by gamma": lambda swap: swap.good.point([round(255 * (level / 255) ** 0.5) for level in range(256)] * 3),
    "harsh": _harsh,
    "painted": _painted,
    "speckled": _speckled,
    "turned by 12 degrees": lambda swap: swap.good.rotate(12, Image.Resampling.BICUBIC),
    "head doubled": _head_doubled,
    "face of the old": _face_old,
    "person dark": lambda swap: _on_the_person(swap, ImageEnhance.Brightness(swap.good).enhance(0.35)),
}
"""Kinds that had no part in choosing what is measured, nor where the limits are."""
