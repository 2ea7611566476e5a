"""What good and bad results are made with: a person cut out, a place without its person, and one put into the other."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from benchmarks.quality_people import Base, grained

_FILL_SIDE = 256


@dataclass(frozen=True)
class Pair:
    """
    A result beside its inputs, all encoded.

    :param variant: what was done, a key of ``quality_good.GOOD`` or ``quality_bad.BAD``.
    """

    base: str
    variant: str
    source: bytes
    result: bytes
    reference: bytes
    style: str = ""
    framing: str = ""


def moved(base: Base) -> Iterator[Pair]:
    """
    Make results in which the old person is still there: with the pose kept, or moved as a whole.

    A new person pasted over the old one has a pose of its own, so a check of poses would see that, and not the move.
    """
    source, picture = encoded(base.picture, 95), base.picture
    for variant, result in (
        ("re-encoded", encoded(picture, 80)),
        ("degraded", degraded(picture)),
        ("shifted 3 %", encoded(shifted(picture, round(picture.width * 0.03)))),
        ("shifted 8 %", encoded(shifted(picture, round(picture.width * 0.08)))),
        ("zoomed", encoded(zoomed(picture, 0.85))),
        ("mirrored", encoded(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))),
    ):
        yield Pair(base.name, variant, source, result, source)


def encoded(picture: Image.Image, quality: int = 92, kind: str = "JPEG") -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return file.getvalue()


def without_person(base: Base) -> Image.Image:
    """Return the background alone; where the person was, the colours from around it run together."""
    small, hole = base.picture.copy(), base.mask.copy()
    # No detail is lost: there is none in what runs together.
    for image in (small, hole):
        image.thumbnail((_FILL_SIDE, _FILL_SIDE))
    hole = hole.filter(ImageFilter.MaxFilter(7))
    known = ImageChops.invert(hole).point(lambda value: 255 if value == 255 else 0)
    filled = Image.new("RGB", small.size)
    # From coarse to fine, so that the finest colours that reach a place are the ones that stay.
    for radius in (128, 64, 32, 16, 8, 4, 2):
        weight = known.filter(ImageFilter.BoxBlur(radius))
        here = _divided(_masked(small, known).filter(ImageFilter.BoxBlur(radius)), weight)
        # Below one part in ten, what is left of eight bits is no colour any more.
        reached = weight.point(lambda value: min(255, max(0, value - 25) * 8))
        filled.paste(here, mask=Image.new("L", small.size, 255) if radius == 128 else reached)
    size = base.picture.size
    soft = hole.resize(size, Image.Resampling.BICUBIC).point(lambda value: min(255, 4 * value))
    return Image.composite(filled.resize(size, Image.Resampling.BICUBIC), base.picture, soft)


def _masked(picture: Image.Image, mask: Image.Image) -> Image.Image:
    return Image.composite(picture, Image.new("RGB", picture.size), mask)


def _divided(sums: Image.Image, weight: Image.Image) -> Image.Image:
    """Return weighted sums as averages."""
    from PIL import ImageMath

    def average(of: dict[str, Image.Image]) -> Image.Image:
        return ImageMath.lambda_eval(  # type: ignore[no-any-return]
            lambda given: given["convert"](given["min"](given["sum"] * 255 / given["max"](given["by"], 1), 255), "L"),
            **of,
        )

    return Image.merge("RGB", [average({"sum": band, "by": weight}) for band in sums.split()])


def fitted(person: Base, base: Base) -> tuple[Image.Image, Image.Image, tuple[int, int]]:
    """Return the person and its mask, as high as the one that it replaces, and where it goes."""
    box, own = base.mask.getbbox() or (0, 0, *base.mask.size), person.mask.getbbox() or (0, 0, *person.mask.size)
    return scaled(person, own, (box[0] + box[2]) / 2, box[1], box[3] - box[1])


def scaled(
    person: Base, own: tuple[int, int, int, int], middle: float, top: int, height: int
) -> tuple[Image.Image, Image.Image, tuple[int, int]]:
    """Return the person and its mask at a height, and where it goes: its middle and its top are given."""
    share = height / (own[3] - own[1])
    size = max(1, round((own[2] - own[0]) * share)), max(1, height)
    picture = person.picture.crop(own).resize(size, Image.Resampling.LANCZOS)
    mask = person.mask.crop(own).resize(size, Image.Resampling.LANCZOS)
    # A soft edge inwards: outside of the mask is the reference's own background.
    mask = mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(1.5))
    return picture, mask, (round(middle - size[0] / 2), top)


def pasted(background: Image.Image, picture: Image.Image, mask: Image.Image, place: tuple[int, int]) -> Image.Image:
    """Return a background with a person put on it."""
    made = background.copy()
    made.paste(picture, place, mask)
    return made


def with_second(good: Image.Image, base: Base, second: Base) -> Image.Image:
    """Return it with one more person, on the side that has more room."""
    width, height = good.size
    left = base.mask.resize((2, 1), Image.Resampling.BOX).tobytes()
    middle = width * (0.2 if left[0] < left[1] else 0.8)
    own = second.mask.getbbox() or (0, 0, *second.mask.size)
    return pasted(good, *scaled(second, own, middle, round(height * 0.4), round(height * 0.6)))


def degraded(picture: Image.Image) -> bytes:
    """Return it as another model would: smaller, softer, a little warmer, noisier, and encoded again."""
    small = picture.resize([max(1, round(side * 0.75)) for side in picture.size], Image.Resampling.BICUBIC)
    soft = small.filter(ImageFilter.GaussianBlur(max(picture.size) / 1000))
    return encoded(grained(cast(soft, (1.01, 1.0, 0.98)), 2, 2), 80)


def cast(picture: Image.Image, gains: tuple[float, float, float]) -> Image.Image:
    """Return it with each channel made lighter or darker."""
    bands = [
        band.point([min(255, round(value * gain)) for value in range(256)])
        for band, gain in zip(picture.split(), gains, strict=True)
    ]
    return Image.merge("RGB", bands)


def covering(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return it cut and scaled until it fills a size."""
    from PIL import ImageOps

    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def shifted(picture: Image.Image, by: int) -> Image.Image:
    """Return it moved to the right; what comes in on the left is its edge, mirrored."""
    made = picture.copy()
    made.paste(picture.crop((0, 0, picture.width - by, picture.height)), (by, 0))
    made.paste(picture.crop((0, 0, by, picture.height)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (0, 0))
    return made


def zoomed(picture: Image.Image, share: float) -> Image.Image:
    """Return the middle of it, at its size."""
    width, height = picture.size
    x, y = width * (1 - share) / 2, height * (1 - share) / 2
    return picture.resize(picture.size, Image.Resampling.BICUBIC, (x, y, width - x, height - y))


def file_of(base: Base, picture: Image.Image, quality: int = 95) -> bytes:
    """Return a scene as its camera would save it, or what is made of it: turned, if its scene is."""
    if not base.sideways:
        return encoded(picture, quality)
    note = Image.Exif()
    note[0x0112] = 6
    file = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=quality, exif=note)
    return file.getvalue()


def redressed(base: Base, chance: random.Random) -> Image.Image:
    """
    Return a picture with its person made into another one in the same pose.

    Where the person is, the picture is bent by 2 % of the person's height, so that no fine detail stays where it was,
    and its colours are others: the outline and the pose stay, as a good model keeps them.
    """
    box = base.mask.getbbox() or (0, 0, *base.mask.size)
    bent = _bent(base.picture, 0.02 * max(box[2] - box[0], box[3] - box[1]), chance)
    order = chance.choice(((0, 2, 1), (0, 1, 2)))
    bands = bent.split()
    light, power = chance.uniform(0.75, 1.2), chance.uniform(0.8, 1.3)
    table = [min(255, round(255 * light * (value / 255) ** power)) for value in range(256)]
    dyed = Image.merge("RGB", [bands[band].point(table) for band in order])
    dyed = Image.blend(bent, dyed, 0.6)
    soft = base.mask.filter(ImageFilter.GaussianBlur(max(base.picture.size) / 300))
    return Image.composite(grained(dyed, 3, chance.randrange(1000)), base.picture, soft)


def _bent(picture: Image.Image, by: float, chance: random.Random) -> Image.Image:
    """Return a picture with its places moved smoothly by some ``by`` pixels."""
    width, height = picture.size
    source = np.random.default_rng(chance.randrange(2**32))
    moved: list[Any] = []
    for along in (np.arange(width)[None, :], np.arange(height)[:, None]):
        waves = source.uniform(-1, 1, (7, 7)).astype(np.float32)
        moves = np.asarray(Image.fromarray(waves).resize((width, height), Image.Resampling.BICUBIC))
        moved.append(np.clip(along + by * np.sign(moves) * np.abs(moves) ** 0.5, 0, (width, height)[len(moved)] - 1))
    x, y = (np.broadcast_to(where, (height, width)) for where in moved)
    pixels, x0, y0 = np.asarray(picture, np.float32), np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    right, down = (x - x0)[..., None], (y - y0)[..., None]
    upper = pixels[y0, x0] * (1 - right) + pixels[y0, x1] * right
    lower = pixels[y1, x0] * (1 - right) + pixels[y1, x1] * right
    return Image.fromarray(np.clip(upper * (1 - down) + lower * down, 0, 255).astype(np.uint8))
