"""
Decode untrusted pictures to a small size: the only place outside the emulator that opens pictures.

A small file can be a huge picture, sent to do harm. So: the file's first bytes choose the decoder, and no other of
Pillow's is used; it gets only the bytes that make the pixels; there is a limit on decoded pixels, per picture and for
all threads of a process; and all further processing works strip by strip.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality.parts import Decodable, PartsError, take_apart

WORK_SIDE = 512
"""Longer side in pixels at which pictures are compared: the size of PIE-Bench (arXiv 2310.01506)."""

_DECODERS: dict[media.Format, type[ImageFile]] = {
    media.PNG: PngImageFile,
    media.JPEG: JpegImageFile,
    media.WEBP: WebPImageFile,
}
_MAX_SIDE = 65_535
"""Most pixels of one side, as in a JPEG; the decoder needs tables for each row, or copies of a whole row."""
_MAX_SCANS = 40
"""Most scans of a JPEG. Each is a pass over the whole picture, even of few bytes; cameras and editors write 10."""
# With the length for each number of components: a phone's video behind its photograph often has any two bytes.
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_STRIP_PIXELS = 2**20
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
    """The bytes are no picture, or an incomplete one, or one too large to open."""


class TooManyPixelsError(UnreadableError):
    """A picture has too many pixels to decode; it may also be incomplete."""

    def __init__(self, size: tuple[int, int], max_pixels: int) -> None:
        limit = f"a side may have {_MAX_SIDE}" if max(size) > _MAX_SIDE else f"max_pixels is {max_pixels}"
        super().__init__(f"{size[0]} x {size[1]} pixels are too many: {limit}")
        self.size = size


@dataclass(frozen=True)
class Picture:
    """A picture, upright."""

    size: tuple[int, int]  # width and height in pixels, upright
    small: Image.Image  # RGB, its longer side at most WORK_SIDE

    @property
    def shorter(self) -> int:
        """Pixels of the shorter side."""
        return min(self.size)

    @property
    def ratio(self) -> float:
        """Width divided by height."""
        return self.size[0] / self.size[1]


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail of a picture."""

    size: tuple[int, int]  # width and height of the original in pixels, as stored in its file
    data: bytes  # the thumbnail, upright: a whole WebP


def read(data: bytes, max_pixels: int = media.MAX_PIXELS) -> Picture:
    """Decode a whole picture; of an animation, the first frame. Raise if it is unreadable or above ``max_pixels``."""
    size, small, turn = _decode(data, WORK_SIDE, max_pixels)
    if small.mode == "RGBA":  # on white, as most viewers show it
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    return Picture(size[::-1] if turn in _SIDEWAYS else size, small)


def thumbnail(data: bytes, side: int) -> Thumbnail:
    """Decode a whole picture as :func:`read` does, and return a thumbnail; ``side``: its longest, in pixels."""
    size, small, _ = _decode(data, side, media.MAX_PIXELS)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80)
    return Thumbnail(size, out.getvalue())


_Decoded = tuple[tuple[int, int], Image.Image, Image.Transpose | None]
"""Width and height of the file, the small upright picture in RGB or RGBA, and the turn that made it upright."""


def _decode(data: bytes, side: int, max_pixels: int) -> _Decoded:
    if not data:
        raise UnreadableError("it is empty, 0 bytes")
    kind = media.format_of(data)
    if kind is None:
        raise UnreadableError(f"it is no {media.NAMES}")
    if len(data) > media.MAX_BYTES:
        raise UnreadableError(f"its {len(data)} bytes are more than {media.MAX_BYTES}")
    if kind is media.JPEG and any(islice(_SCAN.finditer(data), _MAX_SCANS, None)):
        raise UnreadableError(f"it has more than {_MAX_SCANS} scans")
    try:
        return _opened(kind, take_apart(kind, data), side, max_pixels)
    except (UnreadableError, MemoryError):
        raise
    except PartsError as problem:
        raise UnreadableError(str(problem)) from problem
    except Exception as problem:  # decoders raise many kinds of errors for broken bytes
        raise UnreadableError(f"{type(problem).__name__}: {problem}") from problem


def _opened(kind: media.Format, parts: Decodable, side: int, max_pixels: int) -> _Decoded:
    _check_pixels(parts.size, max_pixels)
    with _DECODERS[kind](io.BytesIO(parts.data)) as image:
        size = image.size
        _check_pixels(size, max_pixels)
        share = min(1.0, side / max(size))
        target = max(1, round(size[0] * share)), max(1, round(size[1] * share))
        with _room.taken(size[0] * size[1]):
            # Only JPEG supports drafts: its decoder then skips unneeded detail, twice as fast.
            image.draft(None, target)
            image.load()
            small = _shrunk(image, target)
    turn = _UPRIGHT.get(parts.orientation)
    return size, small if turn is None else small.transpose(turn), turn


def _check_pixels(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is not None and (size[0] * size[1] > max_pixels or max(size) > _MAX_SIDE):
        raise TooManyPixelsError(size, max_pixels)


class _Room:
    """Limits the pixels that this process's threads decode at the same time; a larger picture waits for all."""

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        needed = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify_all()


_room = _Room(media.MAX_PIXELS)


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture at a size, as RGB or RGBA."""
    # Like ``resize`` with a ``reducing_gap``, but without a second picture of full size.
    across, down = (max(1, int(large / small / 2)) for large, small in zip(image.size, size, strict=True))
    rows = down * max(1, _STRIP_PIXELS // (image.width * down))
    reduced: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = _resizable(image.crop((0, top, image.width, min(top + rows, image.height)))).reduce((across, down))
        if reduced is None:
            reduced = Image.new(strip.mode, (strip.width, -(-image.height // down)))
        reduced.paste(strip, (0, top // down))
    if reduced is None:
        raise UnreadableError("it has no pixels")
    box = (0, 0, image.width / across, image.height / down)
    small = reduced.resize(size, Image.Resampling.BICUBIC, box=box)
    if image.mode in ("RGB", "RGBA", "P") and (profile := image.info.get("icc_profile")):
        small.info["icc_profile"] = profile
    return small.convert("RGBA" if small.mode == "RGBa" else "RGB")


def _resizable(image: Image.Image) -> Image.Image:
    """Return the picture in a mode in which neighbouring pixels can be averaged."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits cuts off everything above 255.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return (image if image.mode == "RGBA" else image.convert("RGBA")).convert("RGBa")
    return image if image.mode in ("L", "RGB", "CMYK", "YCbCr") else image.convert("RGB")
