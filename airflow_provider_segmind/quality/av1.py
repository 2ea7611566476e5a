"""
Read the size of the pictures in an AVIF from its compressed data: a decoder makes room for that, whatever boxes say.

Only what an item begins with is read: sequence headers (AV1 Bitstream & Decoding Process Specification, 5.5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER = 1, 2
_BEGINNING = 64
"""Bytes that a sequence header has at most, with what can come before it."""
_MOST_UNITS = 2**12
"""Units of an item that are looked at; a photograph has three, and one for each tile at most."""


class ItemsError(ValueError):
    """The items of a file are stored in a way that no camera or editor uses."""


def sizes(data: bytes, locations: int, inline: int) -> Iterator[tuple[int, int]]:
    """
    Yield width and height of each sequence in the items of a file.

    :param locations: where the content of the box ``iloc`` begins.
    :param inline: where that of the box ``idat`` begins, or 0.
    """
    for start, end in items(data, locations, inline):
        if is_picture(data, start):
            yield from _sequences(data, start, min(end, len(data)))


def is_picture(data: bytes, start: int) -> bool:
    """Whether an item is AV1, by its first byte."""
    return start < len(data) and data[start] >> 3 & 15 in (_SEQUENCE_HEADER, _TEMPORAL_DELIMITER)


def items(data: bytes, position: int, inline: int) -> Iterator[tuple[int, int]]:
    """Yield where each item begins and ends (ISO/IEC 14496-12, 8.11.3)."""
    version, packed = data[position], int.from_bytes(data[position + 4 : position + 6], "big")
    sizes_of = [packed >> shift & 15 for shift in (12, 8, 4, 0)]
    offset_size, length_size, base_size, index_size = [*sizes_of[:3], sizes_of[3] if version else 0]
    reader = _Bytes(data, position + 6)
    wide = 4 if version == 2 else 2
    for _ in range(reader.number(wide)):
        reader.number(wide)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base, count = reader.number(base_size), reader.number(2)
        for number in range(count):
            reader.number(index_size)
            offset, length = reader.number(offset_size), reader.number(length_size)
            if number == 0:
                if count > 1 and length < _BEGINNING:
                    raise ItemsError("its items are in too small parts")
                start = base + offset + (inline if method == 1 else 0)
                yield start, start + length if length else len(data)


def _sequences(data: bytes, position: int, end: int) -> Iterator[tuple[int, int]]:
    for _ in range(_MOST_UNITS):
        if position >= end:
            return
        head = data[position]
        position += 2 if head & 4 else 1
        size = end - position
        if head & 2:
            size, position = _leb128(data, position)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            yield _sequence(_Bits(data[position : min(position + size, position + _BEGINNING)]))
        position += size
    raise ItemsError("an item is in too many parts")


def _sequence(bits: _Bits) -> tuple[int, int]:
    bits.take(4)
    if bits.take(1):  # the short header of still pictures
        bits.take(5)
    else:
        if bits.take(1):
            raise ItemsError("it says how fast it is shown, as a film does")
        delays = bits.take(1)
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if delays and bits.take(1):
                bits.take(4)
    width, height = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(width) + 1, bits.take(height) + 1


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    return value, position


class _Bytes:
    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def number(self, size: int) -> int:
        """Return the next number of some bytes."""
        end = self._position + size
        if end > len(self._data):
            raise struct.error("the list of items ends too soon")
        value = int.from_bytes(self._data[self._position : end], "big")
        self._position = end
        return value


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next number of some bits."""
        self._left -= count
        if self._left < 0:
            raise struct.error("a header ends too soon")
        return self._value >> self._left & (1 << count) - 1
