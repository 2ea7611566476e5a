"""Bad results of body swaps, each of a kind with a name: what a person would see at once."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.quality_bad_people import PERSON, Kind, blurred, box_of, mosaic, old_mask
from benchmarks.quality_bad_unseen import MORE, UNSEEN
from benchmarks.quality_good import Swap
from benchmarks.quality_people import grained
from benchmarks.quality_variants import (
    cast,
    covering,
    degraded,
    encoded,
    pasted,
    scaled,
    shifted,
    zoomed,
)

GREY = (128, 128, 128)


def _rectangle(
    picture: Image.Image, box: tuple[float, float, float, float], colour: tuple[int, int, int]
) -> Image.Image:
    made = picture.copy()
    ImageDraw.Draw(made).rectangle(
        [box[0] * made.width, box[1] * made.height, box[2] * made.width, box[3] * made.height], colour
    )
    return made


def _text(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _watermark(swap: Swap) -> Image.Image:
    layer = Image.new("L", swap.good.size)
    draw, size = ImageDraw.Draw(layer), max(swap.good.size) // 18
    for row, top in enumerate(range(0, layer.height, 3 * size)):
        for left in range(-3 * size * (row % 2), layer.width, 7 * size):
            draw.text((left, top), "SAMPLE", 90, _text(size))
    return Image.composite(Image.new("RGB", swap.good.size, "white"), swap.good, layer)


def _caption(swap: Swap) -> Image.Image:
    made, size = swap.good.copy(), max(swap.good.size) // 20
    draw = ImageDraw.Draw(made)
    where = (made.width * 0.05, made.height - 1.6 * size)
    draw.text(
        where, "Created with an AI model", "white", _text(size), stroke_width=max(1, size // 12), stroke_fill="black"
    )
    return made


def _logo(swap: Swap) -> Image.Image:
    made, size = swap.good.copy(), max(swap.good.size) // 9
    draw = ImageDraw.Draw(made)
    draw.rounded_rectangle((8, 8, 8 + 1.6 * size, 8 + size), size // 5, (200, 30, 60))
    draw.text((8 + size * 0.2, 8 + size * 0.2), "LOGO", "white", _text(size // 2))
    return made


def _framed(swap: Swap) -> Image.Image:
    """Smaller, with black bars above and below."""
    width, height = swap.good.size
    made = Image.new("RGB", swap.good.size)
    made.paste(swap.good.crop((0, height // 10, width, height - height // 10)), (0, height // 10))
    return made


def _bordered(swap: Swap) -> Image.Image:
    edge = max(swap.good.size) // 18
    inner = swap.good.resize((swap.good.width - 2 * edge, swap.good.height - 2 * edge), Image.Resampling.LANCZOS)
    return ImageOps.expand(inner, edge, "white").resize(swap.good.size)


def _with_its_background(swap: Swap) -> Image.Image:
    box, own = box_of(swap), swap.person.mask.getbbox() or (0, 0, *swap.person.mask.size)
    picture, _, place = scaled(swap.person, own, (box[0] + box[2]) / 2, box[1], box[3] - box[1])
    return pasted(swap.good, picture, Image.new("L", picture.size, 255), place)


def _quantized(picture: Image.Image, bits: int) -> Image.Image:
    return ImageOps.posterize(picture, bits)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    return encoded(picture, quality)


def _twice_coded(picture: Image.Image, quality: int) -> Image.Image:
    with Image.open(io.BytesIO(encoded(picture, quality))) as image:
        return image.convert("RGB")


def _torn(swap: Swap) -> Image.Image:
    pixels = np.asarray(swap.good).copy()
    rows = pixels.shape[0]
    for number in range(6):
        top = rows * (2 * number + 1) // 13
        pixels[top : top + rows // 13] = np.roll(pixels[top : top + rows // 13], 40 * (number % 3 - 1) or 25, axis=1)
    return Image.fromarray(pixels)


def _striped(swap: Swap) -> Image.Image:
    pixels = np.asarray(swap.good).copy()
    step = max(6, pixels.shape[0] // 60)
    for top in range(0, pixels.shape[0], 2 * step):
        pixels[top : top + step // 3 + 1] = pixels[top : top + step // 3 + 1] // 2
    return Image.fromarray(pixels)


def _vignette(swap: Swap) -> Image.Image:
    shade = (
        ImageOps.invert(Image.radial_gradient("L"))
        .resize(swap.good.size)
        .point(lambda value: min(255, 40 + round(value * 1.4)))
    )
    return Image.composite(swap.good, Image.new("RGB", swap.good.size), shade)


def _side_by_side(swap: Swap) -> Image.Image:
    made = Image.new("RGB", (2 * swap.good.width, swap.good.height))
    made.paste(swap.base.picture, (0, 0))
    made.paste(swap.good, (swap.good.width, 0))
    return made.resize(swap.good.size, Image.Resampling.LANCZOS)


def _four(swap: Swap) -> Image.Image:
    small = swap.good.resize((swap.good.width // 2, swap.good.height // 2), Image.Resampling.LANCZOS)
    made = Image.new("RGB", (2 * small.width, 2 * small.height))
    for place in ((0, 0), (small.width, 0), (0, small.height), (small.width, small.height)):
        made.paste(small, place)
    return made


def _turned(swap: Swap, degrees: float) -> Image.Image:
    """Tilted, and zoomed until no corner is empty."""
    return zoomed(swap.good.rotate(degrees, Image.Resampling.BICUBIC), 0.88)


def _object(swap: Swap) -> Image.Image:
    """With a ball that nobody asked for, where there is most room."""
    made, side = swap.good.copy(), min(swap.good.size) // 5
    left = swap.base.mask.resize((2, 1), Image.Resampling.BOX).tobytes()
    x = 0.06 * made.width if left[0] < left[1] else 0.94 * made.width - side
    draw = ImageDraw.Draw(made)
    draw.ellipse((x, made.height * 0.12, x + side, made.height * 0.12 + side), (220, 120, 20), (60, 30, 0), 4)
    draw.arc((x, made.height * 0.12, x + side, made.height * 0.12 + side), 40, 200, (255, 230, 180), 8)
    return made


def _background_only(swap: Swap, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    return Image.composite(swap.good, change(swap.good), old_mask(swap))


def _noisy(swap: Swap) -> Image.Image:
    return grained(swap.good, 28, 9)


BAD: dict[str, Kind] = {
    # What came back is not a swap at all.
    "identical": lambda swap: swap.source,
    "re-encoded": lambda swap: encoded(swap.base.picture, 80),
    "degraded no-op": lambda swap: degraded(swap.base.picture),
    "grey": lambda swap: Image.new("RGB", swap.good.size, GREY),
    "black": lambda swap: Image.new("RGB", swap.good.size),
    "noise": lambda swap: grained(Image.new("RGB", swap.good.size, GREY), 60, 1),
    "reference returned": lambda swap: swap.reference,
    "reference stretched": lambda swap: swap.person.picture.resize(swap.good.size),
    "another scene": lambda swap: covering(swap.elsewhere.picture, swap.good.size),
    # The background is another one, or spoilt.
    "background replaced": lambda swap: pasted(covering(swap.elsewhere.picture, swap.good.size), *swap.cut),
    "background blurred": lambda swap: _background_only(swap, lambda picture: blurred(picture, 0.012)),
    "background mosaic": lambda swap: _background_only(swap, lambda picture: mosaic(picture, 40)),
    "background darkened": lambda swap: _background_only(
        swap, lambda picture: ImageEnhance.Brightness(picture).enhance(0.6)
    ),
    "own background": _with_its_background,
    "object added": _object,
    # The colours.
    "darkened": lambda swap: ImageEnhance.Brightness(swap.good).enhance(0.6),
    "overexposed": lambda swap: ImageEnhance.Brightness(swap.good).enhance(1.6),
    "faded": lambda swap: ImageEnhance.Contrast(swap.good).enhance(0.45),
    "warm cast": lambda swap: cast(swap.good, (1.2, 1.0, 0.65)),
    "black and white": lambda swap: swap.good.convert("L").convert("RGB"),
    "sepia": lambda swap: ImageOps.colorize(swap.good.convert("L"), (30, 15, 0), (255, 240, 200)),
    "garish": lambda swap: ImageEnhance.Color(swap.good).enhance(2.6),
    "red and blue exchanged": lambda swap: Image.merge("RGB", swap.good.split()[::-1]),
    "negative": lambda swap: ImageOps.invert(swap.good),
    "few colours": lambda swap: _quantized(swap.good, 2),
    "vignette": _vignette,
    # The frame.
    "squashed": lambda swap: swap.good.resize((round(swap.good.width * 0.8), swap.good.height)),
    "thumbnail": lambda swap: swap.good.resize(
        [max(1, round(side * 256 / max(swap.good.size))) for side in swap.good.size]
    ),
    "shifted 8 %": lambda swap: shifted(swap.good, round(swap.good.width * 0.08)),
    "zoomed": lambda swap: zoomed(swap.good, 0.85),
    "mirrored": lambda swap: swap.good.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda swap: swap.good.transpose(Image.Transpose.ROTATE_180),
    "tilted": lambda swap: _turned(swap, 6),
    "bars": _framed,
    "white border": _bordered,
    "before and after": _side_by_side,
    "four times": _four,
    # Something lies on it.
    "watermark": _watermark,
    "caption": _caption,
    "logo": _logo,
    "stripes": _striped,
    # Data were lost.
    "lower half grey": lambda swap: _rectangle(swap.good, (0, 0.5, 1, 1), GREY),
    "third grey": lambda swap: _rectangle(swap.good, (0, 0.67, 1, 1), GREY),
    "corner black": lambda swap: _rectangle(swap.good, (0.6, 0, 1, 0.35), (0, 0, 0)),
    "rows torn": _torn,
    "heavy blur": lambda swap: blurred(swap.good, 0.02),
    "blurred": lambda swap: blurred(swap.good, 0.006),
    "enlarged": lambda swap: swap.good.resize([max(1, side // 8) for side in swap.good.size]).resize(
        swap.good.size, Image.Resampling.BICUBIC
    ),
    "mosaic": lambda swap: mosaic(swap.good, 60),
    "JPEG of quality 4": lambda swap: _jpeg(swap.good, 4),
    "JPEG of quality 5, saved again": lambda swap: _twice_coded(swap.good, 5),
    "grain": _noisy,
    **PERSON,
    **MORE,
    **UNSEEN,
}
HELD_OUT = tuple(UNSEEN)
_SEEN = 10.0, 0.005
"""Of 255: how much a place has to change that a person sees it; and the share of such places."""


def spoilt(kind: str, swap: Swap) -> bytes | None:
    """Return a bad result of a kind; ``None`` if nobody sees it on this scene, as of a grey picture made grey."""
    made = BAD[kind](swap)
    if isinstance(made, bytes):
        return made
    return encoded(made) if _is_seen(made, swap.good) else None


def _is_seen(made: Image.Image, good: Image.Image) -> bool:
    if made.size != good.size:
        return True
    places = np.asarray(ImageChops.difference(made, good).reduce(max(1, max(good.size) // 32)))
    return float(np.mean(places.max(axis=2) > _SEEN[0])) > _SEEN[1]
