"""Convert colours to sRGB by a picture's own profile: the only code that reads colour profiles."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageCms

_SPACES = {"L": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}
_MAX_PROFILE = 4 * 2**20
"""Bytes of a profile that is read; those of printing presses have two million at most."""
_STEPS = 6
"""Colours along each side of the cube with which a profile is compared with sRGB."""
_SAME = 3
"""Most difference of such a colour, of 255, with which a profile counts as sRGB: its many variants differ by 1."""
_KEEP_BLACK = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a picture of mode L, RGB, RGBA or CMYK as sRGB, in RGB or RGBA; it may be changed in place."""
    wanted = "RGBA" if picture.mode == "RGBA" else "RGB"
    transform = _transform(profile, picture.mode) if profile else None
    if transform is None or (picture.mode != "CMYK" and _is_srgb(profile, picture.mode)):
        return picture if picture.mode == wanted else picture.convert(wanted)
    if picture.mode == wanted:
        ImageCms.applyTransform(picture, transform, inPlace=True)
        return picture
    converted: Image.Image | None = ImageCms.applyTransform(picture, transform)
    assert converted is not None  # noqa: S101 - only in place returns nothing
    return converted


def differs(profile: bytes | None, mode: str) -> bool:
    """Whether numbers of a mode mean other colours with this profile than in sRGB."""
    if mode == "CMYK":
        return True
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
    converted = ImageCms.applyTransform(cube, transform)
    plain = cube.convert("RGB").tobytes()
    assert converted is not None  # noqa: S101 - only in place returns nothing
    return all(abs(one - other) <= _SAME for one, other in zip(plain, converted.convert("RGB").tobytes(), strict=True))


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
