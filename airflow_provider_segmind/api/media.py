"""The one list of picture formats, and the limits on pictures for all code that opens them."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES = 50 * 2**20
"""Largest file that is sent or stored, in bytes; it is held in memory as a whole."""
MAX_ORIGINAL = 4 * MAX_BYTES
"""Largest file that is prepared, in bytes, and most bytes of all files that one process holds to look at them."""
MAX_PIXELS = 64_000_000
"""Most decoded pixels of one picture, and of all that one process decodes at the same time."""
MAX_PARTS = 2**15
"""Most chunks or segments of a file; 50 MiB in pieces of 8 KiB, as libpng writes them, has 6,400."""


@dataclass(frozen=True)
class Format:
    """
    A picture format.

    :param beginning: matches the first bytes of every such file.
    """

    name: str
    media_type: str
    suffix: str
    beginning: re.Pattern[bytes]


PNG = Format("PNG", "image/png", ".png", re.compile(rb"\x89PNG\r\n\x1a\n"))
JPEG = Format("JPEG", "image/jpeg", ".jpg", re.compile(rb"\xff\xd8\xff"))
WEBP = Format("WebP", "image/webp", ".webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL))
FORMATS = (PNG, JPEG, WEBP)
"""What Segmind takes and makes; what is stored and shown."""
NAMES = f"{', '.join(known.name for known in FORMATS[:-1])} or {FORMATS[-1].name}"
"""These formats, for messages."""

# The brand, or else one of those that a general HEIF file is compatible with.
_BRANDS = rb".{4}ftyp(?:%(own)s|m[is]f1.{4}(?:.{4}){0,12}?%(own)s)"
_AVIF = re.compile(_BRANDS % {b"own": rb"avi[fs]"}, re.DOTALL)
_HEIC = re.compile(_BRANDS % {b"own": rb"he[iv][cxms]"}, re.DOTALL)
AVIF = Format("AVIF", "image/avif", ".avif", _AVIF)
HEIC = Format("HEIC", "image/heic", ".heic", _HEIC)
CONVERTED = (AVIF, HEIC)
"""What cameras make besides: it is checked, and converted before it is sent."""

_EXPORT = "export it as PNG or JPEG"
_OTHERS = (
    (rb"GIF8", f"a GIF: {_EXPORT}"),
    (rb"II[*+\x55]\0|MM\0[*+]|.{4}ftypcrx ", f"a TIFF or a camera's raw file: {_EXPORT}"),
    (rb"FUJIFILMCCD-RAW|FOVb", f"a camera's raw file: {_EXPORT}"),
    (rb"\0\0[\x01\x02]\0[^\0]\0", f"an icon: {_EXPORT}"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", f"an EPS: {_EXPORT}"),
    (rb"\0\x05\x16[\0\x07]\0", "a Mac's notes on another file (._ before its name): give that file"),
    (rb"data:image/|(?:/9j/|iVBORw0KGgo|UklGR)[\w+/=\s]{40}", "a picture as base64 text: decode it to a file"),
    (rb"BM.{4}\0{4}", f"a BMP: {_EXPORT}"),
    (rb"8BPS", f"a Photoshop file: {_EXPORT}"),
    (rb"\0{3}\x0cJXL |\xff\x0a", f"a JPEG XL: {_EXPORT}"),
    (rb"\0{3}\x0cjP  |\xff\x4f\xff\x51", f"a JPEG 2000: {_EXPORT}"),
    (rb".{4}ftyp|\x1aE\xdf\xa3", "a film, or a kind of HEIF that is not read: give a photograph"),
    (rb"%PDF", f"a PDF: {_EXPORT}"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf", "an archive: unpack it"),
    (rb"version https://git-lfs", "a pointer of Git LFS: fetch the file itself"),
    (rb"(?i:\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<svg)", f"an SVG: {_EXPORT}"),
    (rb"(?i:(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|!--))", "a web page: give the picture itself"),
    (rb"\s*<(?:\?xml|[A-Za-z]+[ />])", "an XML text, such as the error of a storage: give the picture itself"),
    (rb"\s*[{\[]", "a JSON text: give the picture itself"),
)
_LOOKS_LIKE = tuple((re.compile(beginning, re.DOTALL), words) for beginning, words in _OTHERS)
_BEGINNING = 256


def format_of(data: bytes) -> Format | None:
    """Return the format of a picture by its first bytes; ``None`` if Segmind does not accept it."""
    return next((known for known in FORMATS if known.beginning.match(data)), None)


def readable_format_of(data: bytes) -> Format | None:
    """Return the format of a picture by its first bytes; ``None`` if it can be neither sent nor converted."""
    return next((known for known in (*FORMATS, *CONVERTED) if known.beginning.match(data)), None)


def looks_like(data: bytes) -> str:
    """Return what a file that cannot be read looks like, and what to do; empty if unknown."""
    if not data.strip(b"\0"):
        return "a file of zeros: copy it again" if data else "an empty file: copy it again"
    beginning = data[:_BEGINNING]
    return next((words for known, words in _LOOKS_LIKE if known.match(beginning)), "")


def media_type_of(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes; ``None`` if Segmind does not accept it."""
    known = format_of(data)
    return None if known is None else known.media_type
