"""Colours and the way up, as chunks and EXIF tell them: those that count are kept, and broken ones change nothing."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from airflow_provider_segmind.quality.prepare import prepare
from airflow_provider_segmind.quality.reading import UnreadableError
from tests.quality import profiles
from tests.quality.drawing import encoded, opened
from tests.quality.phones import far, house, turned


def png_with(picture: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    whole = encoded(picture)
    made = b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return whole[:33] + made + whole[33:]


def levels(gamma: float) -> Image.Image:
    return house().point([round(255 * (level / 255) ** (2.2 / gamma)) for level in range(256)] * 3)


CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
GAMMA = b"gAMA"


def cicp(primaries: int, curve: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes((primaries, curve, 0, 1))


def iccp(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"a\0\0" + zlib.compress(profile)


@pytest.mark.parametrize(
    ("gamma", "profile", "chunks"),
    [
        (1.0, None, [(GAMMA, struct.pack(">I", 100_000))]),
        (1.8, None, [(GAMMA, struct.pack(">I", 55_556))]),
        (2.2, profiles.ADOBE_RGB, [(b"cHRM", CHRM), (GAMMA, struct.pack(">I", 45_455))]),
        (2.2, profiles.DISPLAY_P3, [cicp(12, 13), iccp(profiles.SRGB)]),
        (2.2, profiles.DISPLAY_P3, [(GAMMA, struct.pack(">I", 100_000)), iccp(profiles.DISPLAY_P3)]),
    ],
)
def test_the_colours_of_a_png_are_those_of_the_chunk_that_counts(
    gamma: float, profile: bytes | None, chunks: list[tuple[bytes, bytes]]
) -> None:
    picture = levels(gamma) if profile is None else profiles.converted(house(), profile)
    prepared = prepare(png_with(picture, *chunks))
    assert prepared.done == ("sRGB",)
    assert far(opened(prepared.data), house()) < 4


@pytest.mark.parametrize(
    "chunks",
    [
        [(GAMMA, struct.pack(">I", 45_455))],
        [(GAMMA, struct.pack(">I", 45_455)), (b"cHRM", CHRM[:16] + struct.pack(">4I", 30000, 60000, 15000, 6000))],
        [(b"sRGB", b"\0"), (GAMMA, struct.pack(">I", 100_000)), (b"cHRM", CHRM)],
        [(GAMMA, struct.pack(">I", 100_000)), iccp(profiles.SRGB)],
        [(GAMMA, b"\0\0"), (b"cHRM", CHRM[:10])],
        [(GAMMA, bytes(4)), (GAMMA, b"")],
        [cicp(1, 13), iccp(profiles.DISPLAY_P3)],
    ],
)
def test_a_png_of_srgb_or_with_broken_chunks_is_sent_as_it_is(chunks: list[tuple[bytes, bytes]]) -> None:
    assert prepare(png_with(house(), *chunks)).done == ()


def test_hdr_is_refused_also_beside_a_profile_but_not_for_a_gain_map() -> None:
    avif = encoded(house(), "AVIF", icc_profile=profiles.DISPLAY_P3)
    brighter = bytearray(avif)
    struct.pack_into(">HH", brighter, avif.index(b"colrnclx") + 8, 9, 16)
    for data in (png_with(house(), cicp(9, 16), iccp(profiles.SRGB)), bytes(brighter)):
        with pytest.raises(UnreadableError, match="it is HDR"):
            prepare(data)
    # As if its list of items named a gain map, whose own picture is the brighter one.
    assert prepare(bytes(brighter) + struct.pack(">I4s4s", 12, b"free", b"tmap")).done == ("sRGB", "JPEG from AVIF")


def camera(mark: str, space: int = 0xFFFF) -> bytes:
    said = Image.Exif()
    said[0x0112] = 1
    directory = said.get_ifd(0x8769)
    directory[0xA001], directory[0xA005] = space, {1: mark}
    return said.tobytes()


@pytest.mark.parametrize("profile", [None, profiles.SRGB])
def test_adobe_rgb_that_only_exif_tells_is_sent_as_srgb(profile: bytes | None) -> None:
    picture = profiles.converted(house(), profiles.ADOBE_RGB)
    more = {"icc_profile": profile} if profile else {}
    prepared = prepare(encoded(picture, "JPEG", quality=95, exif=camera("R03"), **more))
    assert prepared.done == (() if profile else ("sRGB",)), "a profile counts more"
    if not profile:
        assert far(opened(prepared.data), house()) < 2
    for other in (camera("R98"), camera("R03", 1), camera("R03")[:40], camera("R03")[:60]):
        assert prepare(encoded(house(), "JPEG", exif=other)).done == ()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["H", "I"])
def test_an_orientation_may_be_a_short_or_a_long_number(order: str, form: str) -> None:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 1)
    kind = {"H": 3, "I": 4}[form]
    entry = struct.pack(f"{order}HHI", 0x112, kind, 1) + struct.pack(order + form, 6).ljust(4, b"\0")
    data = encoded(turned(6), "JPEG", quality=95, exif=b"Exif\0\0" + head + entry + bytes(4))
    assert prepare(data).done == ("upright",)
