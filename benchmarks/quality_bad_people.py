"""Bad results in which something is wrong with the person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from benchmarks.quality_good import Swap
from benchmarks.quality_variants import cast, pasted, scaled, with_second

Kind = Callable[[Swap], Image.Image | bytes]


def mosaic(picture: Image.Image, cells: int) -> Image.Image:
    """Return a picture of a few cells."""
    small = picture.resize((cells, max(1, round(cells * picture.height / picture.width))), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.NEAREST)


def blurred(picture: Image.Image, share: float) -> Image.Image:
    """Return a picture out of focus; ``share``: of its longer side."""
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) * share))


def old_mask(swap: Swap) -> Image.Image:
    """Return where the old person is, with a soft edge."""
    return swap.base.mask.filter(ImageFilter.GaussianBlur(2))


def _ghost(swap: Swap) -> Image.Image:
    """The old person beside the new one, half seen through."""
    left, _, right, _ = box_of(swap)
    by = round((right - left) * 0.35)
    old, mask = ImageChops.offset(swap.base.picture, by, 0), ImageChops.offset(old_mask(swap), by, 0)
    return Image.composite(old, swap.good, mask.point(lambda value: value // 2))


def _face(swap: Swap, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    made = _part_replaced(swap.good, head_of(swap), change)
    mask = Image.new("L", made.size)
    ImageDraw.Draw(mask).ellipse(head_of(swap), 255)
    return Image.composite(made, swap.good, mask)


def _head_missing(swap: Swap) -> Image.Image:
    mask = Image.new("L", swap.good.size)
    mask.paste(255, head_of(swap))
    return Image.composite(swap.empty, swap.good, mask)


def _lower_missing(swap: Swap) -> Image.Image:
    _, top, _, bottom = box_of(swap)
    made = swap.good.copy()
    made.paste(swap.empty.crop((0, (top + bottom) // 2, made.width, made.height)), (0, (top + bottom) // 2))
    return made


def _sized(swap: Swap, share: float) -> Image.Image:
    left, top, right, bottom = box_of(swap)
    own = swap.person.mask.getbbox() or (0, 0, *swap.person.mask.size)
    height = round((bottom - top) * share)
    return pasted(swap.empty, *scaled(swap.person, own, (left + right) / 2, bottom - height, height))


def _elsewhere(swap: Swap) -> Image.Image:
    picture, mask, (left, top) = swap.cut
    by = round(swap.good.width * 0.22)
    middle = left + picture.width / 2
    return pasted(swap.empty, picture, mask, (left + (by if middle < swap.good.width / 2 else -by), top))


def _two_persons_alike(swap: Swap) -> Image.Image:
    picture, mask, (left, top) = swap.cut
    side = 1 if left + picture.width / 2 < swap.good.width / 2 else -1
    return pasted(swap.good, picture, mask, (left + side * round(picture.width * 0.8), top))


def _old_again(swap: Swap, dye: Callable[[Image.Image], Image.Image], box: tuple[int, int, int, int]) -> Image.Image:
    """The old person, with a change in a part alone."""
    mask = Image.new("L", swap.good.size)
    mask.paste(swap.base.mask.crop(box), box[:2])
    return Image.composite(dye(swap.base.picture), swap.base.picture, mask)


def _only_clothes(swap: Swap) -> Image.Image:
    head, box = head_of(swap), box_of(swap)
    return _old_again(swap, lambda picture: cast(picture, (1.35, 0.8, 0.75)), (box[0], head[3], box[2], box[3]))


def _see_through(swap: Swap) -> Image.Image:
    return Image.blend(swap.empty, swap.good, 0.45)


def _half_old(swap: Swap) -> Image.Image:
    left, _, right, _ = box_of(swap)
    made = swap.good.copy()
    made.paste(swap.base.picture.crop((0, 0, (left + right) // 2, made.height)), (0, 0))
    return made


def _swirled(swap: Swap) -> Image.Image:
    left, top, right, bottom = head_of(swap)
    pixels = np.asarray(swap.good)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float64)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    dx, dy = x - middle_x, y - middle_y
    far = np.hypot(dx / max(1, right - left), dy / max(1, bottom - top)) * 2
    angle = 2.5 * np.clip(1 - far, 0, 1)
    sx = np.clip(middle_x + dx * np.cos(angle) - dy * np.sin(angle), 0, pixels.shape[1] - 1).astype(int)
    sy = np.clip(middle_y + dx * np.sin(angle) + dy * np.cos(angle), 0, pixels.shape[0] - 1).astype(int)
    made = pixels.copy()
    made[top:bottom, left:right] = pixels[sy, sx]
    return Image.fromarray(made)


def box_of(swap: Swap) -> tuple[int, int, int, int]:
    """Return where the old person is: left, top, right, bottom."""
    return swap.base.mask.getbbox() or (0, 0, *swap.good.size)


def head_of(swap: Swap) -> tuple[int, int, int, int]:
    """Return where the head is: the uppermost part of the mask, as wide as it is there."""
    left, top, right, bottom = box_of(swap)
    height = round((bottom - top) * {"head": 0.8, "bust": 0.5, "half body": 0.3}.get(swap.base.framing, 0.18))
    part = swap.base.mask.crop((left, top, right, top + height)).getbbox() or (0, 0, right - left, height)
    return left + part[0], top, left + part[2], top + height


def _part_replaced(
    picture: Image.Image, box: tuple[int, int, int, int], change: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    made = picture.copy()
    made.paste(change(picture.crop(box)), box[:2])
    return made


PERSON: dict[str, Kind] = {
    "second person": lambda swap: with_second(swap.good, swap.base, swap.second),
    "person twice": _two_persons_alike,
    "person removed": lambda swap: swap.empty,
    "person elsewhere": _elsewhere,
    "person shrunk": lambda swap: _sized(swap, 0.55),
    "person too large": lambda swap: _sized(swap, 1.6),
    "head missing": _head_missing,
    "lower half missing": _lower_missing,
    "face blurred": lambda swap: _face(swap, lambda face: blurred(face, 0.09)),
    "face mosaic": lambda swap: _face(swap, lambda face: mosaic(face, 6)),
    "face swirled": _swirled,
    "face covered": lambda swap: _face(swap, lambda face: Image.new("RGB", face.size, (90, 140, 90))),
    "blended with the old": lambda swap: Image.blend(swap.base.picture, swap.good, 0.5),
    "old one beside": _ghost,
    "half the old": _half_old,
    "see-through": _see_through,
    "only the clothes": _only_clothes,
}
