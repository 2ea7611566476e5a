"""
Split a picture's file before a decoder sees it, in one pass with a limited number of parts.

Decoders handle pixels carefully, but not the rest: they join many small pieces anew for each, unpack unneeded data, and
follow every pointer of an EXIF packet. So a decoder gets only the pixels and their colours; the orientation is read
here.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_segmind.api import media

_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
_SHORT = 3

_MAX_PROFILE = 2**20 - 1
"""Bytes of an unpacked colour profile that Pillow takes."""
_PNG_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SOI, _EOI, _SOS, _APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_ALONE = {0x01, *range(0xD0, _SOS)}
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_ONCE = {_APP0: b"JFIF\0", _APP14: b"Adobe"}
"""Segments that say how the colours are stored; kept once."""
_ICC = b"ICC_PROFILE\0"
_MAX_ICC = 255
"""Most segments of a colour profile: a byte counts them."""
_MAX_TABLES = 2**16
"""Most bytes of all tables before the first scan; four of quantization and eight of Huffman codes have 2,700."""


class PartsError(ValueError):
    """A file cannot be split."""


@dataclass(frozen=True)
class Parts:
    """
    A file that is safe for a decoder.

    :param data: the file with only the parts that its pixels need.
    :param orientation: EXIF's orientation, 1 to 8; 1 if there is none.
    :param size: width and height in pixels, only if the decoder would allocate them at opening.
    """

    data: bytes
    orientation: int = 1
    size: tuple[int, int] | None = None


def take_apart(kind: media.Format, data: bytes) -> Parts:
    """
    Split a file.

    :raises PartsError: if it has more parts than any encoder writes, or cannot be split.
    """
    return {media.PNG: _png, media.JPEG: _jpeg, media.WEBP: _webp}[kind](data)


def _is_small(profile: bytes) -> bool:
    """Whether Pillow takes a compressed colour profile; without it, the picture can still be read."""
    unpacking = zlib.decompressobj()
    try:
        size = len(unpacking.decompress(profile.partition(b"\0")[2][1:], _MAX_PROFILE + 1))
    except zlib.error:
        return False
    return size <= _MAX_PROFILE


def _png(data: bytes) -> Parts:
    kept, position, orientation, colours = [data[:8]], 8, 0, False
    for _ in _counted():
        if position >= len(data):
            break
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        if name == b"eXIf":
            orientation = orientation or _orientation(data, position + 8, end - 4)
        if name in _PNG_NEEDED or (name == b"iCCP" and not colours and _is_small(data[position + 8 : end - 4])):
            kept.append(data[position:end])
            colours = colours or name == b"iCCP"
        if name == b"IEND":
            break
        position = end
    return Parts(b"".join(kept), orientation or 1)


def _jpeg(data: bytes) -> Parts:
    kept, orientation, tables, icc, once = [data[:2]], 0, 0, 0, set(_ONCE)
    for marker, start, end in _segments(data):
        payload = start + 4
        if marker == _SOS:
            return Parts(b"".join((*kept, data[start:])), orientation or 1)
        if marker == _APP1 and data.startswith(_EXIF, payload):
            orientation = orientation or _orientation(data, payload, end)
        elif marker == _APP2 and data.startswith(_ICC, payload):
            icc += 1
            if icc <= _MAX_ICC:
                kept.append(data[start:end])
        elif marker in once and data.startswith(_ONCE[marker], payload):
            once.remove(marker)
            kept.append(data[start:end])
        elif not (_APP0 <= marker <= _APP15 or marker == _COM):
            tables += end - start
            if tables > _MAX_TABLES:
                raise PartsError(f"it has more than {_MAX_TABLES} bytes of tables")
            kept.append(data[start:end])
    raise PartsError("it ends before its picture begins")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the first scan; skip bytes in between."""
    position = 2
    for _ in _counted():
        found = _MARKER.search(data, position)
        if found is None:
            return
        start, marker = found.start(), found[0][1]
        position = start + 2
        if marker not in _ALONE and marker != _EOI:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        if position > len(data):
            return
        yield marker, start, position


def _webp(data: bytes) -> Parts:
    position, orientation, size = 12, 0, None
    for _ in _counted():
        if position >= len(data):
            break
        name, start = data[position : position + 4], position + 8
        end = start + int.from_bytes(data[position + 4 : start], "little")
        if name == b"EXIF":
            orientation = orientation or _orientation(data, start, end)
        size = size or _webp_size(name, data[start : start + 10])
        position = end + (end - start) % 2
    return Parts(data, orientation or 1, size)


def _webp_size(name: bytes, head: bytes) -> tuple[int, int] | None:
    """Return width and height from the canvas or the picture: RFC 9649, and RFC 6386, section 9.1."""
    if len(head) == 10 and name == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if len(head) == 10 and name == b"VP8 ":
        width, height = struct.unpack("<HH", head[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if len(head) >= 5 and name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _orientation(data: bytes, start: int, end: int) -> int:
    """Return the orientation in an EXIF packet's first directory, or 0; read no other tag and no pointer."""
    end = min(end, len(data))
    start += len(_EXIF) * data.startswith(_EXIF, start, end)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
    try:
        if order is None:
            return 0
        place = start + struct.unpack_from(f"{order}I", data, start + 4)[0]
        (count,) = struct.unpack_from(f"{order}H", data, place)
        entries = data[place + 2 : min(place + 2 + 12 * count, end)]
        for tag, form, _, value in struct.iter_unpack(f"{order}HHIH2x", entries[: len(entries) // 12 * 12]):
            if tag == _ORIENTATION:
                return value if form == _SHORT and 1 <= value <= 8 else 0
    except struct.error:
        pass  # it ends too soon: broken metadata must not make a picture unreadable
    return 0


def _counted() -> Iterator[int]:
    yield from range(media.MAX_PARTS)
    raise PartsError(f"it is in more than {media.MAX_PARTS} parts")
