"""The picture formats that Segmind accepts, and the limits on pictures for all code that opens them."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES = 50 * 2**20
"""Largest file in bytes; it is held in memory as a whole."""
MAX_PIXELS = 64_000_000
"""Most decoded pixels of one picture, and of all that one process decodes at the same time."""
MAX_PARTS = 2**15
"""Most chunks or segments of a file; 50 MiB in pieces of 8 KiB, as libpng writes them, has 6,400."""


@dataclass(frozen=True)
class Format:
    """
    A picture format.

    :param beginning: matches the first bytes of every such file.
    """

    name: str
    media_type: str
    suffix: str
    beginning: re.Pattern[bytes]


PNG = Format("PNG", "image/png", ".png", re.compile(rb"\x89PNG\r\n\x1a\n"))
JPEG = Format("JPEG", "image/jpeg", ".jpg", re.compile(rb"\xff\xd8\xff"))
WEBP = Format("WebP", "image/webp", ".webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL))
FORMATS = (PNG, JPEG, WEBP)
NAMES = f"{', '.join(known.name for known in FORMATS[:-1])} or {FORMATS[-1].name}"
"""The formats, for messages."""


def format_of(data: bytes) -> Format | None:
    """Return the format of a picture by its first bytes; ``None`` if Segmind does not accept it."""
    return next((known for known in FORMATS if known.beginning.match(data)), None)


def media_type_of(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes; ``None`` if Segmind does not accept it."""
    known = format_of(data)
    return None if known is None else known.media_type
