"""The metadata chunks of a PNG (PNG specification, third edition; XMP specification part 3, 1.1.5)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_segmind.provenance.refusal import counted, refusal
from airflow_provider_segmind.provenance.xmp import MAX_PACKET

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"XML:com.adobe.xmp\0"


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    start: int
    end: int
    payload: memoryview


@dataclass(frozen=True)
class PngParts:
    """
    A PNG, split into its chunks.

    :param data: the whole file.
    :param chunks: all chunks, with verified checksums.
    """

    data: bytes
    chunks: tuple[_Chunk, ...]

    @classmethod
    def read(cls, data: bytes) -> PngParts:
        """
        Split a file.

        :raises InvalidRequestError: if it is no PNG, is cut off or is malformed.
        """
        if data[:8] != _SIGNATURE:
            raise refusal("PNG", "it does not begin as a PNG does")
        chunks = counted("PNG", _chunks(data))
        if chunks[0].kind != b"IHDR" or all(chunk.kind != b"IDAT" for chunk in chunks):
            raise refusal("PNG", "it has no picture")
        return cls(data, chunks)

    @property
    def packet(self) -> bytes | None:
        """Its XMP packet."""
        found = self._xmp()
        return None if found is None else _text_of(bytes(found.payload))

    @property
    def signed(self) -> bool:
        """Whether it has a C2PA manifest: a chunk ``caBX`` (C2PA specification, A.3.2)."""
        return any(chunk.kind == b"caBX" for chunk in self.chunks)

    def with_packet(self, packet: bytes) -> bytes:
        """Return the file with this XMP packet right after the header, without the old packet."""
        # Uncompressed, as the XMP specification asks, and without a language.
        body = b"iTXt" + _KEYWORD + b"\0\0\0\0" + packet
        chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        header = self.chunks[0].end
        old = self._xmp()
        rest = (self.data[header:],) if old is None else (self.data[header : old.start], self.data[old.end :])
        return b"".join((self.data[:header], chunk, *rest))

    def _xmp(self) -> _Chunk | None:
        return next((c for c in self.chunks if c.kind == b"iTXt" and c.payload[: len(_KEYWORD)] == _KEYWORD), None)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks up to the last, which is included; ignore what follows it."""
    view = memoryview(data)
    position = len(_SIGNATURE)
    while True:
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            raise refusal("PNG", f"the chunk at byte {position} is cut off or has a wrong length")
        kind = data[position + 4 : position + 8]
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise refusal("PNG", f"the chunk {kind!r} at byte {position} is damaged: its checksum is wrong")
        yield _Chunk(kind, position, end, view[position + 8 : end - 4])
        if kind == b"IEND":
            return
        position = end


def _text_of(payload: bytes) -> bytes:
    """Return the text of an ``iTXt`` chunk, which may be compressed."""
    flags, rest = payload[len(_KEYWORD) :][:2], payload[len(_KEYWORD) + 2 :]
    parts = rest.split(b"\0", 2)
    if len(parts) != 3 or flags not in (b"\0\0", b"\x01\0"):
        raise refusal("PNG", "its XMP chunk is malformed")
    if flags[0] == 0:
        return parts[2]
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(parts[2], MAX_PACKET + 1)
    except zlib.error as error:
        raise refusal("PNG", f"its XMP chunk cannot be unpacked ({error})") from error
    if not unpack.eof and len(text) <= MAX_PACKET:
        raise refusal("PNG", "its compressed XMP chunk is cut off")
    return text
