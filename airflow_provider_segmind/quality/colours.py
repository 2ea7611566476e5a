"""Convert colours to sRGB by a picture's own profile: the only code that reads colour profiles."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from functools import lru_cache

from PIL import Image, ImageCms

from airflow_provider_segmind.quality import parts

_SPACES = {"L": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}
_XYZ = {
    parts.SRGB: ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)),
    parts.ADOBE_RGB: ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    9: ((0.6735, 0.2790, -0.0019), (0.1657, 0.6754, 0.0300), (0.1251, 0.0456, 0.7968)),
    12: ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
}
"""Red, green and blue of sRGB, Adobe RGB, BT.2020 and Display P3; D50."""
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
HDR = (16, 18)
"""Curves that cannot be shown in 8 bits without a choice of what gets lost, by their numbers there."""
_MAX_PROFILE = 4 * 2**20
"""Bytes of a profile that is read; those of printing presses have two million at most."""
_STEPS = 6
"""Colours along each side of the cube with which a profile is compared with sRGB."""
_SAME = 3
"""Most difference of such a colour, of 255, with which a profile counts as sRGB: its many variants differ by 1."""
_KEEP_BLACK = ImageCms.Flags.BLACKPOINTCOMPENSATION


@lru_cache(maxsize=32)
def of_primaries(number: int, gamma: float | None = None) -> bytes | None:
    """Return a profile (ICC.1:2010) of primaries with a gamma or the curve of sRGB; ``None`` if it is as sRGB."""
    if number not in _XYZ or (number == parts.SRGB and gamma is None):
        return None
    if gamma is None:
        curve = b"para\0\0\0\0\0\3\0\0" + _fixed(_SRGB_CURVE)
    else:
        curve = b"para\0\0\0\0\0\0\0\0" + _fixed((gamma,))
    tags = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _XYZ[number], strict=True):
        tags[name] = b"XYZ \0\0\0\0" + _fixed(colour)
    table, body, begin = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", begin + len(body), len(content))
        body += content
    head = struct.pack(">I4xI4s4s4s12x4s", begin + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return head.ljust(128, b"\0") + table + body


def _fixed(values: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 2**16)) for value in values)


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a picture of mode L, LA, RGB, RGBA or CMYK as sRGB, in RGB or RGBA; it may be changed in place."""
    if picture.mode == "LA":
        converted = to_srgb(picture.getchannel("L"), profile)
        converted.putalpha(picture.getchannel("A"))
        return converted
    wanted = "RGBA" if picture.mode == "RGBA" else "RGB"
    transform = _transform(profile, picture.mode) if differs(profile, picture.mode) else None
    if transform is None:
        converted = picture if picture.mode == wanted else picture.convert(wanted)
    elif picture.mode == wanted:
        ImageCms.applyTransform(picture, transform, inPlace=True)
        converted = picture
    else:
        converted = _applied(picture, transform)
    converted.info.pop("icc_profile", None)  # an encoder would write it
    return converted


def _applied(picture: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted: Image.Image | None = ImageCms.applyTransform(picture, transform)
    assert converted is not None  # noqa: S101 - only in place returns nothing
    return converted


def differs(profile: bytes | None, mode: str) -> bool:
    """Whether numbers of a mode mean other colours with this profile than in sRGB."""
    if mode == "CMYK":
        return True
    if mode == "LA":
        mode = "L"
    return profile is not None and not _is_srgb(profile, mode)


@lru_cache(maxsize=8)
def _is_srgb(profile: bytes | None, mode: str) -> bool:
    transform = _transform(profile, mode)
    if transform is None:  # it cannot be applied, and nobody else applies it either
        return True
    levels = [255 * step // (_STEPS - 1) for step in range(_STEPS)]
    if mode == "L":
        cube = Image.frombytes("L", (256, 1), bytes(range(256)))
    else:
        colours = bytes(value for red in levels for green in levels for blue in levels for value in (red, green, blue))
        cube = Image.frombytes("RGB", (_STEPS**3, 1), colours).convert(mode)
    plain, converted = (one.convert("RGB").tobytes() for one in (cube, _applied(cube, transform)))
    return all(abs(one - other) <= _SAME for one, other in zip(plain, converted, strict=True))


@lru_cache(maxsize=8)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a profile to sRGB; ``None`` if it is broken, or of other channels."""
    if profile is None or mode not in _SPACES or len(profile) > _MAX_PROFILE:
        return None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if given.profile.xcolor_space != _SPACES[mode]:
            return None
        return ImageCms.buildTransform(
            given,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGBA" if mode == "RGBA" else "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            _KEEP_BLACK,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
