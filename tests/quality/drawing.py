"""Pictures that the tests of quality draw."""

from __future__ import annotations

import functools
import io
from typing import Any

from PIL import Image, ImageDraw

from airflow_provider_segmind.emulator import paint, samples
from airflow_provider_segmind.quality.report import Check, Report


@functools.cache
def trio(number: int = 0) -> tuple[bytes, bytes, bytes]:
    """A source, a good swap of it, and the reference."""
    source, reference = samples.draw("scene", number), samples.draw("person", number + 1)
    return source, paint.swap(source, reference), reference


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


_SOON: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 1},
    "AVIF": {"speed": 10},
    "HEIF": {"enc_params": {"preset": "ultrafast"}},
}
"""What lets an encoder search less: it takes up to a tenth of the time, and the file has the same parts."""


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **{**_SOON.get(kind, {}), **options})
    return file.getvalue()


def scene(width: int, height: int) -> Image.Image:
    """A picture of a sky, a hill and a house, in which every direction looks different."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.1, height * 0.5, width * 0.7, height * 0.9), (60, 130, 70))
    draw.rectangle((width * 0.6, height * 0.2, width * 0.9, height * 0.6), (180, 60, 50))
    return image


def striped(contrast: int) -> Image.Image:
    """Two halves of grey whose standard deviation is the contrast."""
    image = Image.new("RGB", (600, 600), (128 - contrast,) * 3)
    image.paste((128 + contrast,) * 3, (0, 0, 300, 600))
    return image


def find(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)
