"""
Decode untrusted pictures, scaled down: the only place outside the emulator that opens pictures.

A small file can be a huge picture, sent to do harm. So: the file's first bytes choose the decoder, and no other of
Pillow's is used; it gets only the bytes that make the pixels; there is a limit on decoded pixels, per picture and for
all threads of a process; and all further processing works strip by strip.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PIL import Image, ImageChops
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality import colours, holding, webp, whole
from airflow_provider_segmind.quality.parts import Decodable, PartsError, take_apart
from airflow_provider_segmind.quality.room import Room
from airflow_provider_segmind.quality.unreadable import MAX_SIDE, TooDearError
from airflow_provider_segmind.quality.unreadable import NoDecoderError as NoDecoderError
from airflow_provider_segmind.quality.unreadable import TooManyPixelsError as TooManyPixelsError
from airflow_provider_segmind.quality.unreadable import UnreadableError as UnreadableError
from airflow_provider_segmind.quality.unreadable import UnusableError as UnusableError

WORK_SIDE = 512
"""Longer side in pixels at which pictures are compared: the size of PIE-Bench (arXiv 2310.01506)."""

_DECODERS: dict[media.Format, type[ImageFile]] = {
    media.PNG: PngImageFile,
    media.JPEG: JpegImageFile,
    media.WEBP: WebPImageFile,
}
_STREAMED = 4
"""How many times ``max_pixels`` a JPEG may have of which no more than ``max_pixels`` are ever held."""
_MAX_SCANS = 40
"""Most scans of a JPEG. Each is a pass over the whole picture, even of few bytes; cameras and editors write 10."""
# With the length for each number of components: a phone's video behind its photograph often has any two bytes.
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_NO_DATA = range(126, 131)
"""What the channels of a JPEG have where its data are missing."""
_HEAD = 2**14
"""Bytes in which a HEIC or AVIF names its pictures."""
_STRIP_PIXELS = 2**20
_BYTES = 4
"""Of a pixel, when Pillow holds it."""
_PLAIN = ("L", "LA", "RGB", "RGBA", "CMYK")
_CLEAR = {"RGBA": "RGBa", "LA": "La"}
"""Modes with transparency, and the same with colours that are weighed by it."""
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


@dataclass(frozen=True)
class Picture:
    """A picture, upright and in sRGB."""

    size: tuple[int, int]  # width and height in pixels, upright
    small: Image.Image  # RGB, its longer side at most WORK_SIDE
    numbers: Image.Image | None = None  # ``small`` as it were without its colour profile; ``None``: it is the same
    quantization: float | None = None  # mean step of a JPEG's levels, 1 to 255; ``None``: it is no JPEG

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
    data: bytes  # the thumbnail, upright and in sRGB: a whole WebP


@dataclass(frozen=True)
class Stored:
    """How a file stores its picture."""

    kind: media.Format
    size: tuple[int, int]  # width and height in pixels
    mode: str  # Pillow's
    profile: bytes | None  # of its colours
    turn: Image.Transpose | None  # what makes it upright
    deep: bool  # whether a channel has 16 bits
    several: bool  # whether the file has further pictures
    quantization: float | None = None  # mean step of a JPEG's levels of brightness, 1 to 255


@dataclass(frozen=True)
class Decoded:
    """A whole picture, scaled down, upright, of 8 bits."""

    stored: Stored
    pixels: Image.Image  # L, LA, RGB, RGBA or CMYK, its numbers as stored


def read(data: bytes, max_pixels: int = media.MAX_PIXELS, most: int | None = None) -> Picture:
    """Decode a whole picture; of an animation, the first frame. Raise if it is unreadable or above a limit."""
    decoded = decode(data, WORK_SIDE, max_pixels=max_pixels, most=most)
    profile, size = decoded.stored.profile, decoded.stored.size
    upright = size[::-1] if decoded.stored.turn in _SIDEWAYS else size
    if profile is None or not colours.differs(profile, decoded.pixels.mode):
        return Picture(upright, _on_white(colours.to_srgb(decoded.pixels, profile)), None, decoded.stored.quantization)
    numbers = _on_white(decoded.pixels.convert("RGBA" if decoded.pixels.mode in _CLEAR else "RGB"))
    small = _on_white(colours.to_srgb(decoded.pixels, profile))
    return Picture(upright, small, numbers, decoded.stored.quantization)


def thumbnail(data: bytes, side: int) -> Thumbnail:
    """Decode a picture, and return a thumbnail; ``side``: its longest, in pixels. What decodes is paid for: take it."""
    decoded = decode(data, side, strict=False)
    out = io.BytesIO()
    colours.to_srgb(decoded.pixels, decoded.stored.profile).save(out, "WEBP", quality=80)
    return Thumbnail(decoded.stored.size, out.getvalue())


def look(data: bytes) -> Stored:
    """Return how a file stores its picture, by its header; raise if it is unreadable."""
    with _opened(data) as (image, parts, kind):
        return _stored(image, parts, kind)


def decode(
    data: bytes,
    side: int,
    *,
    least: int | None = None,
    max_pixels: int = media.MAX_PIXELS,
    strict: bool = True,
    most: int | None = None,
) -> Decoded:
    """
    Decode a whole picture; of an animation, the first frame.

    :param side: pixels of the longer side at most.
    :param least: the longer side may have as few pixels if that takes less memory; ``None``: as many as ``side``.
    :param max_pixels: most pixels that are held decoded.
    :param strict: refuse also damage that the decoder puts up with.
    :param most: bytes that the decoder may hold; ``None``: as many as ``max_pixels`` needs.
    :raises UnreadableError: it is unreadable, or has too many pixels.
    """
    stored, small, grey = _decode(data, side, least, max_pixels, strict=strict, most=most)
    # A JPEG that lacks data is grey from there on, and others may be grey, too.
    if grey and small.tobytes() != _decode(_longer(data), side, least, max_pixels, strict=False)[1].tobytes():
        raise UnreadableError("its data end before its last pixels, so a part is missing")
    return Decoded(stored, small if stored.turn is None else small.transpose(stored.turn))


def _longer(data: bytes) -> bytes:
    return whole.longer(take_apart(media.JPEG, data).data)


def _decode(
    data: bytes, side: int, least: int | None, max_pixels: int, *, strict: bool, most: int | None = None
) -> tuple[Stored, Image.Image, bool]:
    """Decode as :func:`decode` does; return also whether the last pixel may be one that is missing."""
    with _opened(data, max_pixels) as (image, parts, kind):
        if strict:
            whole.check(kind, data)
        stored = _stored(image, parts, kind)
        target = _within(stored.size, side)
        if kind is media.JPEG:  # its decoder then skips unneeded detail, twice as fast
            image.draft(None, _within(stored.size, least or side))
            target = min(target, image.size)
        if parts.streamed:
            _check_pixels(stored.size, _STREAMED * max_pixels)
            _check_pixels(image.size, max_pixels)
        else:
            _check_pixels(stored.size, max_pixels)
        scaling = kind is media.WEBP and webp.can_scale() and not getattr(image, "is_animated", False)
        needed = holding.needed(kind, image, stored.size, parts.data, scaling=scaling)
        if most is not None and needed > most:
            raise TooDearError(stored.size, kind, needed, most)
        if scaling:
            with _room.taken(needed // _BYTES):
                made = webp.decode(parts.data, target, clear=stored.mode in _CLEAR)
            if made is not None:
                return stored, made, False
        held = image.size if parts.streamed else stored.size
        # The decoders of these make two or three pictures of full size.
        with _room.taken(held[0] * held[1] * (1 if kind in (media.PNG, media.JPEG) else 2)):
            image.load()
            last = image.crop((image.width - 1, image.height - 1, *image.size)).tobytes()
            grey = strict and kind is media.JPEG and all(value in _NO_DATA for value in last)
            return stored, _shrunk(image, target), grey


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a picture without transparency, as most viewers show it."""
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _profile(image: ImageFile, parts: Decodable, kind: media.Format) -> bytes | None:
    """Return the profile that counts for a picture's colours: by its format, the numbers of a code come before it."""
    given: bytes | None = image.info.get("icc_profile") or None
    said = image.info.get("nclx_profile")
    coded = {(int(said["color_primaries"]), int(said["transfer_characteristics"]))} if said else parts.coded
    # Of AVIF, it is not known which of its pictures each is of. With a gain map, the brighter picture is another one.
    if len(coded) == 1 and not (given and b"tmap" in parts.data[:_HEAD]):
        ((primaries, curve),) = coded
        if curve in colours.HDR:
            raise UnusableError("it is HDR (PQ or HLG): export it as a JPEG of the usual range")
        if given is None or kind is media.PNG:
            return colours.of_primaries(primaries)
    return given or colours.of_primaries(*parts.colours)


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    share = min(1.0, side / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _stored(image: ImageFile, parts: Decodable, kind: media.Format) -> Stored:
    orientation = parts.orientation
    if kind is media.AVIF:  # Pillow alone knows its boxes of rotations, and says them as EXIF
        orientation = image.getexif().get(_ORIENTATION, 1)
    profile = _profile(image, parts, kind)
    deep = parts.deep or image.info.get("bit_depth", 8) > 8
    mode = "LA" if image.mode == "L" and image.has_transparency_data else image.mode
    tables = getattr(image, "quantization", None)
    steps = tables.get(0) if tables else None
    coarse = sum(steps) / len(steps) if steps else None
    return Stored(kind, image.size, mode, profile, _UPRIGHT.get(orientation), deep, parts.several, coarse)


@contextmanager
def _opened(data: bytes, max_pixels: int = media.MAX_PIXELS) -> Iterator[tuple[ImageFile, Decodable, media.Format]]:
    """Open a picture without decoding it; all errors within are of its bytes."""
    if not data:
        raise UnreadableError("it is empty, 0 bytes")
    kind = media.readable_format_of(data)
    if kind is None:
        said = media.looks_like(data).partition(":")[0]
        raise UnreadableError(f"{said and f'it looks like {said}: '}it is no {media.NAMES}")
    if len(data) > media.MAX_ORIGINAL:
        raise UnreadableError(f"its {len(data)} bytes are more than {media.MAX_ORIGINAL}")
    try:
        parts = take_apart(kind, data)
        if kind is media.JPEG and any(islice(_SCAN.finditer(parts.data), _MAX_SCANS, None)):
            raise UnreadableError(f"it has more than {_MAX_SCANS} scans")
        _check_pixels(parts.size, max_pixels)
        with _decoder(kind)(io.BytesIO(parts.data)) as image:
            yield image, parts, kind
    except (UnreadableError, MemoryError):
        raise
    except PartsError as problem:
        raise UnreadableError(str(problem)) from problem
    except Exception as problem:  # decoders raise many kinds of errors for broken bytes
        raise UnreadableError(f"it is cut off or damaged ({type(problem).__name__}: {problem})") from problem


def _decoder(kind: media.Format) -> Any:
    """Return the decoder of a format; those of the seldom ones are loaded when they are needed."""
    if kind is media.AVIF:
        from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile

        if not SUPPORTED:
            raise NoDecoderError("this build of Pillow cannot read AVIF")
        return AvifImageFile
    if kind is media.HEIC:
        try:
            from pillow_heif import HeifImageFile, options
        except ImportError:
            raise NoDecoderError("a HEIC needs the extra heic: pip install 'airflow-provider-segmind[heic]'") from None
        # Nothing here needs the pictures beside the photograph.
        options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
        return HeifImageFile
    return _DECODERS[kind]


def _check_pixels(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is not None and (size[0] * size[1] > max_pixels or max(size) > MAX_SIDE):
        raise TooManyPixelsError(size, max_pixels)


_room = Room(media.MAX_PIXELS)


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture at a size, in 8 bits, as L, LA, RGB, RGBA or CMYK; it may be the same."""
    scaled = image.size != size
    plain = image.mode in _PLAIN and image.has_transparency_data == (image.mode in _CLEAR)
    if not scaled and plain:
        return image
    # Like ``resize`` with a ``reducing_gap``, but without a second picture of full size.
    across, down = (max(1, int(large / small / 2)) for large, small in zip(image.size, size, strict=True))
    at_once = plain and image.mode not in _CLEAR  # no strip of it would be converted
    rows = image.height if at_once else down * max(1, _STRIP_PIXELS // (image.width * down))
    reduced: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = image if at_once else _plain(image.crop((0, top, image.width, min(top + rows, image.height))))
        if scaled:  # neighbours are averaged by how much one sees of each
            strip = (strip.convert(_CLEAR[strip.mode]) if strip.mode in _CLEAR else strip).reduce((across, down))
        if reduced is None:
            reduced = Image.new(strip.mode, (strip.width, -(-image.height // down)))
        reduced.paste(strip, (0, top // down))
    if reduced is None:
        raise UnreadableError("it has no pixels")
    if not scaled:
        return reduced
    small = reduced.resize(size, Image.Resampling.BICUBIC, box=(0, 0, image.width / across, image.height / down))
    return small.convert(small.mode.upper()) if small.mode in _CLEAR.values() else small


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture in 8 bits, as L, LA, RGB, RGBA or CMYK."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits cuts off everything above 255.
        wide = image.convert("I")
        plain = wide.point(lambda value: value * (1 / 256)).convert("L")
        clear = image.info.get("transparency")  # the level that is not seen
        if isinstance(clear, int):
            over, under = (wide.point(lambda value, by=by: value * by - clear * by).convert("L") for by in (1, -1))
            plain.putalpha(ImageChops.lighter(over, under).point(lambda value: 255 * (value > 0)))
        return plain
    if image.mode in _CLEAR:
        return image
    if image.mode == "RGBa" or image.has_transparency_data:
        return image.convert("LA" if image.mode in ("L", "1") else "RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in _PLAIN else image.convert("RGB")
