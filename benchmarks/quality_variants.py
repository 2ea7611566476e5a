"""What can come back from a body swap: two good results and twenty bad ones, pasted together by code."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from benchmarks.quality_people import Base, grained

GOOD = ("good", "good, degraded")
BAD = (
    "identical",
    "re-encoded",
    "degraded no-op",
    "grey",
    "black",
    "noise",
    "reference returned",
    "reference stretched",
    "background replaced",
    "darkened",
    "warm cast",
    "squashed",
    "thumbnail",
    "second person",
    "person removed",
    "lower half grey",
    "heavy blur",
    "shifted 8 %",
    "zoomed",
    "mirrored",
)
NAMES = (*GOOD, *BAD)
_FILL_SIDE = 256


@dataclass(frozen=True)
class Pair:
    """
    A result beside its inputs, all encoded.

    :param variant: one of ``NAMES``.
    """

    base: str
    variant: str
    source: bytes
    result: bytes
    reference: bytes


def pairs(base: Base, person: Base, second: Base, elsewhere: Base) -> Iterator[Pair]:
    """
    Make the variants of one picture.

    :param base: the picture that is edited.
    :param person: the new person.
    :param second: one who does not belong there.
    :param elsewhere: where another background comes from.
    """
    source = encoded(base.picture, 95)
    reference = encoded(person.picture, 95)
    for variant, result in _results(base, person, second, elsewhere, source, reference):
        yield Pair(base.name, variant, source, result, reference)


def moved(base: Base) -> Iterator[Pair]:
    """
    Make results in which the old person is still there: with the pose kept, or moved as a whole.

    A new person pasted over the old one has a pose of its own, so a check of poses would see that, and not the move.
    """
    source, picture = encoded(base.picture, 95), base.picture
    for variant, result in (
        ("re-encoded", encoded(picture, 80)),
        ("degraded", _degraded(picture)),
        ("shifted 3 %", encoded(_shifted(picture, round(picture.width * 0.03)))),
        ("shifted 8 %", encoded(_shifted(picture, round(picture.width * 0.08)))),
        ("zoomed", encoded(_zoomed(picture, 0.85))),
        ("mirrored", encoded(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))),
    ):
        yield Pair(base.name, variant, source, result, source)


def encoded(picture: Image.Image, quality: int = 92, kind: str = "JPEG") -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return file.getvalue()


def _results(
    base: Base, person: Base, second: Base, elsewhere: Base, source: bytes, reference: bytes
) -> Iterator[tuple[str, bytes]]:
    before, size = base.picture, base.picture.size
    empty = without_person(base)
    cut = _fitted(person, base)
    good = _pasted(empty, *cut)
    yield "good", encoded(good)
    yield "good, degraded", _degraded(good)
    yield "identical", source
    yield "re-encoded", encoded(before, 80)
    yield "degraded no-op", _degraded(before)
    yield "grey", encoded(Image.new("RGB", size, (128, 128, 128)))
    yield "black", encoded(Image.new("RGB", size))
    yield "noise", encoded(grained(Image.new("RGB", size, (128, 128, 128)), 60, 1))
    yield "reference returned", reference
    yield "reference stretched", encoded(person.picture.resize(size))
    yield "background replaced", encoded(_pasted(_covering(without_person(elsewhere), size), *cut))
    yield "darkened", encoded(ImageEnhance.Brightness(good).enhance(0.6))
    yield "warm cast", encoded(_cast(good, (1.2, 1.0, 0.65)))
    yield "squashed", encoded(good.resize((round(size[0] * 0.8), size[1])))
    yield "thumbnail", encoded(good.resize([max(1, round(side * 256 / max(size))) for side in size]))
    yield "second person", encoded(_with_second(good, base, second))
    yield "person removed", encoded(empty)
    yield "lower half grey", encoded(_half_grey(good))
    yield "heavy blur", encoded(good.filter(ImageFilter.GaussianBlur(max(size) * 0.02)))
    yield "shifted 8 %", encoded(_shifted(good, round(size[0] * 0.08)))
    yield "zoomed", encoded(_zoomed(good, 0.85))
    yield "mirrored", encoded(good.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


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


def _fitted(person: Base, base: Base) -> tuple[Image.Image, Image.Image, tuple[int, int]]:
    """Return the person and its mask, as high as the one that it replaces, and where it goes."""
    box, own = base.mask.getbbox() or (0, 0, *base.mask.size), person.mask.getbbox() or (0, 0, *person.mask.size)
    return _scaled(person, own, (box[0] + box[2]) / 2, box[1], box[3] - box[1])


def _scaled(
    person: Base, own: tuple[int, int, int, int], middle: float, top: int, height: int
) -> tuple[Image.Image, Image.Image, tuple[int, int]]:
    share = height / (own[3] - own[1])
    size = max(1, round((own[2] - own[0]) * share)), max(1, height)
    picture = person.picture.crop(own).resize(size, Image.Resampling.LANCZOS)
    mask = person.mask.crop(own).resize(size, Image.Resampling.LANCZOS)
    # A soft edge inwards: outside of the mask is the reference's own background.
    mask = mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(1.5))
    return picture, mask, (round(middle - size[0] / 2), top)


def _pasted(background: Image.Image, picture: Image.Image, mask: Image.Image, place: tuple[int, int]) -> Image.Image:
    made = background.copy()
    made.paste(picture, place, mask)
    return made


def _with_second(good: Image.Image, base: Base, second: Base) -> Image.Image:
    """Return it with one more person, on the side that has more room."""
    width, height = good.size
    left = base.mask.resize((2, 1), Image.Resampling.BOX).tobytes()
    middle = width * (0.2 if left[0] < left[1] else 0.8)
    own = second.mask.getbbox() or (0, 0, *second.mask.size)
    return _pasted(good, *_scaled(second, own, middle, round(height * 0.4), round(height * 0.6)))


def _degraded(picture: Image.Image) -> bytes:
    """Return it as another model would: smaller, softer, a little warmer, noisier, and encoded again."""
    small = picture.resize([max(1, round(side * 0.75)) for side in picture.size], Image.Resampling.BICUBIC)
    soft = small.filter(ImageFilter.GaussianBlur(max(picture.size) / 1000))
    return encoded(grained(_cast(soft, (1.01, 1.0, 0.98)), 2, 2), 80)


def _cast(picture: Image.Image, gains: tuple[float, float, float]) -> Image.Image:
    bands = [
        band.point([min(255, round(value * gain)) for value in range(256)])
        for band, gain in zip(picture.split(), gains, strict=True)
    ]
    return Image.merge("RGB", bands)


def _covering(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def _half_grey(picture: Image.Image) -> Image.Image:
    made = picture.copy()
    made.paste((128, 128, 128), (0, picture.height // 2, *picture.size))
    return made


def _shifted(picture: Image.Image, by: int) -> Image.Image:
    """Return it moved to the right; what comes in on the left is its edge, mirrored."""
    made = picture.copy()
    made.paste(picture.crop((0, 0, picture.width - by, picture.height)), (by, 0))
    made.paste(picture.crop((0, 0, by, picture.height)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (0, 0))
    return made


def _zoomed(picture: Image.Image, share: float) -> Image.Image:
    width, height = picture.size
    x, y = width * (1 - share) / 2, height * (1 - share) / 2
    return picture.resize(picture.size, Image.Resampling.BICUBIC, (x, y, width - x, height - y))
