"""A flat PNG made without Pillow."""

from __future__ import annotations

import hashlib
import struct
import zlib

HOW_TO_GET_PICTURES = "pip install pillow"
WIDTH, HEIGHT = 96, 128


def flat_png(seed: str) -> bytes:
    """Return a small PNG of one colour, which the seed decides."""
    colour = bytes(64 + byte // 2 for byte in hashlib.sha256(seed.encode()).digest()[:3])
    rows = (b"\x00" + colour * WIDTH) * HEIGHT
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
