"""Files that decoders put up with, and that are not the picture that was saved: each is refused; whole ones never."""

from __future__ import annotations

import functools

import pytest
from PIL import Image

from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.prepare import check, prepare
from airflow_provider_segmind.quality.reading import UnreadableError, read
from tests.quality.drawing import encoded, find, scene


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
