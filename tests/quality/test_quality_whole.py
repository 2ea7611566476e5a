"""Files that decoders put up with, and that are not the picture that was saved: each is refused; whole ones never."""

from __future__ import annotations

import functools
import struct
from typing import Any

import pytest
from PIL import Image

from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.prepare import check, prepare
from airflow_provider_segmind.quality.reading import UnreadableError, read
from tests.quality.drawing import encoded, find, scene

pytestmark = pytest.mark.slow


@functools.cache
def photograph() -> Image.Image:
    return Image.blend(scene(800, 600), Image.effect_noise((800, 600), 60).convert("RGB"), 0.4)


def refused(data: bytes, words: str) -> None:
    for work in (prepare, check, read):
        with pytest.raises(UnreadableError, match=words):
            work(data)


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"])
def test_a_png_with_one_wrong_bit_is_damaged(name: bytes) -> None:
    whole = encoded(photograph().convert("P"), transparency=3)
    broken = bytearray(whole)
    broken[whole.index(name) + (4 if name in (b"tRNS", b"IEND") else 12)] ^= 1
    refused(bytes(broken), "cut off or damaged")
    assert find(check_swap(whole, bytes(broken), qa=False), "readable").verdict == "fail"


@pytest.mark.parametrize("lost", [1, 4, 12, 13, 16, 20])
def test_a_png_without_its_last_bytes_is_cut_off(lost: int) -> None:
    for picture in (photograph(), Image.new("RGB", (400, 300), "white")):
        whole = encoded(picture)
        refused(whole[:-lost], "a part is missing")
        refused(whole[:-lost] + bytes(lost), "a part is missing|damaged")
        assert prepare(whole + bytes(5000)).done == (), "what follows does not matter"


CODED: dict[str, dict[str, Any]] = {
    "usual": {},
    "full colours": {"subsampling": 0, "quality": 98},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
    "own codes": {"optimize": True},
}


def jpeg(picture: Image.Image, mode: str = "RGB", **how: Any) -> bytes:
    return encoded(picture.convert(mode), "JPEG", **how)


@pytest.mark.parametrize("how", CODED.values(), ids=CODED)
def test_a_jpeg_with_a_hole_or_an_end_that_was_set_is_refused(how: dict[str, Any]) -> None:
    whole = jpeg(photograph(), **how)
    begin, end = (len(whole) * share // 100 for share in (10, 99))
    refused(whole[:begin] + bytes(end - begin) + whole[end:], "damaged|missing")
    # In the last scan of a progressive one, only the last bits of fine detail are missing.
    for share in (20,) if how.get("progressive") else (20, 50, 80, 98):
        refused(whole[: len(whole) * share // 100].rstrip(b"\xff") + b"\xff\xd9", "missing")


@pytest.mark.parametrize("how", [how for how in CODED.values() if "progressive" not in how])
def test_a_jpeg_with_more_rows_than_data_is_refused(how: dict[str, Any]) -> None:
    whole = bytearray(jpeg(photograph(), **how))
    struct.pack_into(">H", whole, whole.index(b"\xff\xc0") + 5, 900)
    refused(bytes(whole), "missing")


@pytest.mark.parametrize("how", CODED.values(), ids=CODED)
@pytest.mark.parametrize("quality", [30, 75, 100])
def test_a_whole_jpeg_of_one_colour_or_with_a_grey_end_is_not_refused(how: dict[str, Any], quality: int) -> None:
    ramp = Image.linear_gradient("L").resize((1200, 1200)).convert("RGB")
    pictures = [ramp, ramp.rotate(180), ramp.transpose(Image.Transpose.ROTATE_90)]
    for level in (0, 64, 127, 128, 129, 255):
        flat = Image.new("RGB", (1200, 1200), (level,) * 3)
        half = flat.copy()
        half.paste(photograph(), (0, 0))
        pictures += [flat, half]
    for picture in pictures:
        read(jpeg(picture, **{"quality": quality, **how}))


def test_only_the_scans_of_the_first_picture_count() -> None:
    for how, count in (({}, 45), ({"progressive": True}, 8)):
        pictures = [scene(160, 120).rotate(number) for number in range(count)]
        data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:], **how)
        assert prepare(data).done == ("first picture of several",)


PACKED: dict[str, tuple[str, dict[str, Any]]] = {
    "WebP": ("WEBP", {}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "AVIF": ("AVIF", {}),
    "HEIC": ("HEIF", {}),
    "HEIC in tiles": ("HEIF", {"tile_size": 256}),
}


def packed(kind: str, picture: Image.Image, **more: Any) -> bytes:
    name, how = PACKED[kind]
    if name == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    return encoded(picture, name, **how, **more)


@pytest.mark.parametrize("kind", [kind for kind in PACKED if "lossless" not in kind])
def test_a_hole_in_compressed_pixels_is_found(kind: str) -> None:
    whole = packed(kind, photograph(), **({"quality": 98} if kind == "WebP" else {}))
    middle = len(whole) * 6 // 10
    lost = 35_000 if kind == "WebP" else 3000
    refused(whole[:middle] + bytes(lost) + whole[middle + lost :], "damaged")


@pytest.mark.parametrize("kind", [kind for kind in PACKED if "lossless" not in kind])
@pytest.mark.parametrize("lost", [512, 60_000])
def test_a_part_that_was_never_written_to_flash_is_found(kind: str, lost: int) -> None:
    whole = packed(kind, photograph(), quality=95)
    middle = len(whole) // 2
    refused(whole[:middle] + b"\xff" * lost + whole[middle + lost :], "damaged|missing|decode|read")


@pytest.mark.parametrize("how", CODED.values(), ids=CODED)
def test_a_part_of_a_jpeg_that_was_never_written_to_flash_is_found(how: dict[str, Any]) -> None:
    whole = jpeg(photograph(), **how)
    for share in (30, 50, 80):
        begin = len(whole) * share // 100
        for lost in (512, 4096):
            refused(whole[:begin] + b"\xff" * lost + whole[begin + lost :], "damaged|missing|decode|read")
    assert prepare(whole[:-2] + b"\xff" * 3000 + whole[-2:]).done in ((), ("sRGB",)), "fill before a marker is allowed"


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("share", [40, 95])
def test_a_copy_that_began_anew_in_the_middle_is_damaged(kind: str, share: int) -> None:
    whole = packed(kind, photograph())
    refused(whole[: len(whole) * share // 100] + whole, "damaged|missing|decode|read|twice")
    if "WebP" in kind:
        assert prepare(whole + whole).done == (), "what follows does not matter"


@pytest.mark.parametrize("kind", [*PACKED, *CODED])
@pytest.mark.parametrize("side", [300, 800])
def test_a_picture_that_was_copied_as_text_is_damaged(kind: str, side: int) -> None:
    picture = photograph().resize((side, side))
    whole = packed(kind, picture) if kind in PACKED else jpeg(picture, **CODED[kind])
    refused(whole.replace(b"\n", b"\r\n"), "damaged|missing|decode|read|parts|profile|twice|size")


@pytest.mark.parametrize("kind", [*PACKED, *CODED])
def test_text_with_the_line_breaks_of_windows_in_a_picture_does_not_matter(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a line of metadata\r\n" * 400
    for picture in (Image.new("RGB", (64, 64), "white"), photograph().resize((64, 48)), photograph()):
        more = {"exif": exif.tobytes()}
        assert read(packed(kind, picture, **more) if kind in PACKED else jpeg(picture, **more, **CODED[kind]))


@pytest.mark.parametrize("kind", PACKED)
def test_zeros_outside_of_the_pixels_do_not_matter(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "\0" * 5000
    whole = packed(kind, photograph(), exif=exif.tobytes())
    for data in (whole, whole + bytes(5000)):
        assert prepare(data)
    if "WebP" in kind:
        chunk = b"junk" + struct.pack("<I", 5000) + bytes(5000)
        for more in (b"", bytes(300)):
            assert prepare(b"RIFF" + struct.pack("<I", len(whole) - 8 + 5008) + whole[8:] + chunk + more).done == ()
    else:
        assert prepare(whole + struct.pack(">I4s", 5008, b"free") + bytes(5000))


@pytest.mark.parametrize("kind", PACKED)
def test_a_flat_picture_has_no_holes(kind: str) -> None:
    # Only in a WebP the zeros grow with the picture: in one of 12 megapixels there are more than the least hole has.
    size = (4000, 3000) if kind == "WebP" else (1000, 750)
    for level in (0, 128, 255):
        assert read(packed(kind, Image.new("RGB", size, (level,) * 3))).size == size
    half = Image.new("RGB", (1600, 1200))
    half.paste(photograph(), (0, 0))
    name, how = PACKED[kind]
    assert read(encoded(half, name, **({**how, "method": 0, "quality": 1} if kind == "WebP" else how)))
