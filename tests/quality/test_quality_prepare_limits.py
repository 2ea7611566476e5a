"""A picture that would take too much is refused before it does, and the others take what they may."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from airflow_provider_segmind.api import media
from airflow_provider_segmind.api.media import MAX_PIXELS
from airflow_provider_segmind.quality import prepare as preparing
from airflow_provider_segmind.quality.prepare import prepare
from airflow_provider_segmind.quality.reading import TooManyPixelsError, UnreadableError
from tests.quality import profiles
from tests.quality.drawing import encoded, scene
from tests.quality.phones import HEIC, exif, house


def test_more_pixels_than_the_limit_are_refused_unless_a_jpeg_is_decoded_smaller() -> None:
    assert MAX_PIXELS < 8001 * 8000
    for kind, how in (("PNG", {}), ("JPEG", {"progressive": True})):
        with pytest.raises(TooManyPixelsError):
            prepare(encoded(Image.new("L", (8001, 8000)), kind, **how))
    assert prepare(encoded(Image.new("L", (8001, 8000)), "JPEG")).done == ("scaled to 4001",)


def lying(kind: str, side: int, said: int) -> bytes:
    """Return a file of one colour that says it has a side of ``said`` pixels."""
    data = bytearray(encoded(Image.new("RGB", (side, side), (90, 120, 30)), kind, quality=20))
    at = data.find(b"ispe")
    while at >= 0:
        struct.pack_into(">II", data, at + 8, said, said)
        at = data.find(b"ispe", at + 1)
    return bytes(data)


@pytest.mark.parametrize("kind", ["AVIF", HEIC])
def test_a_file_that_says_it_is_huge_is_refused_before_a_decoder_makes_room(kind: str) -> None:
    with pytest.raises(TooManyPixelsError) as caught:
        prepare(lying(kind, 64, 30_000))
    assert caught.value.size == (30_000, 30_000)


def test_an_avif_is_measured_by_what_its_decoder_makes_room_for() -> None:
    for size in ((1, 1), (333, 77), (600, 900)):
        for how in ({}, {"speed": 10}, {"subsampling": "4:4:4"}, {"quality": 100}):
            for mode in ("RGB", "RGBA", "L"):
                data = bytearray(encoded(scene(*size).convert(mode), "AVIF", **how))
                at = data.index(b"ispe")
                struct.pack_into(">II", data, at + 8, 1, 1)
                assert preparing.reading.take_apart(media.AVIF, bytes(data)).size == size


def test_an_animated_avif_or_one_in_crumbs_is_refused() -> None:
    moving = encoded(house(), "AVIF", save_all=True, append_images=[house().rotate(180)])
    with pytest.raises(UnreadableError, match="it is an animation"):
        prepare(moving)
    still = encoded(house(), "AVIF")
    at = still.index(b"iloc")
    twice = still[: at - 4] + still[at - 4 : at - 4 + int.from_bytes(still[at - 4 : at], "big")] + still[at - 4 :]
    with pytest.raises(UnreadableError):
        prepare(twice)


def test_what_phones_write_behind_a_whole_picture_does_not_matter() -> None:
    notes = b"\xff\xff\xff\xffSEFH" + bytes(range(1, 200)) + b"SEFT"
    wide = b"\0\0\0\x10mpvd" + b"a film.."
    for kind, name in ((HEIC, "HEIC"), ("AVIF", "AVIF")):
        for more in (b"\xff\0\xff\0\1\2\3\4" + notes, wide, wide + b"\0\1\2\3\4\5\6\7" + notes):
            assert prepare(encoded(house(), kind) + more).done == (f"JPEG from {name}",)
    assert prepare(encoded(house(), "JPEG") + notes).done == ()
    padded = encoded(house(), "WEBP", exif=exif(1) + bytes(5000))
    assert prepare(padded).done == ()


def test_packed_metadata_are_hidden_from_the_decoder() -> None:
    for kind in ("AVIF", HEIC):
        data = encoded(house(), kind, exif=exif(1), xmp=b"<x/>" * 100)
        assert b"cdsc" in data
        parts = preparing.reading.take_apart(media.readable_format_of(data), data)
        assert b"cdsc" not in parts.data
        assert len(parts.data) == len(data)


MEASURE = """
import sys
from pathlib import Path
from airflow_provider_segmind.quality import prepare
def memory(name):
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index(f"{name}:") + 1]) * 1024
prepared = None
try:
    prepared = prepare.prepare(Path(sys.argv[1]).read_bytes())
except prepare.reading.UnreadableError:
    pass
print(memory("VmHWM"), prepared is not None)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")


def peak(tmp_path: Path, data: bytes) -> tuple[int, bool]:
    """Return how many bytes a fresh process holds at most, and whether it made something to send."""
    file = tmp_path / "picture"
    file.write_bytes(data)
    command = (sys.executable, "-c", MEASURE, str(file))
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    return int(said[0]), said[1] == "True"


def photograph(width: int, height: int) -> Image.Image:
    noise = Image.effect_noise((width, height), 12).convert("RGB")
    return Image.blend(scene(width, height), noise, 0.1)


@pytest.mark.slow
@linux
@pytest.mark.parametrize("tile", [0, 512])
def test_preparing_twelve_megapixels_of_heic_takes_at_most_350_mb(tmp_path: Path, tile: int) -> None:
    stored = profiles.converted(photograph(4032, 3024), profiles.DISPLAY_P3)
    quickly = {"preset": "ultrafast"}
    data = encoded(stored, HEIC, quality=60, icc_profile=profiles.DISPLAY_P3, tile_size=tile, enc_params=quickly)
    most, sent = peak(tmp_path, data)
    assert sent
    assert most < 350e6


@pytest.mark.slow
@linux
@pytest.mark.parametrize("size", [(8064, 6048), (16_320, 12_240)], ids=["48 megapixels", "200 megapixels"])
def test_a_jpeg_of_any_phone_is_prepared_in_as_much_memory(tmp_path: Path, size: tuple[int, int]) -> None:
    most, sent = peak(tmp_path, encoded(scene(*size), "JPEG"))
    assert sent
    assert most < 350e6


@pytest.mark.slow
@linux
def test_an_avif_that_lies_about_its_size_is_refused_at_no_cost(tmp_path: Path) -> None:
    most, sent = peak(tmp_path, lying("AVIF", 8064, 64))
    assert not sent
    assert most < 100e6


@pytest.mark.slow
@linux
def test_a_heic_that_lies_about_its_size_is_refused_at_no_cost(tmp_path: Path) -> None:
    most, sent = peak(tmp_path, lying(HEIC, 6000, 64))
    assert not sent
    assert most < 100e6
