"""
Find what decoders put up with in a file: wrong checksums, holes and missing ends.

A file of which a part was lost still decodes, to a picture with other pixels: it must be found before it is paid for.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality import av1
from airflow_provider_segmind.quality.parts import EOI, SOS, PartsError, hole_of, parts_of, webp_size

CUT = "it ends too soon, so a part is missing"
_DAMAGED = "it is cut off or damaged ({})"
_ZEROS = "a part of it is zeros"
_HOLES = "a part of it was never written"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_HOLE = bytes(2048)
"""A part of a file that was never written."""
_ERASED = b"\xff" * 256
"""The same on flash memory; coders write two of these bytes in a row."""
_AFTER_FILL = (EOI, SOS, b"\xc4", b"\xdb", b"\xdc", b"\xdd")
"""Markers that may follow a scan, and have any number of the same bytes before them."""
_TEXT = re.compile(rb"[\t\n\r -~]{200,}")
_SURE = 16
"""Line breaks by which a file shows what was done to all of them."""
_TABLES, _SEQUENTIAL, _PROGRESSIVE = b"\xc4", (b"\xc0", b"\xc1"), b"\xc2"
"""Markers of a JPEG coded by Huffman (ITU-T T.81, table B.1)."""
_MORE = b"".join(bytes(range(255)) + bytes((0xFF, 0xD0 + number % 8)) for number in range(16))
"""Data that show if a JPEG lacks some, with the marks at which a decoder goes on."""


def check(kind: media.Format, data: bytes) -> None:
    """Raise ``PartsError`` if a file is not the one that was saved."""
    if kind is media.PNG:
        _check_png(data)
    elif kind is media.JPEG:
        _check_jpeg(data)
    else:
        # The length of a WebP is that of the picture alone; a file may follow it.
        end = 8 + int.from_bytes(data[4:8], "little") if kind is media.WEBP else len(data)
        if data.find(data[:64], 64, end) >= 0:
            raise PartsError(_DAMAGED.format("it begins anew in the middle"))
        for start, end, hole in _coded(kind, data):
            if data.find(hole, start, end) >= 0:
                raise PartsError(_DAMAGED.format(_ZEROS))
            if data.find(_ERASED, start, end) >= 0:
                raise PartsError(_DAMAGED.format(_HOLES))
    if kind is not media.PNG and _was_text(data):
        raise PartsError(_DAMAGED.format("it was copied as text, which changes line breaks: copy it as binary"))


def _was_text(data: bytes) -> bool:
    """Whether each LF got a CR before it: among compressed pixels, one of 256 has it."""
    if data.count(b"\n") != data.count(b"\r\n"):
        return False
    pixels = _TEXT.sub(b"", data)
    breaks = pixels.count(b"\r\n")
    return breaks >= _SURE and pixels.count(b"\r") - breaks >= _SURE // 4


def _coded(kind: media.Format, data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield where compressed pixels of a WebP, HEIC or AVIF are, with more zeros than they have."""
    # A lossless WebP can have any number: half a byte for each pixel of one colour.
    located = inline = 0
    for part in parts_of(kind, data):
        if part.name == b"VP8 " and kind is media.WEBP:
            yield part.body, part.end, hole_of(part.name, webp_size(part.name, data[part.body : part.body + 10]))
        elif part.name == b"iloc":
            located = part.body
        elif part.name == b"idat":
            inline = part.body
    if located:
        is_picture = av1.is_picture if kind is media.AVIF else _is_hevc
        for start, end in av1.items(data, located, inline):
            if is_picture(data, start):
                yield start, end, hole_of(b"", None)


def _is_hevc(data: bytes, start: int) -> bool:
    """Whether an item begins with a length and the header of a unit (ITU-T H.265, 7.3.1.2), as metadata do not."""
    return int.from_bytes(data[start : start + 4], "big") > 8 and data[start + 4] < 128 and data[start + 5] & 7 == 1


def longer(jpeg: bytes) -> bytes:
    """Return a JPEG that ``take_apart`` has split with more data at its end: if it was whole, no pixel changes."""
    return jpeg[:-2] + _MORE + jpeg[-2:]


def _check_png(data: bytes) -> None:
    name = b""
    for part in parts_of(media.PNG, data):
        if part.after > len(data):
            break
        name = part.name
        checksum = int.from_bytes(data[part.end : part.after], "big")
        if name in _PIXELS and zlib.crc32(memoryview(data)[part.start + 4 : part.end]) != checksum:
            raise PartsError(_DAMAGED.format(f"the checksum of {name.decode()} is wrong"))
    if name != b"IEND":
        raise PartsError(CUT)


def _check_jpeg(data: bytes) -> None:
    """Look for holes in the scans, and for scans that are missing."""
    progressive, codes, begin, luma, scan = False, dict[int, int](), 0, 0, 0
    missing: set[int] = set()  # channels; of a progressive one, frequencies of the first channel
    for part in parts_of(media.JPEG, data):
        body = data[part.body : part.end]
        if begin and data.find(_HOLE, begin, part.start) >= 0:
            raise PartsError(_DAMAGED.format(_ZEROS))
        erased = data.find(_ERASED, scan, part.start) if scan else -1
        if erased >= 0 and (part.name not in _AFTER_FILL or data[erased : part.start].strip(b"\xff")):
            raise PartsError(_DAMAGED.format(_HOLES))
        begin = scan = 0
        if part.name == EOI:
            break
        if part.name == _TABLES:
            codes.update(_codes_of_zeros(body))
        elif part.name in (*_SEQUENTIAL, _PROGRESSIVE):
            progressive, luma = part.name == _PROGRESSIVE, body[6]
            missing = set(range(64)) if progressive else set(body[6::3])
        elif part.name == SOS:
            scan = part.after
            channels, tables, (first, last, bits) = body[1:-3:2], body[2:-3:2], body[-3:]
            if not progressive:
                missing -= set(channels)
            elif luma in channels and not bits & 15:
                missing -= set(range(first, last + 1))
            begin = 0 if _may_be_zeros(codes, tables, first, bits, progressive=progressive) else part.after
    if missing:
        raise PartsError(CUT)


def _may_be_zeros(codes: dict[int, int], tables: bytes, first: int, bits: int, *, progressive: bool) -> bool:
    """Whether a scan of one colour can be all zeros; in any other, these are numbers that no picture has."""
    direct = {codes.get(number >> 4, 0) for number in tables} if first == 0 else set()
    others = {codes.get(16 + (number & 15), 0) for number in tables} if first or not progressive else set()
    if not progressive:
        return direct | others == {0}
    # What makes numbers more exact are bits without a code. Else, the upper half of a byte counts blocks that end.
    return bits > 15 or (not any(direct) and all(code & 15 == 0 and code != 0xF0 for code in others))


def _codes_of_zeros(tables: bytes) -> Iterator[tuple[int, int]]:
    """Yield for each table of Huffman codes its number, and what its shortest code means, which is of zeros."""
    position = 0
    while position < len(tables):
        yield tables[position], tables[position + 17]
        position += 17 + sum(tables[position + 1 : position + 17])
