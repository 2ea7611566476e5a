"""The metadata chunks of a WebP (RFC 9649, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_segmind.provenance.refusal import counted, refusal

_HAS_XMP, _HAS_ALPHA = 0x04, 0x10
_PICTURES = (b"VP8 ", b"VP8L", b"ANMF")


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    payload: bytes


@dataclass(frozen=True)
class WebpParts:
    """
    A WebP, split into its chunks.

    :param trailer: the bytes after the last chunk.
    """

    chunks: tuple[_Chunk, ...]
    trailer: bytes

    @classmethod
    def read(cls, data: bytes) -> WebpParts:
        """
        Split a file.

        :raises InvalidRequestError: if it is no WebP, is cut off or is malformed.
        """
        if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
            raise refusal("WebP", "it does not begin as a WebP does")
        end = 8 + int.from_bytes(data[4:8], "little")
        if end > len(data):
            raise refusal("WebP", f"it has {len(data)} of {end} bytes: the download was cut off")
        chunks = counted("WebP", _chunks(data[:end]))
        if all(chunk.kind not in _PICTURES for chunk in chunks):
            raise refusal("WebP", "it has no picture")
        return cls(chunks, data[end:])

    @property
    def packet(self) -> bytes | None:
        """Its XMP packet."""
        return next((chunk.payload for chunk in self.chunks if chunk.kind == b"XMP "), None)

    @property
    def signed(self) -> bool:
        """Whether it has a C2PA manifest: a chunk ``C2PA`` (C2PA specification, A.3.5)."""
        return any(chunk.kind == b"C2PA" for chunk in self.chunks)

    def with_packet(self, packet: bytes) -> bytes:
        """
        Return the file with this XMP packet, in the old one's place or as the last chunk.

        :raises InvalidRequestError: if the picture's size, which the new header needs, cannot be read.
        """
        head, *rest = self.chunks
        chunks = [_extended(head), *rest] if head.kind == b"VP8X" else [_header_for(head), head, *rest]
        place = next((i for i, chunk in enumerate(chunks) if chunk.kind == b"XMP "), len(chunks))
        chunks[place : place + 1] = [_Chunk(b"XMP ", packet)]
        body = b"WEBP" + b"".join(part for chunk in chunks for part in _bytes_of(chunk))
        return b"".join((b"RIFF", len(body).to_bytes(4, "little"), body, self.trailer))


def _chunks(data: bytes) -> Iterator[_Chunk]:
    position = 12
    while position < len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        start = position + 8
        if start + size > len(data):
            raise refusal("WebP", f"the chunk at byte {position} is cut off or has a wrong length")
        yield _Chunk(data[position : position + 4], data[start : start + size])
        position = start + size + size % 2


def _bytes_of(chunk: _Chunk) -> tuple[bytes, ...]:
    size = len(chunk.payload)
    return chunk.kind, size.to_bytes(4, "little"), chunk.payload, b"\0" * (size % 2)


def _extended(head: _Chunk) -> _Chunk:
    """Return the header with the XMP flag set."""
    if len(head.payload) < 10:
        raise refusal("WebP", "its header VP8X is too short")
    return _Chunk(b"VP8X", bytes([head.payload[0] | _HAS_XMP]) + head.payload[1:])


def _header_for(picture: _Chunk) -> _Chunk:
    """Return the extended header that a simple file lacks: flags, then width - 1 and height - 1 in 24 bits each."""
    if picture.kind == b"VP8L":
        width, height, alpha = _lossless(picture.payload)
    else:
        width, height, alpha = *_lossy(picture), False
    flags = _HAS_XMP | (_HAS_ALPHA if alpha else 0)
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _Chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sizes)


def _lossy(picture: _Chunk) -> tuple[int, int]:
    """Return width and height of a key frame: RFC 6386, section 9.1."""
    payload = picture.payload
    width = int.from_bytes(payload[6:8], "little") & 0x3FFF
    height = int.from_bytes(payload[8:10], "little") & 0x3FFF
    if picture.kind != b"VP8 " or payload[3:6] != b"\x9d\x01\x2a" or not (width and height):
        raise refusal("WebP", f"its first chunk {picture.kind!r} is no picture whose size can be read")
    return width, height


def _lossless(payload: bytes) -> tuple[int, int, bool]:
    """Return width, height and whether there is alpha: RFC 9649, section 3.4."""
    if len(payload) < 5 or payload[0] != 0x2F:
        raise refusal("WebP", "its lossless picture has no size that can be read")
    bits = int.from_bytes(payload[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
