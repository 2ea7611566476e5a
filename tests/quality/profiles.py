"""Colour profiles that the tests make: those of phones, cameras, editors and printing presses (ICC.1:2010)."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterable

from PIL import Image, ImageCms

WHITE = (0.9642, 1.0, 0.8249)


def _fixed(values: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: Iterable[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"drawn" + bytes(78)
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none", b"wtpt": _xyz(WHITE), **tags}
    table, body, begin = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", begin + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", begin + len(body), b"test", 0x02400000, kind, space, pcs, bytes(12), b"acsp")
    return (head.ljust(68, b"\0") + _fixed(WHITE)).ljust(128, b"\0") + table + body


def rgb(gamma: float, red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...]) -> bytes:
    """Return the profile of a display, by its primaries in XYZ."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(
        b"mntr", b"RGB ", b"XYZ ", {b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue), **curves}
    )


DISPLAY_P3 = rgb(2.2, (0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB = rgb(2.2, (0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
PROPHOTO = rgb(1.8, (0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
WIDE = {"Display P3": DISPLAY_P3, "Adobe RGB": ADOBE_RGB, "ProPhoto": PROPHOTO}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(1.4 * 256))})


def press() -> bytes:
    """Return the profile of a printing press whose black is weak: Pillow's own conversion has a deep one."""
    nodes = b""
    for cyan, magenta, yellow, black in itertools.product((0, 1), repeat=4):
        ink = min(3, cyan + magenta + yellow) / 3
        nodes += bytes(
            (round(255 * (1 - 0.55 * ink) * (1 - 0.6 * black)), 128 + 40 * (magenta - cyan), 128 + 40 * yellow)
        )
    same = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1)) + same * 4 + nodes + same * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def converted(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return an sRGB picture in the colours of a profile, without it."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    moved = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), given, renderingIntent=1)
    assert moved is not None
    moved.info.clear()
    return moved
