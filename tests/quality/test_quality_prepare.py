"""What Segmind would take and read right is sent as it is; another picture is prepared, or refused in words."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from airflow_provider_segmind.api import media
from airflow_provider_segmind.quality import prepare as preparing
from airflow_provider_segmind.quality.prepare import SIDE, check, prepare
from airflow_provider_segmind.quality.reading import UnreadableError, read, thumbnail
from tests.quality import profiles
from tests.quality.drawing import encoded, opened, scene
from tests.quality.phones import HEIC, exif, far, heif, house, turned


def clear(mode: str = "RGBA") -> Image.Image:
    """The picture, ever more transparent to its end."""
    picture = house().convert(mode)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def deep_png(picture: Image.Image, colour: int) -> bytes:
    """Return a PNG of 16 bits for each channel, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data, channels = picture.tobytes(), len(picture.getbands())
    wide = bytes(value for byte in data for value in (byte, byte))
    row = picture.width * channels * 2
    rows = b"".join(b"\0" + wide[at : at + row] for at in range(0, len(wide), row))
    header = struct.pack(">IIBBBBB", *picture.size, 16, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


UNCHANGED: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(house()),
    "PNG, grey": lambda: encoded(house().convert("L")),
    "PNG with transparency": lambda: encoded(clear()),
    "PNG with sRGB's profile": lambda: encoded(house(), icc_profile=profiles.SRGB),
    "JPEG": lambda: encoded(house(), "JPEG", exif=exif(1)),
    "JPEG, grey": lambda: encoded(house().convert("L"), "JPEG"),
    "JPEG, progressive": lambda: encoded(house(), "JPEG", progressive=True),
    "JPEG with sRGB's profile": lambda: encoded(house(), "JPEG", icc_profile=profiles.SRGB),
    "JPEG with a broken profile": lambda: encoded(house(), "JPEG", icc_profile=b"no profile" * 20),
    "JPEG with a profile of other channels": lambda: encoded(house(), "JPEG", icc_profile=profiles.press()),
    "JPEG before a film": lambda: encoded(house(), "JPEG") + random.Random(1).randbytes(2**20),  # noqa: S311
    "WebP": lambda: encoded(house(), "WEBP"),
    "WebP, lossless, with transparency": lambda: encoded(clear(), "WEBP", lossless=True),
}


@pytest.mark.parametrize("make", UNCHANGED.values(), ids=UNCHANGED)
def test_what_needs_nothing_is_sent_byte_by_byte(make: Callable[[], bytes]) -> None:
    data = make()
    prepared = prepare(data)
    assert (prepared.data, prepared.done) == (data, ())
    assert prepared.media_type == media.media_type_of(data)
    assert check(data) == ()


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_turned_picture_is_sent_upright(kind: str, orientation: int) -> None:
    prepared = prepare(encoded(turned(orientation), kind, exif=exif(orientation)))
    sent = opened(prepared.data)
    assert prepared.done[0] == "upright"
    assert far(house(), sent) < 2
    assert not sent.getexif()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_heic_is_turned_by_its_own_box_and_not_once_more_by_its_metadata(orientation: int) -> None:
    data = encoded(turned(orientation), HEIC, exif=exif(orientation))
    assert b"irot" in data or b"imir" in data
    assert far(house(), opened(prepare(data).data)) < 2
    assert read(data).size == (600, 900)


@pytest.mark.parametrize("profile", profiles.WIDE.values(), ids=profiles.WIDE)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", HEIC])
def test_other_colours_are_sent_as_srgb_by_their_profile(kind: str, profile: bytes) -> None:
    how = {} if kind == "PNG" else {"quality": 95}
    stored = profiles.converted(house(), profile)
    data = encoded(stored, kind, icc_profile=profile, **how)
    prepared = prepare(data)
    sent = opened(prepared.data)
    assert prepared.done[0] == "sRGB"
    assert far(house(), sent) < 2 < far(house(), stored)
    assert "icc_profile" not in sent.info
    for small in (read(data).small, opened(thumbnail(data, 640).data)):
        assert far(house().resize(small.size, Image.Resampling.BICUBIC), small) < 5


def coded(data: bytes, primaries: int, curve: int) -> bytes:
    """Return a HEIC or AVIF that names its colours by other numbers."""
    changed, at = bytearray(data), data.index(b"colrnclx")
    struct.pack_into(">HH", changed, at + 8, primaries, curve)
    return bytes(changed)


def numbered_png(picture: Image.Image, primaries: int, curve: int) -> bytes:
    """Return a PNG that names its colours by numbers."""
    plain, body = encoded(picture), bytes((primaries, curve, 0, 1))
    more = struct.pack(">I4s4sI", 4, b"cICP", body, zlib.crc32(b"cICP" + body))
    return plain[:33] + more + plain[33:]


@pytest.mark.parametrize("primaries", [9, 12], ids=["BT.2020", "Display P3"])
@pytest.mark.parametrize("kind", ["PNG", "AVIF", HEIC])
def test_colours_that_are_named_by_number_are_converted_too(kind: str, primaries: int) -> None:
    stored = profiles.converted(house(), preparing.colours.of_primaries(primaries) or b"")
    for curve in (1, 13):
        made = numbered_png(stored, primaries, curve)
        data = made if kind == "PNG" else coded(encoded(stored, kind, quality=95), primaries, curve)
        prepared = prepare(data)
        assert prepared.done[0] == "sRGB"
        assert far(house(), opened(prepared.data)) < 2 < far(house(), stored)


@pytest.mark.parametrize("curve", preparing.colours.HDR)
@pytest.mark.parametrize("kind", ["PNG", "AVIF", HEIC])
def test_hdr_is_refused_rather_than_sent_washed_out(kind: str, curve: int) -> None:
    made = numbered_png(house(), 9, curve)
    data = made if kind == "PNG" else coded(encoded(house(), kind), 9, curve)
    for work in (prepare, check, read):
        with pytest.raises(UnreadableError, match="it is HDR"):
            work(data)


def test_transparency_outlives_the_profile() -> None:
    stored = profiles.converted(house(), profiles.DISPLAY_P3).convert("RGBA")
    stored.putalpha(clear().getchannel("A"))
    prepared = prepare(encoded(stored, icc_profile=profiles.DISPLAY_P3))
    sent = opened(prepared.data)
    assert (prepared.media_type, prepared.done, sent.mode) == ("image/png", ("sRGB",), "RGBA")
    assert "icc_profile" not in sent.info
    assert far(house(), sent) < 2
    assert sent.getchannel("A").tobytes() == clear().getchannel("A").tobytes()


def test_grey_with_a_curve_of_its_own_is_sent_as_srgb() -> None:
    grey = house().convert("L")
    prepared = prepare(encoded(grey, "JPEG", icc_profile=profiles.GREY))
    assert prepared.done == ("sRGB",)
    assert far(grey, opened(prepared.data)) > 20


def test_cmyk_is_sent_as_srgb_with_and_without_a_profile() -> None:
    """Adobe stores a JPEG's CMYK inverted, and so does Pillow."""
    inks = house().convert("CMYK")
    plain = prepare(encoded(inks, "JPEG", quality=95))
    assert (plain.done, plain.media_type) == (("sRGB",), "image/jpeg")
    assert b"Adobe" in encoded(inks, "JPEG")
    assert far(house(), opened(plain.data)) < 2
    printed = opened(prepare(encoded(inks, "JPEG", quality=95, icc_profile=profiles.press())).data)
    assert printed.mode == "RGB"
    assert far(house(), printed) > 20


DEEP: dict[str, Callable[[], bytes]] = {
    "grey": lambda: deep_png(house().convert("L"), 0),
    "RGB": lambda: deep_png(house(), 2),
    "grey, by Pillow": lambda: encoded(house().convert("L").convert("I").point(lambda v: v * 257).convert("I;16")),
    "grey with transparency": lambda: deep_png(clear("L"), 4),
    "RGB with transparency": lambda: deep_png(clear(), 6),
}


@pytest.mark.parametrize("name", DEEP)
def test_sixteen_bits_are_sent_as_eight_and_neither_white_nor_black(name: str) -> None:
    data = DEEP[name]()
    prepared = prepare(data)
    wanted = house().convert("L") if "grey" in name else house()
    assert prepared.done == ("8 bit",)
    assert prepared.media_type == ("image/png" if "transparency" in name else "image/jpeg")
    assert far(wanted, opened(prepared.data)) < 2
    if "transparency" not in name:
        assert far(wanted.resize((341, 512)), read(data).small) < 5
        assert far(wanted.resize((427, 640)), opened(thumbnail(data, 640).data)) < 5


FEW: dict[str, Callable[[], bytes]] = {
    "a palette": lambda: encoded(house().quantize(64)),
    "a palette with transparency": lambda: encoded(house().quantize(64), transparency=0),
    "one bit": lambda: encoded(house().convert("1")),
    "grey with transparency": lambda: encoded(clear("L").convert("LA")),
}


@pytest.mark.parametrize("name", FEW)
def test_what_models_seldom_expect_is_sent_as_rgb(name: str) -> None:
    data = FEW[name]()
    prepared = prepare(data)
    sent = opened(prepared.data)
    assert prepared.done == ("RGB",)
    assert sent.mode == ("RGBA" if "transparency" in name else "RGB")
    assert far(opened(data).convert("RGBA").convert("RGB"), sent) < (12 if name == "one bit" else 3)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_of_an_animation_the_first_picture_is_sent(kind: str) -> None:
    frames = [Image.new("RGB", house().size, colour) for colour in ("red", "blue")]
    prepared = prepare(encoded(house(), kind, save_all=True, append_images=frames, duration=100))
    assert prepared.done == ("first picture of several",)
    assert far(opened(prepared.data), house()) < 3
    assert prepare(encoded(house(), kind, save_all=True)).done == ()
    if kind == "PNG":
        apart = encoded(house(), kind, save_all=True, append_images=frames[:1], default_image=True)
        assert prepare(apart).done == ("first picture of several",)


def test_of_several_pictures_the_first_is_sent() -> None:
    out = io.BytesIO()
    house().save(out, "MPO", save_all=True, append_images=[Image.new("RGB", (300, 300))], quality=90)
    prepared = prepare(out.getvalue())
    assert prepared.done == ("first picture of several",)
    assert opened(prepared.data).format == "JPEG"
    assert far(house(), opened(prepared.data)) < 2


@pytest.mark.parametrize("kind", ["AVIF", HEIC])
def test_what_phones_make_is_converted(kind: str) -> None:
    name = "HEIC" if kind == HEIC else kind
    prepared = prepare(encoded(house(), kind, quality=90))
    assert (prepared.media_type, prepared.done) == ("image/jpeg", (f"JPEG from {name}",))
    assert far(house(), opened(prepared.data)) < 2
    seen = prepare(encoded(clear(), kind, quality=90))
    assert (seen.media_type, seen.done, opened(seen.data).mode) == ("image/png", (f"PNG from {name}",), "RGBA")
    opaque = prepare(encoded(house().convert("RGBA"), kind, quality=90))
    assert opaque.media_type == "image/jpeg"


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_heic_is_known_by_any_of_its_brands(brand: bytes) -> None:
    data = bytearray(encoded(house(), HEIC))
    data[8:12] = brand
    assert prepare(bytes(data)).done == ("JPEG from HEIC",)


def test_a_heic_in_tiles_is_put_together() -> None:
    heif.options.GRID_TILE_SIZE = 256
    try:
        data = encoded(house(), HEIC, quality=90)
    finally:
        heif.options.GRID_TILE_SIZE = 0
    assert b"grid" in data
    assert far(house(), opened(prepare(data).data)) < 2


@pytest.mark.parametrize("size", [(4097, 300), (300, 4097), (8064, 604), (16_320, 1224)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_scaled_down_and_keeps_its_shape(kind: str, size: tuple[int, int]) -> None:
    prepared = prepare(encoded(scene(*size), kind))
    sent = opened(prepared.data)
    assert prepared.done == (f"scaled to {max(sent.size)}",)
    assert SIDE * 0.95 <= max(sent.size) <= SIDE
    assert abs(sent.width / sent.height / (size[0] / size[1]) - 1) < 0.01
    assert far(scene(*size).resize(sent.size, Image.Resampling.BICUBIC), sent) < 4


def test_everything_at_once() -> None:
    stored = profiles.converted(house(), profiles.ADOBE_RGB).resize((3000, 4500)).transpose(Image.Transpose.ROTATE_90)
    prepared = prepare(encoded(stored, "JPEG", quality=95, exif=exif(6), icc_profile=profiles.ADOBE_RGB))
    sent = opened(prepared.data)
    assert prepared.done == ("upright", "sRGB", "scaled to 4096")
    assert far(house(), sent.resize(house().size)) < 4


def test_a_file_that_is_too_large_to_send_is_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.effect_noise((600, 900), 60).convert("RGB"), compress_level=0)
    monkeypatch.setattr(media, "MAX_BYTES", len(data) - 1)
    prepared = prepare(data)
    assert (prepared.media_type, prepared.done) == ("image/jpeg", ("compressed",))
    monkeypatch.setattr(media, "MAX_BYTES", 1000)
    with pytest.raises(UnreadableError, match="with its transparency it has more than 0 MiB: export it without"):
        prepare(encoded(clear()))


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {"quality": 92}),
    "JPEG, progressive": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {"quality": 90}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "AVIF": ("AVIF", {"quality": 95}),
    "HEIC": (HEIC, {"quality": 95}),
    "HEIC in tiles": (HEIC, {"quality": 95, "tile_size": 256}),
}
NOISY = 8
CUTS = {
    "12 bytes": lambda data: data[:12],
    "its first tenth": lambda data: data[: len(data) // 10],
    "60 %": lambda data: data[: len(data) * 6 // 10],
    "99 %": lambda data: data[: len(data) * 99 // 100],
    "60 %, and zeros": lambda data: data[: len(data) * 6 // 10].ljust(len(data), b"\0"),
    "the first bytes, and zeros": lambda data: data[:64].ljust(len(data), b"\0"),
}


@functools.cache
def whole(kind: str) -> bytes:
    noise = Image.effect_noise((600, 900), 60).convert("RGB")
    name, how = KINDS[kind]
    return encoded(Image.blend(house(), noise, 0.2), name, **how)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_whole_is_never_prepared_and_never_passes_the_check(kind: str, cut: str) -> None:
    data = CUTS[cut](whole(kind))
    works = [prepare, check, read]
    if kind[:4] not in ("AVIF", "HEIC"):  # no result is one
        works.append(lambda cut: thumbnail(cut, 640))
    for work in works:
        with pytest.raises(UnreadableError):
            work(data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_file_whole_is_prepared(kind: str) -> None:
    assert far(opened(whole(kind)), opened(prepare(whole(kind)).data)) < 4
