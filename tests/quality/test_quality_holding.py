"""What a picture takes to decode is known before it is decoded, and a WebP takes hardly anything."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from airflow_provider_segmind.quality import holding, reading, webp
from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.reading import UnreadableError
from tests.quality.drawing import encoded, find, scene


@pytest.mark.skipif(not webp.can_scale(), reason="this Pillow is not linked with a libwebp of its own")
@pytest.mark.parametrize("lossless", [False, True], ids=["lossy", "lossless"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_is_decoded_straight_to_a_size_and_looks_as_pillow_decodes_it(mode: str, lossless: bool):
    picture = scene(900, 700)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = encoded(picture, "WEBP", lossless=lossless, quality=90)
    made = webp.decode(data, (450, 350), clear=mode == "RGBA")
    with Image.open(io.BytesIO(data)) as image:
        usual = image.convert(mode).resize((450, 350), Image.Resampling.BOX)
    assert made is not None
    assert (made.mode, made.size) == (mode, (450, 350))
    on_white = [
        Image.alpha_composite(Image.new("RGBA", one.size, "white"), one.convert("RGBA")) for one in (made, usual)
    ]
    difference = ImageChops.difference(*(one.convert("RGB") for one in on_white))
    assert max(ImageStat.Stat(difference).mean) < 2


def test_an_animation_and_a_broken_webp_are_left_to_pillow_or_refused():
    frames = [scene(120, 90), scene(120, 90).transpose(Image.Transpose.ROTATE_180)]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100)
    assert reading.read(moving).size == (120, 90)
    whole = encoded(scene(600, 500), "WEBP")
    with pytest.raises(UnreadableError):
        reading.read(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("kind", "options", "least", "most"),
    [
        ("PNG", {}, 4, 4),
        ("WEBP", {}, 0, 0.1),
        ("WEBP", {"lossless": True}, 4, 4),
        ("JPEG", {"progressive": True, "subsampling": 0}, 6, 10),
        ("JPEG", {"progressive": True}, 3, 7),
        ("AVIF", {}, 9, 16),
    ],
)
def test_the_bytes_of_a_pixel_depend_on_the_format(kind: str, options: dict[str, object], least: float, most: float):
    if kind == "WEBP" and not webp.can_scale():
        pytest.skip("this Pillow is not linked with a libwebp of its own")
    data = encoded(scene(800, 600), kind, **options)
    with reading._opened(data) as (image, parts, form):
        needed = holding.needed(form, image, image.size, parts.data, scaling=webp.can_scale())
    assert least <= needed / (800 * 600) <= most


def test_a_picture_that_takes_too_much_memory_is_refused_with_what_to_do():
    data = encoded(scene(800, 600))
    with pytest.raises(UnreadableError, match=r"800 x 600 pixels of a PNG take 1 MiB .* export it as a JPEG"):
        reading.read(data, most=2**20)
    assert reading.read(data, most=2 * 2**20).size == (800, 600)


def test_the_files_of_a_pair_count_and_who_allows_more_pixels_has_more_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holding, "MOST", 2_000_000)
    source = encoded(scene(600, 500))
    assert find(check_swap(source, source, qa=False), "readable").verdict == "pass"
    heavy = encoded(scene(600, 500), compress_level=0)
    report = check_swap(source, heavy, qa=False)
    assert find(report, "readable").verdict == "fail"
    assert "MiB to decode" in report.summary()
    from airflow_provider_segmind.quality.thresholds import Thresholds

    more = Thresholds(max_pixels=128_000_000)
    assert find(check_swap(source, heavy, qa=False, thresholds=more), "readable").verdict == "pass"
