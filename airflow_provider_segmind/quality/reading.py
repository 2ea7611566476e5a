"""Decode a picture that comes from outside, at the size at which it is measured."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

WORK_SIDE = 512
"""Pixels of the longer side at which pictures are compared: the size of PIE-Bench (arXiv 2310.01506)."""

# A closed list, because some of Pillow's other decoders start programs (EPS) or are hardly ever met.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_UPRIGHT[value] for value in (5, 6, 7, 8)}


class UnreadableError(ValueError):
    """The bytes are no picture, or not a whole one, or one that is too large to open."""


@dataclass(frozen=True)
class Picture:
    """
    A picture, upright.

    :param size: width and height in pixels as a person sees it.
    :param small: RGB, its longer side at most ``WORK_SIDE``.
    """

    size: tuple[int, int]
    small: Image.Image

    @property
    def shorter(self) -> int:
        """Pixels of the shorter side."""
        return min(self.size)

    @property
    def ratio(self) -> float:
        """Width divided by height."""
        return self.size[0] / self.size[1]


def read(data: bytes, max_pixels: int) -> Picture:
    """
    Decode a whole picture; of an animation, the first frame.

    :param data: an encoded JPEG, PNG, WebP, GIF or AVIF.
    :param max_pixels: refuse more without decoding them.
    :raises UnreadableError: saying what is wrong.
    """
    if not data:
        raise UnreadableError("it is empty, 0 bytes")
    Image.init()
    # Pillow warns of large pictures and of odd metadata; both are judged here, and neither should fill a task's log.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
                return _decoded(image, max_pixels)
        except UnreadableError:
            raise
        except UnidentifiedImageError as problem:
            raise UnreadableError("it is no JPEG, PNG, WebP, GIF or AVIF") from problem
        except Exception as problem:  # on broken bytes, decoders raise errors of many kinds
            raise UnreadableError(f"{type(problem).__name__}: {problem}") from problem


def _decoded(image: Image.Image, max_pixels: int) -> Picture:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableError(f"{width} x {height} pixels are more than the {max_pixels} of max_pixels")
    share = min(1.0, WORK_SIDE / max(width, height))
    size = max(1, round(width * share)), max(1, round(height * share))
    # Only JPEG knows drafts: its decoder can leave out the detail that is not needed, twice as fast.
    image.draft(None, size)
    image.load()
    small = _as_rgb(_resizable(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))
    turn = _UPRIGHT.get(_orientation(image))
    if turn is None:
        return Picture((width, height), small)
    return Picture((height, width) if turn in _SIDEWAYS else (width, height), small.transpose(turn))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken metadata do not make a picture unreadable
        return 1
    return value if isinstance(value, int) else 1


def _resizable(image: Image.Image) -> Image.Image:
    """Return it in a mode in which neighbouring pixels can be averaged."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits cuts off everything above 255.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK", "YCbCr") else image.convert("RGB")


def _as_rgb(image: Image.Image) -> Image.Image:
    """Return it without transparency, on white, as most viewers show it."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
