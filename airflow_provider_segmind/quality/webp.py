"""
Decode a WebP straight to the size that is wanted, by the decoder that Pillow brings.

Pillow's own way holds four copies of the whole picture, 16 bytes for each pixel. The same library, libwebp, can scale
while it decodes, so that it holds a few rows of it. Structures: ``src/webp/decode.h`` of libwebp, whose ABI version the
library compares before it uses one; where that fails, or there is no such library, Pillow decodes.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from PIL import Image

_ABI = 0x0200
"""Of ``WebPDecoderConfig``: the library takes any of the same major version."""
_RGB, _RGBA = 0, 1
_UNSUPPORTED = 4
"""Status for an animation."""


class _Features(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("width", "height", "has_alpha", "has_animation", "format")),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Pixels(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("stride", ctypes.c_int), ("size", ctypes.c_size_t))


class _Planes(ctypes.Structure):
    _fields_ = (
        ("planes", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
        ("sizes", ctypes.c_size_t * 4),
    )


class _Either(ctypes.Union):
    _fields_ = (("pixels", _Pixels), ("planes", _Planes))


class _Output(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("colours", "width", "height", "is_external")),
        ("memory", _Either),
        ("pad", ctypes.c_uint32 * 4),
        ("own", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int)
            for name in (
                "bypass_filtering", "no_fancy_upsampling", "use_cropping", "crop_left", "crop_top", "crop_width",
                "crop_height", "use_scaling", "scaled_width", "scaled_height", "use_threads", "dithering", "flip",
                "alpha_dithering",
            )
        ),
        ("pad", ctypes.c_uint32 * 5),
    )  # fmt: skip


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options))


@cache
def _library() -> Any:
    """Return libwebp, which Pillow's module is linked with, or ``None``."""
    try:
        from PIL import _webp

        library = ctypes.CDLL(_webp.__file__)
        library.WebPDecode.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_Config))
        ready = library.WebPInitDecoderConfigInternal(ctypes.byref(_Config()), _ABI)
    except (ImportError, OSError, AttributeError, TypeError):
        return None
    return library if ready else None


def can_scale() -> bool:
    """Whether a WebP can be decoded straight to a size."""
    return _library() is not None


def decode(data: bytes, size: tuple[int, int], *, clear: bool) -> Image.Image | None:
    """
    Return a WebP of one picture, RGB or RGBA, at a size not above its own; ``None`` if Pillow has to do it.

    :param data: the file.
    :param size: width and height in pixels.
    :param clear: whether it has transparency.
    :raises OSError: it is damaged.
    """
    library, config = _library(), _Config()
    if library is None or not library.WebPInitDecoderConfigInternal(ctypes.byref(config), _ABI):
        return None
    width, height = size
    mode, depth = ("RGBA", 4) if clear else ("RGB", 3)
    pixels = ctypes.create_string_buffer(width * height * depth)
    config.output.colours = _RGBA if clear else _RGB
    config.output.is_external = 1
    config.output.memory.pixels = _Pixels(ctypes.addressof(pixels), width * depth, len(pixels))
    config.options.use_scaling, config.options.scaled_width, config.options.scaled_height = 1, width, height
    config.options.use_threads = 1
    status = library.WebPDecode(data, len(data), ctypes.byref(config))
    if status == _UNSUPPORTED:
        return None
    if status:
        raise OSError(f"libwebp returned status {status}")
    return Image.frombytes(mode, size, memoryview(pixels).cast("B"))
