"""Find and replace the XMP packet in a PNG, JPEG or WebP, and keep every other byte."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import JPEG, PNG, WEBP, Format, format_of
from airflow_provider_segmind.quality.parts import (
    APP0,
    APP1,
    APP11,
    EOI,
    SOI,
    SOS,
    Part,
    PartsError,
    parts_of,
    webp_size,
)

MAX_PACKET = 2**20
"""Largest packet to read, in bytes; Photoshop writes half of it for a long history."""
_MAX_SEGMENT = 0xFFFF - 2
_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


def refusal(kind: str, reason: str) -> InvalidRequestError:
    """Return the error for a picture whose metadata cannot be read or written; ``reason`` ends a sentence."""
    return InvalidRequestError(
        f"The {kind} picture cannot be labelled: {reason}. Its bytes were not changed. Keep the file as it is. "
        "Before you publish the picture, check it and label it."
    )


class Container(ABC):
    """A picture's file, split into its parts; raises if it is of another format, is cut off or is malformed."""

    kind: Format
    xmp: tuple[bytes, bytes]
    """Name and beginning of the part that holds its XMP packet."""
    manifest: bytes
    """Name of the part that holds a C2PA manifest."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        if format_of(data) is not self.kind:
            raise self._refusal(f"it does not begin as a {self.kind.name} does")
        try:
            self.parts = tuple(self._split())
        except PartsError as problem:
            raise self._refusal(str(problem)) from None

    @property
    def packet(self) -> bytes | None:
        """Its XMP packet, of a JPEG without extensions."""
        found = self._xmp()
        return None if found is None else self._text(self._body(found)[len(self.xmp[1]) :])

    @property
    def signed(self) -> bool:
        """Whether it has a C2PA manifest."""
        return any(part.name == self.manifest and self._is_manifest(self._body(part)) for part in self.parts)

    @abstractmethod
    def with_packet(self, packet: bytes) -> bytes:
        """Return the file with this XMP packet instead of its own, or raise if it has no room for it."""

    @abstractmethod
    def _split(self) -> Iterator[Part]: ...

    def _text(self, body: bytes) -> bytes:
        return body

    def _is_manifest(self, body: bytes) -> bool:
        return True

    def _xmp(self) -> Part | None:
        name, begin = self.xmp
        return next((p for p in self.parts if p.name == name and self.data.startswith(begin, p.body, p.end)), None)

    def _body(self, part: Part) -> bytes:
        return self.data[part.body : part.end]

    def _walk(self, data: bytes) -> Iterator[Part]:
        for part in parts_of(self.kind, data):
            if not part.body <= part.end <= len(data):
                raise self._refusal(f"the part {_shown(part)} is cut off or has a wrong length")
            yield part

    def _refusal(self, reason: str) -> InvalidRequestError:
        return refusal(self.kind.name, reason)


class Png(Container):
    """PNG specification, third edition; XMP specification part 3, 1.1.5; C2PA specification, A.3.2."""

    kind, xmp, manifest = PNG, (b"iTXt", b"XML:com.adobe.xmp\0"), b"caBX"

    def with_packet(self, packet: bytes) -> bytes:
        """Return the file with this packet right after the header: uncompressed, as XMP asks, without a language."""
        body = b"".join(self.xmp) + b"\0\0\0\0" + packet
        chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        header, old = self.parts[0].after, self._xmp()
        start, after = (header, header) if old is None else (old.start, old.after)
        return b"".join((self.data[:header], chunk, self.data[header:start], self.data[after:]))

    def _split(self) -> Iterator[Part]:
        names, view = [], memoryview(self.data)
        for part in self._walk(self.data):
            if zlib.crc32(view[part.start + 4 : part.end]).to_bytes(4, "big") != view[part.end : part.after]:
                raise self._refusal(f"the chunk {_shown(part)} is damaged: its checksum is wrong")
            names.append(part.name)
            yield part
        if names[:1] != [b"IHDR"] or b"IDAT" not in names:
            raise self._refusal("it has no picture")
        if names[-1] != b"IEND":
            raise self._refusal("its end is missing: the download was cut off")

    def _text(self, body: bytes) -> bytes:
        """Return the text of an ``iTXt`` chunk, which may be compressed."""
        flags, fields = body[:2], body[2:].split(b"\0", 2)
        if len(fields) != 3 or flags not in (b"\0\0", b"\x01\0"):
            raise self._refusal("its XMP chunk is malformed")
        if flags[0] == 0:
            return fields[2]
        unpack = zlib.decompressobj()
        try:
            text = unpack.decompress(fields[2], MAX_PACKET + 1)
        except zlib.error as error:
            raise self._refusal(f"its XMP chunk cannot be unpacked ({error})") from error
        if not unpack.eof and len(text) <= MAX_PACKET:
            raise self._refusal("its compressed XMP chunk is cut off")
        return text


class Jpeg(Container):
    """ITU-T T.81, Annex B; XMP specification part 3, 1.1.3; C2PA specification, A.3.1. It keeps parts before scans."""

    kind, xmp, manifest = JPEG, (APP1, b"http://ns.adobe.com/xap/1.0/\0"), APP11

    def with_packet(self, packet: bytes) -> bytes:
        """Return the file with this packet in the old one's place, or after JFIF and EXIF, which come first."""
        body = self.xmp[1] + packet
        if len(body) > _MAX_SEGMENT:
            raise self._refusal(f"with the label its XMP packet has {len(packet)} bytes, more than a segment holds")
        old = self._xmp()
        start, after = (old.start, old.after) if old else (self._beginning(), self._beginning())
        segment = b"\xff" + APP1 + (len(body) + 2).to_bytes(2, "big") + body
        return b"".join((self.data[:start], segment, self.data[after:]))

    def _split(self) -> Iterator[Part]:
        position, in_scan = 2, False
        for part in self._walk(self.data):
            if not in_scan and self.data[position : part.start].strip(b"\xff"):
                raise self._refusal(f"there is no marker at byte {position}, where the file is damaged")
            if in_scan and part.name == EOI:
                return
            if part.name in (SOI, EOI):
                raise self._refusal(f"the marker {_shown(part)} does not belong before its picture")
            in_scan = in_scan or part.name == SOS
            if not in_scan:
                yield part
            position = part.after
        raise self._refusal(
            "its end is missing: the download was cut off" if in_scan else "it ends before its picture begins"
        )

    def _is_manifest(self, body: bytes) -> bool:
        # After "JP": two bytes of instance, four of sequence, four of length, then the box's type.
        return body[:2] == b"JP" and body[12:16] == b"jumb" and b"c2pa" in body

    def _beginning(self) -> int:
        end = 2
        for part in self.parts:
            if part.name != APP0 and not (part.name == APP1 and self.data.startswith(b"Exif\0", part.body, part.end)):
                break
            end = part.after
        return end


class Webp(Container):
    """RFC 9649, section 2; C2PA specification, A.3.5. What follows the RIFF's own length stays as it is."""

    kind, xmp, manifest = WEBP, (b"XMP ", b""), b"C2PA"

    def with_packet(self, packet: bytes) -> bytes:
        """Return the file with this packet in the old one's place or as the last chunk, and a header that says so."""
        chunks = [(part.name, self._body(part)) for part in self.parts]
        place = next((i for i, (name, _) in enumerate(chunks) if name == b"XMP "), len(chunks))
        chunks[place : place + 1] = [(b"XMP ", packet)]
        header = (b"VP8X", self._header(*chunks[0]))
        chunks = [header, *(chunks[1:] if chunks[0][0] == b"VP8X" else chunks)]
        padded = (name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2) for name, body in chunks)
        whole = b"WEBP" + b"".join(padded)
        return b"".join((b"RIFF", len(whole).to_bytes(4, "little"), whole, self.data[self._size :]))

    @property
    def _size(self) -> int:
        return 8 + int.from_bytes(self.data[4:8], "little")

    def _split(self) -> Iterator[Part]:
        if self._size > len(self.data):
            raise self._refusal(f"it has {len(self.data)} of {self._size} bytes: the download was cut off")
        has_picture = False
        for part in self._walk(self.data[: self._size]):
            has_picture = has_picture or part.name in (b"VP8 ", b"VP8L", b"ANMF")
            yield part
        if not has_picture:
            raise self._refusal("it has no picture")

    def _header(self, name: bytes, body: bytes) -> bytes:
        """Return the extended header, which a simple file lacks: flags, then each side less one in 24 bits."""
        if name == b"VP8X":
            if len(body) < 10:
                raise self._refusal("its header VP8X is too short")
            return bytes([body[0] | _HAS_XMP]) + body[1:]
        size = webp_size(name, body[:10])
        if size is None or 0 in size or not (body[3:6] == b"\x9d\x01\x2a" if name == b"VP8 " else body[0] == 0x2F):
            raise self._refusal(f"its first chunk {name!r} has no size that can be read")
        flags = _HAS_XMP | (_HAS_ALPHA if name == b"VP8L" and body[4] & 0x10 else 0)
        return bytes([flags, 0, 0, 0]) + b"".join((side - 1).to_bytes(3, "little") for side in size)


def _shown(part: Part) -> str:
    name = f"0x{part.name.hex().upper()}" if len(part.name) == 1 else repr(part.name)
    return f"{name} at byte {part.start}"
