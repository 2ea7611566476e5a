"""Photographs of persons, and swaps pasted together from them."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from airflow_provider_segmind.quality import detectors
from tests.quality.drawing import opened

STORED = Path(__file__).with_name("stored")


@functools.cache
def photograph(name: str) -> Image.Image:
    return opened((STORED / f"{name}.jpg").read_bytes()).convert("RGB")


def cut_out(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The person of a picture, and its mask."""
    mask = Image.fromarray((detectors.subject(picture) * 255).astype(np.uint8))
    box = mask.point(lambda value: 255 if value > 127 else 0).getbbox()
    return picture.crop(box), mask.crop(box)


def pasted(background: Image.Image, person: Image.Image, left: int, top: int, height: int) -> Image.Image:
    """A person in front of a background, so high."""
    figure, mask = cut_out(person)
    size = round(figure.width * height / figure.height), height
    made = background.copy()
    made.paste(figure.resize(size), (left, top), mask.resize(size))
    return made


@functools.cache
def wall() -> Image.Image:
    """A background with something to see everywhere, and nobody."""
    # Pillow's own noise depends on what was drawn before it, and a detector answers differently now and then.
    values = np.random.default_rng(2).normal(128, 90, (60, 80)).clip(0, 255)
    noise = Image.fromarray(values.astype(np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    shade = Image.linear_gradient("L").resize((800, 600))
    return Image.merge("RGB", (noise, Image.blend(noise, shade, 0.5), shade))


@functools.cache
def photo_trio() -> tuple[Image.Image, Image.Image, Image.Image]:
    """A source, a good swap of it, and the reference, of photographed persons."""
    source = pasted(wall(), photograph("astronaut"), 230, 120, 480)
    result = pasted(wall(), photograph("grace_hopper"), 240, 120, 480)
    return source, result, photograph("grace_hopper")
