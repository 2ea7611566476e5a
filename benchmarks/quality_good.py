"""Good results, as models really answer: the person another one, and all the rest nearly as it was."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFilter

from benchmarks.quality_people import Base, grained
from benchmarks.quality_variants import cast, degraded, encoded

_STEP = 64
"""Pixels to whose multiples models cut or scale."""


@dataclass(frozen=True)
class Swap:
    """
    A good swap, and what else is needed to spoil it.

    :param good: the scene with its new person.
    :param empty: the scene without any.
    :param cut: the new person, its mask, and its place.
    """

    base: Base
    person: Base
    second: Base
    elsewhere: Base
    good: Image.Image
    empty: Image.Image
    cut: tuple[Image.Image, Image.Image, tuple[int, int]]
    source: bytes
    reference: bytes
    chance: random.Random


def _redrawn(swap: Swap) -> bytes:
    """As a model that draws the whole picture anew: softer, with other grain, and another curve of tones."""
    picture = swap.good
    small = picture.resize([max(1, round(side * 0.8)) for side in picture.size], Image.Resampling.BICUBIC)
    soft = small.resize(picture.size, Image.Resampling.BICUBIC).filter(ImageFilter.UnsharpMask(2, 40, 0))
    curve = [min(255, round(255 * (value / 255) ** swap.chance.uniform(0.96, 0.97))) for value in range(256)]
    return encoded(grained(soft.point(curve * 3), 2.5, 5), 90)


def _cropped(swap: Swap) -> bytes:
    width, height = (side // _STEP * _STEP for side in swap.good.size)
    left, top = (swap.good.width - width) // 2, (swap.good.height - height) // 2
    return encoded(swap.good.crop((left, top, left + width, top + height)))


def _cropped_at_the_end(swap: Swap) -> bytes:
    width, height = (side // _STEP * _STEP for side in swap.good.size)
    return encoded(swap.good.crop((0, 0, width, height)))


def _moved_little(swap: Swap) -> bytes:
    right, down = (swap.chance.choice((-3, -2, -1, 1, 2, 3)) for _ in "xy")
    how = (1, 0, right, 0, 1, down)
    moved = swap.good.transform(swap.good.size, Image.Transform.AFFINE, how)
    made = swap.good.copy()
    made.paste(moved.crop((3, 3, made.width - 3, made.height - 3)), (3, 3))
    return encoded(made)


def _resized(swap: Swap) -> bytes:
    share = 1024 / max(swap.good.size)
    size = [max(_STEP, round(side * share / _STEP) * _STEP) for side in swap.good.size]
    # No model changes the shape of a picture by more than this.
    if abs(size[0] / size[1] / (swap.good.width / swap.good.height) - 1) > 0.03:
        size = [max(8, round(side * share / 8) * 8) for side in swap.good.size]
    return encoded(swap.good.resize(size, Image.Resampling.LANCZOS))


def _recompressed(swap: Swap) -> bytes:
    file = io.BytesIO()
    swap.good.save(file, "WEBP", quality=60)
    return file.getvalue()


def _other_light(swap: Swap) -> bytes:
    by = swap.chance.choice((-7, 7))
    shifted = swap.good.point([min(255, max(0, value + by)) for value in range(256)] * 3)
    return encoded(shifted)


def _other_tint(swap: Swap) -> bytes:
    return encoded(cast(swap.good, swap.chance.choice(((1.05, 1.0, 0.95), (0.96, 1.0, 1.05), (1.0, 1.04, 1.0)))), 88)


def _own_shadow(swap: Swap) -> bytes:
    """With the shadow that the new person throws on the ground and the wall nearby."""
    box = swap.base.mask.getbbox() or (0, 0, *swap.good.size)
    dark = Image.new("L", swap.good.size)
    dark.paste(swap.base.mask, (round((box[2] - box[0]) * 0.06), 0))
    soft = dark.filter(ImageFilter.GaussianBlur((box[2] - box[0]) * 0.06)).point(lambda value: round(value * 0.3))
    shade = Image.composite(Image.new("RGB", swap.good.size), swap.good, soft)
    # The masks of drawings are boxes: a shadow that ended there would have straight edges, as no model draws.
    person = swap.base.mask.filter(ImageFilter.GaussianBlur((box[2] - box[0]) * 0.02))
    return encoded(Image.composite(swap.good, shade, person))


GOOD: dict[str, Callable[[Swap], bytes]] = {
    "good": lambda swap: encoded(swap.good),
    "good, degraded": lambda swap: degraded(swap.good),
    "good, redrawn": _redrawn,
    "good, cropped around": _cropped,
    "good, cropped at the end": _cropped_at_the_end,
    "good, moved 1 to 3 px": _moved_little,
    "good, resized": _resized,
    "good, recompressed": _recompressed,
    "good, other light": _other_light,
    "good, other tint": _other_tint,
    "good, own shadow": _own_shadow,
}
