"""Pictures as phones make them, which the tests draw."""

from __future__ import annotations

import functools

import pytest
from PIL import Image

from tests.quality.drawing import scene

heif = pytest.importorskip("pillow_heif")
heif.register_heif_opener()

HEIC = "HEIF"
"""Pillow's name."""


@functools.cache
def house() -> Image.Image:
    return scene(600, 900)


def exif(orientation: int) -> bytes:
    said = Image.Exif()
    said[0x0112], said[0x010E] = orientation, "a house"
    return said.tobytes()


def flipped(png: bytes) -> bytes:
    """A PNG with one wrong bit in its pixels, which its decoder does not notice."""
    broken = bytearray(png)
    broken[png.index(b"IDAT") + 200] ^= 16
    return bytes(broken)
