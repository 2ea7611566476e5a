"""Sample "photographs" of one drawn person each: scenes to edit, and reference persons."""

from __future__ import annotations

import hashlib
import importlib.util
import struct
import zlib
from pathlib import Path
from typing import Literal

Form = Literal["PNG", "JPEG"]
Kind = Literal["scene", "person"]

HAS_PILLOW = importlib.util.find_spec("PIL") is not None
_FOLDER = Path(__file__).with_name("drawn")
"""Pictures of 768 x 1024 pixels that this project has drawn itself."""
_NUMBERS = 6
_FLAT_SIZE = 96, 128


def draw(kind: Kind, number: int, form: Form = "PNG") -> bytes:
    """
    Return a picture; without Pillow, a small PNG of one colour.

    :param kind: ``scene``: a person in a place; ``person``: a person before a plain light background.
    :param number: 0 to 5 show six people; further numbers repeat them.
    :param form: file format.
    :returns: the file.
    """
    if not HAS_PILLOW:
        return flat_png(f"{kind} {number}")
    from airflow_provider_segmind.emulator import paint

    return paint.converted((_FOLDER / f"{kind}-{number % _NUMBERS}.webp").read_bytes(), form)


def flat_png(seed: str) -> bytes:
    """Return a small PNG of one colour, made without Pillow; the seed decides the colour."""
    width, height = _FLAT_SIZE
    colour = bytes(64 + byte // 2 for byte in hashlib.sha256(seed.encode()).digest()[:3])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\x00" + colour * width) * height
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
