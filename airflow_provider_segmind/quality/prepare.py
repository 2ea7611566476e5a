"""Make a picture ready for Segmind: whole, upright, sRGB, of 8 bits, not too large, and in a format that it takes."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality import colours, reading

if TYPE_CHECKING:
    from PIL import Image

SIDE = 4096
"""Pixels of the longer side that a picture is scaled down to; a swap has fewer."""
_LEAST = 3891
"""As good as ``SIDE``, if a JPEG decoder can scale to it: 48 megapixels then take as much memory as 12."""
_QUALITY = 92
_COMPRESSION = 2
"""Of a PNG: with more, a photograph gets hardly smaller and takes up to six times as long."""
_SCALED, _CONVERTED = "scaled", "converted"
_USUAL = ("L", "RGB", "RGBA")
_AT_ONCE = threading.BoundedSemaphore(2)
"""Pictures that this process prepares at the same time; each takes up to 300 MiB."""


@dataclass(frozen=True)
class Prepared:
    """
    A picture to send.

    :param done: what was done to it, in words; empty if these are the bytes that were given.
    :param original: SHA-256 of the bytes that were given; empty if those are the same.
    """

    data: bytes
    media_type: str
    done: tuple[str, ...] = ()
    original: str = ""


def prepare(data: bytes) -> Prepared:
    """Decode a whole picture, and return it as it is or prepared; raise ``UnreadableError`` if it cannot be."""
    stored = reading.look(data)
    wanted = _wanted(stored, len(data))
    if not wanted:
        reading.read(data)
        return Prepared(data, stored.kind.media_type)
    with _AT_ONCE:
        decoded = reading.decode(data, SIDE, least=_LEAST)
        kind, encoded = _encoded(colours.to_srgb(decoded.pixels, stored.profile))
    if len(encoded) > media.MAX_BYTES:
        raise reading.UnusableError(
            f"with its transparency it has more than {media.MAX_BYTES // 2**20} MiB: export it without"
        )
    made = {
        _SCALED: f"scaled to {max(decoded.pixels.size)}",
        _CONVERTED: f"{kind.name} from {stored.kind.name}",
    }
    original = hashlib.sha256(data).hexdigest()
    return Prepared(encoded, kind.media_type, tuple(made.get(words, words) for words in wanted), original)


def check(data: bytes) -> tuple[str, ...]:
    """Decode a whole picture at little cost, and return what :func:`prepare` would do; raise as it does."""
    stored = reading.look(data)
    reading.read(data)
    return _wanted(stored, len(data))


def _wanted(stored: reading.Stored, size: int) -> tuple[str, ...]:
    """Return what separates a picture from one that is sent as it is."""
    found = {
        "upright": stored.turn is not None,
        "sRGB": colours.differs(stored.profile, stored.mode),
        "8 bit": stored.deep,
        "RGB": stored.mode not in (*_USUAL, "CMYK") and not stored.deep,
        "first picture of several": stored.several,
        _SCALED: max(stored.size) > SIDE,
        "compressed": size > media.MAX_BYTES,
        _CONVERTED: stored.kind in media.CONVERTED,
    }
    return tuple(words for words, needed in found.items() if needed)


def _encoded(picture: Image.Image) -> tuple[media.Format, bytes]:
    out = io.BytesIO()
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
        picture.save(out, "PNG", compress_level=_COMPRESSION)
        return media.PNG, out.getvalue()
    # Without the thinned out colours of most JPEGs: this one is not the last.
    (picture.convert("RGB") if picture.mode == "RGBA" else picture).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return media.JPEG, out.getvalue()
