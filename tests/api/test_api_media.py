"""Which pictures Segmind takes."""

from __future__ import annotations

import pytest

from airflow_provider_segmind.api.media import looks_like, media_type_of, readable_format_of


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"<svg onload=alert(1)>", None),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_bytes(data: bytes, kind: str | None) -> None:
    assert media_type_of(data) == kind


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
GENERAL = b"\0\0\0\x1cftypmif1\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (HEIC, "HEIC"),
        (HEIC.replace(b"ftypheic", b"ftyphevx"), "HEIC"),
        (GENERAL + b"miafheic", "HEIC"),
        (GENERAL + b"miafMA1Bavif", "AVIF"),
        (b"\0\0\0\x18ftypavis\0\0\0\0", "AVIF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (GENERAL + b"miafvvic", None),
        (b"GIF89a", None),
    ],
)
def test_what_can_be_converted_is_known_by_its_bytes_too_but_is_not_sent(data: bytes, name: str | None) -> None:
    kind = readable_format_of(data)
    assert (kind and kind.name) == name
    assert (media_type_of(data) is not None) == (name == "PNG")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file: copy it again"),
        (bytes(100), "a file of zeros: copy it again"),
        (b"GIF89a", "a GIF: export it as PNG or JPEG"),
        (b"MM\0*\0\0\0\x08", "a TIFF or a camera's raw file: export it as PNG or JPEG"),
        (b"IIU\0", "a TIFF or a camera's raw file: export it as PNG or JPEG"),
        (GENERAL + b"miafvvic", "a film, or a kind of HEIF that is not read: give a photograph"),
        (b"\n<!DOCTYPE HTML>", "a web page: give the picture itself"),
        (b'<?xml version="1.0"?><!-- a --><svg>', "an SVG: export it as PNG or JPEG"),
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw file: export it as PNG or JPEG"),
        (b"\0\0\1\0\1\0", "an icon: export it as PNG or JPEG"),
        (b"%!PS-Adobe-3.0 EPSF", "an EPS: export it as PNG or JPEG"),
        (b"\0\5\x16\7\0\2\0\0", "a Mac's notes on another file (._ before its name): give that file"),
        (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgH", "a picture as base64 text: decode it to a file"),
        (b"data:image/png;base64,iVBO", "a picture as base64 text: decode it to a file"),
        (b"<Error><Code>AccessDenied", "an XML text, such as the error of a storage: give the picture itself"),
        (b"<svg xmlns=", "an SVG: export it as PNG or JPEG"),
        (b"anything", ""),
    ],
)
def test_what_cannot_be_read_is_named_if_it_is_known(data: bytes, words: str) -> None:
    assert looks_like(data) == words
