"""Pictures as phones make them, which the tests draw."""

from __future__ import annotations

import functools

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.quality.drawing import scene

heif = pytest.importorskip("pillow_heif")
heif.register_heif_opener()

HEIC = "HEIF"
"""Pillow's name."""
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}


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


def turned(orientation: int) -> Image.Image:
    """The picture as a camera stores it that is held turned."""
    return house().transpose(Image.Transpose(UNDO[orientation])) if orientation > 1 else house()


def far(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures of the same size, of 255, of the channel that differs most."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)
