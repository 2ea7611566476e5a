"""Bytes of any kind give a verdict, and every usual picture is read the way a person sees it."""

from __future__ import annotations

import contextlib
import functools
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from airflow_provider_segmind.quality import inspect
from airflow_provider_segmind.quality.prepare import prepare
from airflow_provider_segmind.quality.reading import WORK_SIDE, UnreadableError, read
from tests.quality.drawing import encoded, find, opened, scene, trio

try:
    import pillow_heif as heif
except ImportError:
    heif = None
else:
    heif.register_heif_opener()

# The core alone: that bytes can be read has nothing to do with models.
check_input = functools.partial(inspect.check_input, qa=False)
check_swap = functools.partial(inspect.check_swap, qa=False)

MANY = 64_000_000


def bomb() -> bytes:
    """A PNG that says it has 3.6 thousand million pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@functools.cache
def unreadable() -> dict[str, bytes]:
    png, jpeg, webp = (encoded(scene(600, 600), kind) for kind in ("PNG", "JPEG", "WEBP"))
    return {
        "empty": b"",
        "HTML": b"<!doctype html><html><body>Not found</body></html>",
        "JSON": b'{"error": "expired"}',
        "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(200),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 600 600\nshowpage\n",
        "half a PNG": png[: len(png) // 2],
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "half a WebP": webp[: len(webp) // 2],
        "a bomb": bomb(),
    }


@pytest.mark.parametrize("kind", unreadable())
def test_what_is_no_picture_fails_as_unreadable_and_skips_the_rest(kind):
    source, _, reference = trio()
    for report in (check_swap(source, unreadable()[kind], reference), check_input(unreadable()[kind], reference)):
        assert [check.name for check in report.failed] == ["readable"]
        assert {check.verdict for check in report.checks[1:]} == {"skipped"}
        assert "cannot be read" in report.summary()


def test_more_pixels_than_the_cap_are_not_decoded(monkeypatch):
    picture = encoded(Image.new("L", (8001, 8000)), compress_level=1)
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append(image.size))
    check = check_input(picture).checks[0]
    assert (check.verdict, check.value) == ("fail", "source")
    assert "8001 x 8000" in check.why
    assert decoded == []


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_a_camera_stored_turned_is_measured_upright(orientation, kind):
    upright = scene(600, 900)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(encoded(stored, kind, exif=exif), MANY)
    assert picture.size == (600, 900)
    assert picture.small.size == (341, WORK_SIDE)
    report = check_swap(encoded(upright), encoded(stored, kind, exif=exif))
    assert find(report, "changed_area_fraction").value == 0


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "PA", "CMYK", "1", "I;16"])
def test_pictures_of_every_usual_mode_are_read(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    grey = scene(600, 600).convert("L")
    if mode == "I;16":
        stored = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    elif mode == "PA":
        stored = grey.convert("P")
        stored.info["transparency"] = 255
    else:
        stored = grey.convert(mode)
    options = {"transparency": 255} if mode == "PA" else {}
    report = check_swap(encoded(grey), encoded(stored, kind, **options))
    assert find(report, "readable").verdict == "pass"
    # A picture of black and white pixels only looks different in some blocks; the others must not.
    assert find(report, "changed_area_fraction").value <= (1 if mode == "1" else 0.01)


def test_what_is_transparent_counts_as_white():
    clear = scene(600, 600).convert("RGBA")
    clear.putalpha(0)
    assert read(encoded(clear), MANY).small.getextrema() == ((255, 255),) * 3


def test_only_the_first_frame_of_an_animation_counts():
    frames = [scene(600, 600), Image.new("RGB", (600, 600))]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert find(check_swap(encoded(frames[0]), data), "changed_area_fraction").value == 0


BROKEN_EXIF = {
    "points outside": b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\xff\xff",
    "no TIFF": b"Exif\x00\x00XX garbage",
    "a text as orientation": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02\x00\x00\x00\x04abc"
    + bytes(5),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_metadata_do_not_make_a_picture_unreadable(exif, kind):
    assert read(encoded(scene(600, 900), kind, exif=exif), MANY).size == (600, 900)


def test_a_picture_of_one_pixel_gets_a_verdict():
    dot = encoded(Image.new("RGB", (1, 1)))
    assert check_swap(dot, dot, dot).verdict == "fail"
    assert check_swap(encoded(scene(600, 600)), dot, dot).verdict == "fail"


@functools.cache
def seeds() -> tuple[bytes, ...]:
    picture = scene(96, 64)
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        encoded(picture, "JPEG", exif=exif),
        encoded(picture, "JPEG", progressive=True),
        encoded(picture, "PNG", exif=exif),
        encoded(picture.convert("P"), "PNG", transparency=3),
        encoded(picture, "WEBP"),
        encoded(picture.convert("RGBA"), "WEBP", lossless=True),
        encoded(picture, "AVIF", exif=exif),
        *((encoded(picture, "HEIF"),) if heif else ()),
    )


@given(data=st.data())
@settings(max_examples=300, deadline=60_000)  # a net for what would hang
def test_no_broken_bytes_crash_or_hang_a_check(data):
    seed = data.draw(st.sampled_from(seeds()))
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(broken) - 1))
        action = data.draw(st.sampled_from(("set", "cut", "insert", "repeat")))
        if action == "set":
            broken[place] = data.draw(st.integers(0, 255))
        elif action == "cut":
            del broken[place : place + data.draw(st.integers(0, 64))]
            broken = broken or bytearray(b"x")
        elif action == "insert":
            broken[place:place] = data.draw(st.binary(max_size=16))
        else:
            broken[place:place] = broken[: data.draw(st.integers(0, 64))]
    report = check_swap(seed, bytes(broken), seed)
    with contextlib.suppress(UnreadableError):
        prepare(bytes(broken))
    assert report.verdict in ("pass", "review", "fail")
    assert report.to_json()["kind"] == "swap"


def test_draft_and_full_decoding_see_the_same():
    large = scene(3000, 2000)
    assert find(check_swap(encoded(large), encoded(large, "JPEG", quality=90)), "changed_area_fraction").value == 0
    assert opened(encoded(large)).size == read(encoded(large, "JPEG"), MANY).size
