"""Make every good and bad result of every scene, the same each time."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image, ImageChops, ImageStat

from benchmarks.quality_bad import BAD, spoilt
from benchmarks.quality_good import GOOD, Swap
from benchmarks.quality_people import Base
from benchmarks.quality_variants import Pair, encoded, file_of, fitted, pasted, redressed, without_person

_ALIKE = 0.11
"""Most difference of two outlines with which one person can stand for the other."""
STYLES = ("pasted", "redressed")
"""How a new person is made: cut out of another picture, or of the old one by changing all but the pose."""


def pairs(bases: Sequence[Base], only: str | None = None, turns: int = 1) -> Iterator[Pair]:
    """
    Make the pairs of one fold: nothing in them comes from elsewhere.

    :param only: a scene; ``None`` for all.
    :param turns: of so many kinds, each scene shows one, and another scene the next.
    """
    for number, base in enumerate(bases):
        if only not in (None, base.name):
            continue
        made = [_swap(base, bases, style) for style in STYLES]
        start = zlib.crc32(base.name.encode())
        for place, (kind, change) in enumerate(GOOD.items()):
            for step, (style, swap) in enumerate(zip(STYLES, made, strict=True)):
                if (start + place + step) % min(4, turns) == 0:
                    yield _pair(swap, kind, style, change(swap))
        for place, kind in enumerate(BAD):
            if (start + place) % turns:
                continue
            # By turns, so that no kind is seen with one of them alone.
            swap = made[(number + place) % 2]
            if (result := spoilt(kind, swap)) is not None:
                yield _pair(swap, kind, STYLES[(number + place) % 2], result)


def _pair(swap: Swap, kind: str, style: str, result: bytes) -> Pair:
    return Pair(swap.base.name, kind, swap.source, result, swap.reference, style, swap.base.framing)


def _swap(base: Base, bases: Sequence[Base], style: str) -> Swap:
    chance = random.Random(zlib.crc32(f"{base.name} {style}".encode()))  # noqa: S311 - the same each time
    others = [one for one in bases if one.who != base.who and one.reference]
    alike = sorted((_unlike(one, base), one.name, one) for one in others if one.framing == base.framing)
    fits = bool(alike) and alike[0][0] < _ALIKE
    person, second = alike[0][2] if fits else chance.choice(others), chance.choice(others)
    elsewhere = chance.choice([one for one in bases if one.who != base.who])
    empty, cut = without_person(base), fitted(person, base)
    # A bust on legs would be no good swap: without another person of about that outline, the old one is redressed.
    good = pasted(empty, *cut) if style == "pasted" and fits else redressed(base, chance)
    source, reference = file_of(base, base.picture), encoded(person.picture, 95)
    return Swap(base, person, second, elsewhere, good, empty, cut, source, reference, chance)


def _unlike(person: Base, base: Base) -> float:
    """Return how much two outlines differ, each as large as its frame: 0 to 1."""
    shapes = []
    for one in (person, base):
        box = one.mask.getbbox() or (0, 0, *one.mask.size)
        wide = (box[2] - box[0]) / (box[3] - box[1])
        shape = Image.new("L", (96, 64))
        outline = one.mask.crop(box).resize((min(96, max(1, round(64 * wide))), 64), Image.Resampling.BOX)
        shape.paste(outline, ((96 - outline.width) // 2, 0))
        shapes.append(shape)
    return float(ImageStat.Stat(ImageChops.difference(*shapes)).mean[0]) / 255


def smaller(base: Base, side: int) -> Base:
    """Return a scene of fewer pixels, for quick tests."""
    size = [max(1, round(length * side / max(base.picture.size))) for length in base.picture.size]
    return replace(base, picture=base.picture.resize(size, Image.Resampling.LANCZOS), mask=base.mask.resize(size))
