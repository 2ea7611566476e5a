"""The metadata segments of a JPEG (ITU-T T.81 Annex B; XMP specification part 3, 1.1.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_segmind.provenance.refusal import counted, refusal

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0"
_MAX_PAYLOAD = 0xFFFF - 2

_SOI, _EOI, _SOS, _APP0, _APP1, _APP11 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEB
_ALONE = {0x01, *range(0xD0, 0xD8)}
_NO_FILL = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""A marker after compressed data, in which 0xFF is always followed by 0x00 or a restart marker's number."""


@dataclass(frozen=True)
class _Segment:
    marker: int
    start: int
    end: int
    payload: bytes


@dataclass(frozen=True)
class JpegParts:
    """
    A JPEG, split into its metadata segments.

    :param data: the whole file.
    :param segments: the segments before the first scan.
    """

    data: bytes
    segments: tuple[_Segment, ...]

    @classmethod
    def read(cls, data: bytes) -> JpegParts:
        """
        Split a file.

        :raises InvalidRequestError: if it is no JPEG, is cut off or is malformed.
        """
        if data[:2] != b"\xff\xd8":
            raise refusal("JPEG", "it does not begin as a JPEG does")
        segments = counted("JPEG", _segments(data))
        _find_end(data, segments[-1].end)
        return cls(data, segments[:-1])

    @property
    def packet(self) -> bytes | None:
        """Its XMP packet, without extensions."""
        found = self._xmp()
        return None if found is None else found.payload[len(_XMP) :]

    @property
    def signed(self) -> bool:
        """Whether it has a C2PA manifest: a JUMBF box in APP11 (C2PA specification, A.3.1)."""
        # After "JP": two bytes of instance, four of sequence, four of length, then the box's type.
        return any(
            s.marker == _APP11 and s.payload[:2] == b"JP" and s.payload[12:16] == b"jumb" and b"c2pa" in s.payload
            for s in self.segments
        )

    def with_packet(self, packet: bytes) -> bytes:
        """
        Return the file with this XMP packet, in the old one's place or after JFIF and EXIF, which come first.

        :raises InvalidRequestError: if the packet does not fit a segment.
        """
        payload = _XMP + packet
        if len(payload) > _MAX_PAYLOAD:
            raise refusal("JPEG", f"with the label its XMP packet has {len(packet)} bytes, more than a segment holds")
        old = self._xmp()
        start, end = (old.start, old.end) if old else (self._beginning(), self._beginning())
        segment = b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload
        return b"".join((self.data[:start], segment, self.data[end:]))

    def _xmp(self) -> _Segment | None:
        return next((s for s in self.segments if s.marker == _APP1 and s.payload.startswith(_XMP)), None)

    def _beginning(self) -> int:
        end = 2
        for segment in self.segments:
            if segment.marker != _APP0 and not (segment.marker == _APP1 and segment.payload.startswith(_EXIF)):
                break
            end = segment.end
        return end


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the first start of scan, which is included."""
    position = 2
    while True:
        segment = _segment(data, position)
        yield segment
        if segment.marker == _SOS:
            return
        position = segment.end


def _segment(data: bytes, position: int) -> _Segment:
    start = position
    if data[position : position + 1] != b"\xff":
        raise refusal("JPEG", f"there is no marker at byte {position}, where the file ends or is damaged")
    other = _NO_FILL.search(data, position)
    position = len(data) if other is None else other.start()
    if position >= len(data):
        raise refusal("JPEG", "it ends before its picture begins")
    marker = data[position]
    position += 1
    if marker in _ALONE:
        return _Segment(marker, start, position, b"")
    if marker in (0x00, _SOI, _EOI):
        raise refusal("JPEG", f"marker 0x{marker:02X} at byte {start} does not belong before its picture")
    length = int.from_bytes(data[position : position + 2], "big")
    if length < 2 or position + length > len(data):
        raise refusal("JPEG", f"the segment 0x{marker:02X} at byte {start} is cut off or has a wrong length")
    return _Segment(marker, start, position + length, data[position + 2 : position + length])


def _find_end(data: bytes, position: int) -> None:
    """Read all scans, and raise if the end of the file is missing."""
    counted("JPEG", _until_end(data, position))


def _until_end(data: bytes, position: int) -> Iterator[int]:
    while found := _MARKER.search(data, position):
        if found[0][1] == _EOI:
            return
        position = _segment(data, found.start()).end
        yield position
    raise refusal("JPEG", "its end is missing: the download was cut off")
