"""
Split a picture's file into its parts without a decoder: the only code that knows how the formats are built.

Decoders handle pixels carefully, but not the rest: they join many small pieces anew for each, unpack unneeded data, and
follow every pointer of an EXIF packet. So a decoder gets only the pixels and their colours; what EXIF says of these and
of the orientation is read here. The walk is one pass with a limited number of parts, and it goes on past what is wrong:
a picture with broken metadata can still be read. Who writes into a file must look at each part's end.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality import av1

SOI, EOI, SOS, APP0, APP1, APP2, APP11, APP14, COM = (bytes([code]) for code in b"\xd8\xd9\xda\xe0\xe1\xe2\xeb\xee\xfe")
"""Markers of a JPEG (ITU-T T.81, table B.1)."""
ALONE = frozenset(bytes([code]) for code in (0x01, *range(0xD0, 0xDA)))
"""Markers without a length."""

_EXIF = b"Exif\0\0"
_ORIENTATION, _EXIF_TAGS, _COLOUR_SPACE, _INTEROPERABILITY = 0x0112, 0x8769, 0xA001, 0xA005
_ASCII, _SHORT, _LONG = 2, 3, 4
SRGB, ADOBE_RGB = 1, 0
"""Primaries by their numbers in ITU-T H.273, in which Adobe RGB has none."""
Colours = tuple[int, float | None]
"""Primaries, and the gamma of their levels; ``None``: the curve of sRGB."""
_GREENS: dict[tuple[int, ...], int] = {(21000, 71000): ADOBE_RGB, (26500, 69000): 12, (17000, 79700): 9}
"""Primaries by the x and y of green in a PNG."""
_USUAL_GAMMA = range(43_000, 48_000)
"""Of a PNG, in 100,000ths: what programs write for sRGB."""
_MAX_PROFILE = 2**20 - 1
"""Bytes of an unpacked colour profile that Pillow takes."""
_PNG_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_IN_SCAN = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
"""In compressed data, 0xFF is always followed by 0x00 or a restart marker's number."""
_ONCE = {APP0: b"JFIF\0", APP14: b"Adobe"}
"""Segments that say how the colours are stored; kept once."""
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
"""The list of further pictures in the same file (CIPA DC-007)."""
_SEQUENTIAL = (b"\xc0", b"\xc1")
"""Frames that are one scan if it has all channels; else the decoder holds a whole picture."""
_MAX_ICC = 255
"""Most segments of a colour profile: a byte counts them."""
_WHOLE = {b"meta", b"mdat"}
_BOXES_IN = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iref": 4}
"""Boxes with boxes in them, and the bytes before these."""
_MAX_TABLES = 2**16
"""Most bytes of all tables before the first scan; four of quantization and eight of Huffman codes have 2,700."""


class PartsError(ValueError):
    """A file cannot be split."""


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk or segment as its own length says, which may be wrong: positions can be behind the end of the file."""

    name: bytes  # four letters, or a JPEG's marker without 0xFF
    start: int  # of the whole part
    body: int  # where its content begins
    end: int  # behind its content
    after: int  # behind the whole part, with checksum or padding


@dataclass(frozen=True)
class Decodable:
    """A file that is safe for a decoder: only the parts that its pixels need."""

    data: bytes
    orientation: int = 1  # EXIF's, 1 to 8
    size: tuple[int, int] | None = None  # in pixels, only if the decoder would allocate them at opening
    deep: bool = False  # whether a channel has 16 bits
    several: bool = False  # whether further pictures follow, as in a MPO
    streamed: bool = False  # whether a decoder that scales down never holds all pixels
    coded: frozenset[tuple[int, int]] = frozenset()  # primaries and curves of its pictures by number (ITU-T H.273)
    colours: Colours = (SRGB, None)  # if it has no profile


def parts_of(kind: media.Format, data: bytes) -> Iterator[Part]:
    """Yield a file's parts, up to the limit: of a PNG up to ``IEND``, of a WebP to its own end, of a JPEG no pixels."""
    for number, part in enumerate(_WALK[kind](data)):
        if number == media.MAX_PARTS:
            raise PartsError(f"it is in more than {media.MAX_PARTS} parts")
        yield part


def take_apart(kind: media.Format, data: bytes) -> Decodable:
    """Return what a decoder needs of a file; raise ``PartsError`` if it cannot be split."""
    return _SPLIT[kind](data)


def hole_of(name: bytes, size: tuple[int, int] | None) -> bytes:
    """Return more zeros than compressed pixels have; a flat WebP, if it is not lossless, has 10 for 16 x 16 pixels."""
    return bytes(max(1024, size[0] * size[1] // 16 if size and name == b"VP8 " else 0))


def webp_size(name: bytes, head: bytes) -> tuple[int, int] | None:
    """Return width and height from the first ten bytes of a WebP's canvas or picture: RFC 9649; RFC 6386, 9.1."""
    if len(head) == 10 and name == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if len(head) == 10 and name == b"VP8 ":
        width, height = struct.unpack("<HH", head[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if len(head) >= 5 and name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _png_parts(data: bytes) -> Iterator[Part]:
    position, name = 8, b""
    while position < len(data) and name != b"IEND":
        body, name = position + 8, data[position + 4 : position + 8]
        end = body + int.from_bytes(data[position : position + 4], "big")
        yield Part(name, position, body, end, end + 4)
        position = end + 4


def _jpeg_parts(data: bytes) -> Iterator[Part]:
    position, marker = 2, _MARKER
    while found := marker.search(data, position):
        start, name = found.start(), found[1]
        body = end = start + 2
        if name not in ALONE:
            body, end = start + 4, start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        position = max(body, end)
        yield Part(name, start, body, end, position)
        if name == SOS:
            marker = _MARKER_IN_SCAN


def _webp_parts(data: bytes) -> Iterator[Part]:
    position = 12
    whole = min(8 + int.from_bytes(data[4:8], "little"), len(data))
    while position < whole:
        body = position + 8
        size = int.from_bytes(data[position + 4 : body], "little")
        after = body + size + size % 2
        yield Part(data[position : position + 4], position, body, body + size, after)
        position = after


def _png(data: bytes) -> Decodable:
    kept, orientation, profile, coded = [data[:8]], 0, False, set()
    several, said = False, dict[bytes, tuple[int, ...]]()
    for part in parts_of(media.PNG, data):
        if part.name == b"eXIf":
            orientation = orientation or _orientation(data, part)
        elif part.name == b"iCCP" and not profile:
            profile = _is_small(data[part.body : part.end])
            kept += [data[part.start : part.after]] * profile
        elif part.name == b"cICP" and part.end <= len(data):
            coded.add((data[part.body], data[part.body + 1]))
        elif part.name == b"fdAT":  # a frame of an animation beside the picture
            several = True
        elif part.name in (b"gAMA", b"cHRM", b"sRGB"):
            content = data[part.body : min(part.end, part.body + 32)]
            said[part.name] = struct.unpack(f">{len(content) // 4}I", content[: len(content) // 4 * 4])
        elif part.name in _PNG_NEEDED:
            kept.append(data[part.start : part.after])
    deep, colours = data[24:25] == b"\x10", _colours_of_png(said)
    numbers = frozenset(coded)
    return Decodable(b"".join(kept), orientation or 1, deep=deep, several=several, coded=numbers, colours=colours)


def _colours_of_png(said: dict[bytes, tuple[int, ...]]) -> Colours:
    primaries = _GREENS.get(said.get(b"cHRM", ())[4:6], SRGB)
    (level,) = said.get(b"gAMA", ())[:1] or (0,)
    usual = level in _USUAL_GAMMA and primaries == SRGB
    if b"sRGB" in said:
        return SRGB, None
    return primaries, None if usual or not 10_000 <= level <= 500_000 else 100_000 / level


def _jpeg(data: bytes) -> Decodable:
    kept, orientation, tables, icc, once = [data[:2]], 0, 0, 0, dict(_ONCE)
    several, channels, colours = False, b"", Decodable.colours
    parts = parts_of(media.JPEG, data)
    for part in parts:
        if part.after > len(data):
            break
        name, body, whole = part.name, part.body, data[part.start : part.after]
        if name == SOS:
            kept.append(data[part.start : _end_of_jpeg(parts)])
            streamed = data[body : body + 1] == channels
            return Decodable(b"".join(kept), orientation or 1, several=several, streamed=streamed, colours=colours)
        if name == APP1 and data.startswith(_EXIF, body):
            orientation = orientation or _orientation(data, part)
            if _is_adobe_rgb(data, part):
                colours = ADOBE_RGB, 563 / 256
        elif name == APP2 and data.startswith(_ICC, body):
            icc += 1
            if icc <= _MAX_ICC:
                kept.append(whole)
        elif name == APP2 and data.startswith(_MPF, body):
            several = True
        elif name in once and data.startswith(once[name], body):
            del once[name]
            kept.append(whole)
        elif not (APP0 <= name <= b"\xef" or name == COM):
            tables += len(whole)
            if tables > _MAX_TABLES:
                raise PartsError(f"it has more than {_MAX_TABLES} bytes of tables")
            if name in _SEQUENTIAL:
                channels = data[body + 5 : body + 6]
            kept.append(whole)
    raise PartsError("it ends before its picture begins")


def _end_of_jpeg(parts: Iterator[Part]) -> int:
    """Return where the first picture ends; what follows is another, a film, or nothing."""
    for part in parts:
        if part.name == EOI:
            return part.after
    # A decoder takes zeros for pixels, so a copy that stopped half-way shows only by this.
    raise PartsError("it ends too soon, so a part is missing")


def _webp(data: bytes) -> Decodable:
    orientation, size, last, frames = 0, None, b"", 0
    whole = 8 + int.from_bytes(data[4:8], "little")
    for part in parts_of(media.WEBP, data):
        if part.name == b"EXIF":
            orientation = orientation or _orientation(data, part)
        frames += part.name == b"ANMF"
        size, last = size or webp_size(part.name, data[part.body : part.body + 10]), part.name
    if data.endswith(hole_of(last, size), 0, whole) and last in (b"VP8 ", b"VP8L", b"ANMF"):
        raise PartsError("it ends in zeros, so a part is missing")
    return Decodable(data, orientation or 1, size, several=frames > 1)


def _boxed(data: bytes) -> Decodable:
    """Return a HEIC or AVIF without its metadata, which can be packed, and with the size of its largest picture."""
    hidden, sizes, coded = bytearray(), [], set()
    located = inline = 0
    for part in parts_of(media.HEIC, data):
        if part.name == b"ispe" and part.end - part.body >= 12:
            sizes.append(struct.unpack_from(">II", data, part.body + 4))
        elif part.name == b"colr" and data.startswith(b"nclx", part.body) and part.end - part.body >= 8:
            coded.add(struct.unpack_from(">HH", data, part.body + 4))
        elif part.name == b"cdsc":  # says which picture a metadata item describes
            hidden = hidden or bytearray(data)
            hidden[part.start + 4 : part.start + 8] = b"free"
        elif part.name == b"iloc":
            if located:
                raise PartsError("it says twice where its pictures are")
            located = part.body
        elif part.name == b"idat":
            inline = part.body
        elif part.name == b"moov" and media.AVIF.beginning.match(data):
            raise PartsError("it is an animation, of which no picture can be read")
    if located and media.AVIF.beginning.match(data):  # the decoder of HEIC looks itself
        sizes += av1.sizes(data, located, inline)
    largest = max(sizes, key=lambda size: size[0] * size[1], default=None)
    return Decodable(bytes(hidden) or data, size=largest, coded=frozenset(coded))


def _all_boxes(data: bytes) -> Iterator[Part]:
    return _boxes(data, 0, len(data))


def _boxes(data: bytes, position: int, end: int) -> Iterator[Part]:
    """Yield each box of a HEIC or AVIF, and those in it that matter here; ISO/IEC 14496-12, 23008-12."""
    seen: set[bytes] = set()
    while position + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, position)
        if seen >= _WHOLE and not name.isalnum():
            return  # a phone's own notes behind its boxes
        seen.add(name)
        body = position + 8
        if size == 1:
            size, body = int.from_bytes(data[body : body + 8], "big"), body + 8
        after = position + size if size else end
        if after > end or after < body:
            raise PartsError("it ends too soon, so a part is missing")  # a decoder puts up with missing tiles
        yield Part(name, position, body, after, after)
        if name in _BOXES_IN:
            yield from _boxes(data, body + _BOXES_IN[name], after)
        position = after


_WALK = {
    media.PNG: _png_parts,
    media.JPEG: _jpeg_parts,
    media.WEBP: _webp_parts,
    media.HEIC: _all_boxes,
    media.AVIF: _all_boxes,
}
_SPLIT = {media.PNG: _png, media.JPEG: _jpeg, media.WEBP: _webp, media.HEIC: _boxed, media.AVIF: _boxed}


def _is_small(profile: bytes) -> bool:
    """Whether Pillow takes a compressed colour profile; without it, the picture can still be read."""
    unpacking = zlib.decompressobj()
    try:
        size = len(unpacking.decompress(profile.partition(b"\0")[2][1:], _MAX_PROFILE + 1))
    except zlib.error:
        return False
    return size <= _MAX_PROFILE


def _orientation(data: bytes, part: Part) -> int:
    """Return the orientation in an EXIF packet's first directory, or 0."""
    value = _tags(data, part).get(_ORIENTATION, 0)
    return value if 1 <= value <= 8 else 0


def _is_adobe_rgb(data: bytes, part: Part) -> bool:
    """Whether a camera says so, by the rules of its files (DCF 2.0), where it writes no profile."""
    if _tags(data, part, _EXIF_TAGS).get(_COLOUR_SPACE) != 0xFFFF:
        return False
    return _tags(data, part, _EXIF_TAGS, _INTEROPERABILITY).get(1) == int.from_bytes(b"R03\0", "big")


def _tags(data: bytes, part: Part, *pointers: int) -> dict[int, int]:
    """Return the numbers and short texts in an EXIF packet's first directory, or in the one that pointers lead to."""
    start, end = part.body, min(part.end, len(data))
    start += len(_EXIF) * data.startswith(_EXIF, start, end)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
    if order is None:
        return {}
    tags: dict[int, int] = {}
    try:
        (place,) = struct.unpack_from(f"{order}I", data, start + 4)
        for pointer in (*pointers, None):
            (count,) = struct.unpack_from(f"{order}H", data, start + place)
            begin = start + place + 2
            entries = data[begin : min(begin + 12 * count, end)]
            tags = {}
            for tag, form, _, raw in struct.iter_unpack(f"{order}HHI4s", entries[: len(entries) // 12 * 12]):
                if form in (_SHORT, _LONG) and tag not in tags:
                    tags[tag] = struct.unpack_from(order + "HI"[form == _LONG], raw)[0]
                elif form == _ASCII:
                    tags.setdefault(tag, int.from_bytes(raw, "big"))
            if pointer is not None:
                place = tags.get(pointer, len(data))
    except struct.error:
        return {}  # it ends too soon: broken metadata must not make a picture unreadable
    return tags
