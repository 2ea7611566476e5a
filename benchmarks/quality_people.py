"""Persons on pictures, and where they are: of photographs by a model, of drawings because the code drew them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from benchmarks.quality_fetch import fetched
from benchmarks.quality_pictures import MODEL, PICTURES

LONGER_SIDE = 1200
"""Pixels: more would only take longer, since all is compared at 512."""


@dataclass(frozen=True)
class Base:
    """
    A picture of one person.

    :param name: what it is called.
    :param picture: RGB, upright.
    :param mask: of the same size, 255 where the person is.
    :param who: equal for pictures that show the same person, or come from the same photograph.
    :param reference: whether it can be the new person of others.
    :param framing: how much of the person is seen.
    :param sideways: whether the file has it lying on its side, with a note in its EXIF that says so.
    """

    name: str
    picture: Image.Image
    mask: Image.Image
    who: str
    reference: bool
    framing: str = "bust"
    sideways: bool = False


def photographs() -> list[Base]:
    """Return the photographs of one person, by name."""
    segment = segmenter(fetched(MODEL))
    bases = []
    for shipped in sorted(PICTURES, key=lambda one: one.name):
        if shipped.persons == 1:
            picture, who = opened(fetched(shipped), shipped.turned), shipped.who or shipped.name
            bases.append(Base(shipped.name, picture, segment(picture), who, shipped.reference, shipped.framing))
    return bases


def drawings(count: int = 4, size: tuple[int, int] = (480, 600)) -> list[Base]:
    """Return drawn figures in drawn rooms, each different."""
    return [_drawn(number, size) for number in range(count)]


def opened(data: bytes, turned: int = 0) -> Image.Image:
    """Return a picture upright, on white, in RGB, and not larger than is needed."""
    with Image.open(io.BytesIO(data)) as image:
        picture = ImageOps.exif_transpose(image).rotate(turned, expand=True)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if max(picture.size) > LONGER_SIDE:
        picture.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    return picture


def segmenter(model: bytes) -> Any:
    """
    Return a function from a picture to the mask of its person.

    :param model: MediaPipe's selfie segmentation: 256 x 256 RGB from 0 to 1 in, a probability for each pixel out.
    """
    import numpy as np

    # Not an import: its types are not known, and without the extra it is not there.
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter(model_content=model)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def segment(picture: Image.Image) -> Image.Image:
        small = picture.resize((256, 256), Image.Resampling.BILINEAR)
        interpreter.set_tensor(given["index"], np.asarray(small, dtype=np.float32)[None] / 255)
        interpreter.invoke()
        share = interpreter.get_tensor(made["index"])[0, :, :, 0]
        mask = Image.fromarray((share * 255).clip(0, 255).astype(np.uint8))
        return mask.resize(picture.size, Image.Resampling.BICUBIC).point(lambda value: 255 if value > 127 else 0)

    return segment


def _drawn(number: int, size: tuple[int, int]) -> Base:
    width, height = size
    chance = random.Random(number)  # noqa: S311 - to look different, not to be secret
    light, dark = ((chance.randrange(150, 230), chance.randrange(150, 230), 210), (60, 50, chance.randrange(30, 120)))
    picture = ImageOps.colorize(Image.linear_gradient("L").resize(size), dark, light)
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        left, top = chance.randrange(-width // 6, width), chance.randrange(-height // 6, height)
        box = (left, top, left + width // chance.randrange(4, 12), top + height // chance.randrange(4, 12))
        draw.rectangle(box, tuple(chance.randrange(256) for _ in range(3)))
    head, body = _shape(number, size)
    mask = Image.new("L", size)
    for target, skin, clothes in (
        (draw, ((224, 172, 140), (120, 84, 60))[number // 2 % 2], ((40, 60, 70), (215, 205, 160))[number // 2 % 2]),
        (ImageDraw.Draw(mask), 255, 255),
    ):
        target.rounded_rectangle(body, width * 0.1, clothes)
        target.ellipse(head, skin)
    return Base(f"drawing-{number}", grained(picture, 14, number), mask, f"drawing-{number}", reference=True)


Box = tuple[float, float, float, float]


def _shape(number: int, size: tuple[int, int]) -> tuple[Box, Box]:
    """Return where the head and the body are; each figure stands elsewhere."""
    width, height = size
    middle = width * (0.4 + 0.05 * (number % 5))
    head = (middle - width * 0.08, height * 0.16, middle + width * 0.08, height * 0.34)
    return head, (middle - width * 0.18, height * 0.33, middle + width * 0.18, height * 1.2)


def grained(picture: Image.Image, sigma: float, seed: int) -> Image.Image:
    """
    Return a picture with noise, the same for the same seed.

    :param sigma: standard deviation, of 255.
    """
    # Tiles of one sheet of noise at chance places: whole pictures of it would take seconds at 12 million pixels.
    chance = random.Random(seed)  # noqa: S311 - see above
    side = 256
    sheet = Image.frombytes("L", (2 * side, 2 * side), chance.randbytes(4 * side * side))
    sheet = sheet.filter(ImageFilter.BoxBlur(0.5))
    noise = Image.new("L", picture.size)
    for top in range(0, picture.height, side):
        for left in range(0, picture.width, side):
            x, y = chance.randrange(side), chance.randrange(side)
            noise.paste(sheet.crop((x, y, x + side, y + side)), (left, top))
    deviation = 30.0
    scaled = noise.point(lambda value: round(128 + (value - 128) * sigma / deviation))
    return ImageChops.add(picture, Image.merge("RGB", [scaled] * 3), 1, -128)
