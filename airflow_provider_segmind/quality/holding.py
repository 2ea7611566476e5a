"""Know how many bytes a decoder holds for a picture, before it holds them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_segmind.api import media

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MOST = 210 * 2**20
"""Bytes that a pair may take to be checked, files and decoded pixels: with the models, a process then has 350 MiB."""
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Of a pixel, by Pillow's mode; all others have four."""
_COPIES = {media.AVIF: 13, media.HEIC: 8.5, media.WEBP: 16.5}
"""Bytes of a pixel that the other decoders hold, with their copies; measured."""
_LOSSLESS = 4
_COEFFICIENT = 2


def needed(kind: media.Format, image: ImageFile, size: tuple[int, int], data: bytes, *, scaling: bool) -> int:
    """
    Return the bytes that decoding an opened picture holds at most.

    :param kind: its format.
    :param image: opened, for a JPEG also set to the size that is wanted.
    :param size: width and height of all its pixels.
    :param data: what the decoder gets.
    :param scaling: whether the decoder of WebP scales while it decodes.
    """
    pixels = image.width * image.height
    if kind is media.WEBP and scaling:
        return pixels * _LOSSLESS if b"VP8L" in data[:64] or b"ALPH" in data[:64] else 0
    if kind in _COPIES:
        return math.ceil(pixels * _COPIES[kind])
    held = pixels * _BYTES.get(image.mode, 4)
    layers = getattr(image, "layer", None)
    if layers and image.info.get("progressive"):
        # A progressive JPEG is held as coefficients, at its own size, each channel as thinned out as it is.
        widest, highest = max(layer[1] for layer in layers), max(layer[2] for layer in layers)
        share = sum(layer[1] * layer[2] for layer in layers) / (widest * highest)
        held += math.ceil(size[0] * size[1] * share * _COEFFICIENT)
    return held
