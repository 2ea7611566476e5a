"""Swap two people by plain image processing, enough to see which result belongs to which inputs."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, ImageStat

Box = tuple[int, int, int, int]
Form = Literal["PNG", "JPEG"]

MAX_SIDE = 6000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_MARGIN = 10
_LIGHT_SHARE = 0.2
_LIGHT_RANGE = (0.86, 1.08)
# Wide enough to see a hand, narrow enough for pure Python to process in a tenth of a second.
_WORKING_WIDTH = 192
_MAX_STEP = 14
_SAME_COLOUR = 6
_CENTRE_BAND = (0.35, 0.65)
_MIN_SHARE, _MAX_SHARE = 0.03, 0.7
_SIDE_PIXELS = 4


class NotAPictureError(ValueError):
    """The bytes are no usable picture."""


def swap(scene: bytes, person: bytes) -> bytes:
    """
    Return the scene with its person replaced, as a PNG of the scene's size.

    Outside the old and the new person and a small margin, every pixel stays the same.

    :raises NotAPictureError: If one of the pictures cannot be read.
    """
    before, reference = _opened(scene), _opened(person)
    old, new = find_subject(before), find_subject(reference)
    target = old.box if old else _middle(before.size)
    background = old.background if old else before
    cutout = _cut_out(reference, new) if new else _feathered_middle(reference)
    if old and new:
        cutout = _in_light_of(cutout, before, old, reference, new)
    figure, place = _fitted(cutout, new.box if new else None, target)
    result = _softly_joined(before, background, old)
    result.paste(figure.convert("RGB"), place, figure.getchannel("A"))
    return _saved(result, "PNG")


def converted(picture: bytes, form: Form) -> bytes:
    """Return a picture as a file of another format."""
    return _saved(_opened(picture), form)


def _saved(picture: Image.Image, form: Form) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **({"quality": 92} if form == "JPEG" else {"compress_level": 4}))
    return file.getvalue()


def _opened(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if max(picture.size) > MAX_SIDE or min(picture.size) < 16:
                raise NotAPictureError(f"a picture of {picture.size} is too large or too small")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise NotAPictureError(str(problem)) from problem


def _cut_out(photograph: Image.Image, subject: Subject) -> Image.Image:
    """Return the person on transparency, with the photograph's soft edge."""
    difference = ImageChops.difference(photograph, subject.background)
    red, green, blue = difference.split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    edge = strongest.point(lambda value: max(0, min(255, (value - 12) * 9)))
    # The outermost pixels are half background and would show as a fringe. Clothes of the background's colour leave
    # holes in the difference, which the core fills.
    alpha = (
        ImageChops.lighter(edge, subject.core).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.8))
    )
    cutout = photograph.copy()
    cutout.putalpha(ImageChops.darker(alpha, subject.region))
    return cutout


def _feathered_middle(photograph: Image.Image) -> Image.Image:
    mask = Image.new("L", photograph.size)
    ImageDraw.Draw(mask).ellipse(_middle(photograph.size), 255)
    cutout = photograph.copy()
    cutout.putalpha(mask.filter(ImageFilter.GaussianBlur(min(photograph.size) / 30)))
    return cutout.crop(_middle(photograph.size))


def _middle(size: tuple[int, int]) -> Box:
    width, height = size
    return round(width * 0.22), round(height * 0.08), round(width * 0.78), round(height * 0.95)


def _in_light_of(
    cutout: Image.Image, scene: Image.Image, old: Subject, reference: Image.Image, new: Subject
) -> Image.Image:
    """Shift the person's colours slightly towards the scene's light."""
    there = ImageStat.Stat(scene, ImageOps.invert(old.region)).mean
    here = ImageStat.Stat(reference, ImageOps.invert(new.region)).mean
    low, high = _LIGHT_RANGE
    gains = [min(high, max(low, (max(1.0, a) / max(1.0, b)) ** _LIGHT_SHARE)) for a, b in zip(there, here, strict=True)]
    *colours, alpha = cutout.split()
    tables = [[min(255, round(value * gain)) for value in range(256)] for gain in gains]
    lit = [channel.point(table) for channel, table in zip(colours, tables, strict=True)]
    return Image.merge("RGBA", (*lit, alpha))


def _fitted(cutout: Image.Image, box: Box | None, target: Box) -> tuple[Image.Image, tuple[int, int]]:
    """Scale a cut-out to the target's height, feet on the same line; return it and its position."""
    left, top, right, bottom = box or (0, 0, *cutout.size)
    scale = (target[3] - target[1]) / (bottom - top)
    # With the margin, so that soft edges are not cut off; pixels outside the picture become transparent.
    piece = cutout.crop((left - _MARGIN, top - _MARGIN, right + _MARGIN, bottom + _MARGIN))
    size = (max(1, round(piece.width * scale)), max(1, round(piece.height * scale)))
    centre = (target[0] + target[2]) / 2
    place = (round(centre - size[0] / 2), round(target[3] + _MARGIN * scale - size[1]))
    return piece.resize(size, Image.Resampling.LANCZOS), place


def _softly_joined(scene: Image.Image, background: Image.Image, old: Subject | None) -> Image.Image:
    if old is None:
        return scene.copy()
    soft = ImageChops.darker(
        old.region.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.GaussianBlur(2)), old.region
    )
    return Image.composite(background, scene, soft)


@dataclass(frozen=True)
class Subject:
    """A person found in a photograph."""

    box: Box
    core: Image.Image
    """Mask of pixels that surely show the person."""
    region: Image.Image
    """Mask of the person and a margin."""
    background: Image.Image
    """The photograph without the person."""


def find_subject(photograph: Image.Image) -> Subject | None:
    """Return the person in an RGB photograph; None if nothing stands out from the background."""
    width, height = photograph.size
    scale = _WORKING_WIDTH / width
    small = photograph.resize((_WORKING_WIDTH, max(8, round(height * scale))), Image.Resampling.BOX)
    # Thin things (a lamp post, a horizon) must not connect the person with their surroundings.
    thick = _foreground(small).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    mask = _central_component(thick)
    box = mask.getbbox() if mask else None
    if mask is None or box is None:
        return None
    left, top, right, bottom = (round(side / scale) for side in box)
    region = _full_size(mask.filter(ImageFilter.MaxFilter(7)), photograph.size)
    core = _full_size(mask.filter(ImageFilter.MinFilter(5)), photograph.size)
    return Subject((left, top, right, bottom), core, region, _without(photograph, region))


def _full_size(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    return mask.resize(size, Image.Resampling.BILINEAR).point(lambda value: 255 if value > 96 else 0)


def _foreground(small: Image.Image) -> Image.Image:
    """Mask pixels not reachable from the border in small colour steps; gradients and soft shadows are reachable."""
    seeds = _seeds(small)
    # A frame of one pixel saves the bounds check of each neighbour.
    framed = ImageOps.expand(small, 1)
    width, pixels = framed.width, framed.tobytes()
    reached = bytearray(ImageOps.expand(seeds, 1, 255).tobytes())
    queue = deque(place for place, is_seed in enumerate(ImageOps.expand(seeds, 1, 0).tobytes()) if is_seed)
    while queue:
        here = queue.popleft()
        at = here * 3
        red, green, blue = pixels[at], pixels[at + 1], pixels[at + 2]
        for near in (here - 1, here + 1, here - width, here + width):
            if reached[near]:
                continue
            to = near * 3
            if abs(pixels[to] - red) + abs(pixels[to + 1] - green) + abs(pixels[to + 2] - blue) <= _MAX_STEP:
                reached[near] = 255
                queue.append(near)
    return ImageOps.invert(Image.frombytes("L", framed.size, bytes(reached)))


def _seeds(small: Image.Image) -> Image.Image:
    """Mask the border's pixels, and those that look like their row's border, such as a wall between things."""
    width, height = small.size
    seeds = Image.new("L", small.size)
    seeds.paste(255, (0, 0, width, 1))  # not the bottom: it may cut people off
    for column in (0, width - 1):
        border = small.crop((column, 0, column + 1, height)).resize(small.size, Image.Resampling.NEAREST)
        red, green, blue = ImageChops.difference(small, border).split()
        distance = ImageChops.add(ImageChops.add(red, green), blue)
        seeds = ImageChops.lighter(seeds, distance.point(lambda value: 255 if value <= _SAME_COLOUR else 0))
    return seeds


def _central_component(mask: Image.Image) -> Image.Image | None:
    """Keep the largest connected part that reaches the middle."""
    width, height = mask.size
    left, right = (round(width * share) for share in _CENTRE_BAND)
    todo = bytearray(mask.tobytes())
    best: list[int] = []
    for start in range(width * height):
        if todo[start]:
            part = _component(todo, start, width)
            if len(part) > len(best) and any(left <= place % width < right for place in part):
                best = part
    if not _MIN_SHARE <= len(best) / (width * height) <= _MAX_SHARE:
        return None
    kept = bytearray(width * height)
    for place in best:
        kept[place] = 255
    return Image.frombytes("L", mask.size, bytes(kept)).crop((1, 1, width - 1, height - 1))


def _component(todo: bytearray, start: int, width: int) -> list[int]:
    """Return the connected part around a place, and clear it in ``todo``."""
    todo[start] = 0
    part = [start]
    for here in part:
        for near in (here - 1, here + 1, here - width, here + width):
            if todo[near]:
                todo[near] = 0
                part.append(near)
    return part


def _without(photograph: Image.Image, region: Image.Image) -> Image.Image:
    """Fill the region row by row from its left and right sides, since walls, horizons and floors are level."""
    width, height = photograph.size
    pixels, mask = photograph.tobytes(), region.tobytes()
    lefts, rights, blend = bytearray(height * 3), bytearray(height * 3), bytearray(width * height)
    for row in range(height):
        line = mask[row * width : (row + 1) * width]
        first, last = line.find(255), line.rfind(255)
        if first < 0:
            continue
        start = row * width
        left = _mean(pixels, start, range(max(0, first - _SIDE_PIXELS), first))
        right = _mean(pixels, start, range(last + 1, min(width, last + 1 + _SIDE_PIXELS)))
        lefts[row * 3 : row * 3 + 3] = left or right or bytes(3)
        rights[row * 3 : row * 3 + 3] = right or left or bytes(3)
        span = max(1, last - first)
        blend[start + first : start + last + 1] = bytes(255 * step // span for step in range(last - first + 1))
    left_side, right_side = (
        Image.frombytes("RGB", (1, height), bytes(side)).resize((width, height)) for side in (lefts, rights)
    )
    filling = Image.composite(right_side, left_side, Image.frombytes("L", (width, height), bytes(blend)))
    return Image.composite(filling, photograph, region)


def _mean(pixels: bytes, start: int, columns: range) -> bytes | None:
    if not columns:
        return None
    places = [(start + column) * 3 for column in columns]
    return bytes(sum(pixels[place + channel] for place in places) // len(places) for channel in range(3))
