"""
Find what decoders put up with in a file: wrong checksums and missing ends.

A file of which a part was lost still decodes, to a picture with other pixels: it must be found before it is paid for.
"""

from __future__ import annotations

import zlib

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality.parts import PartsError, parts_of

_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
CUT = "it ends too soon, so a part is missing"
DAMAGED = "it is cut off or damaged ({})"


def check(kind: media.Format, data: bytes) -> None:
    """Raise ``PartsError`` if a file is not the one that was saved."""
    if kind is media.PNG:
        _check_png(data)


def _check_png(data: bytes) -> None:
    name = b""
    for part in parts_of(media.PNG, data):
        if part.after > len(data):
            break
        name = part.name
        checksum = int.from_bytes(data[part.end : part.after], "big")
        if name in _PIXELS and zlib.crc32(memoryview(data)[part.start + 4 : part.end]) != checksum:
            raise PartsError(DAMAGED.format(f"the checksum of {name.decode()} is wrong"))
    if name != b"IEND":
        raise PartsError(CUT)
