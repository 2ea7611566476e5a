"""What kind of picture some bytes are."""

from __future__ import annotations


def media_type_of(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes, or ``None`` if it is none that Segmind takes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
