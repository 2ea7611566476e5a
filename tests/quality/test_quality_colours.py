"""Pictures are compared by their colours, not by their numbers: a right result passes, and a lost profile is found."""

from __future__ import annotations

import functools
import time

import pytest
from PIL import Image, ImageChops, ImageEnhance

from airflow_provider_segmind.quality import colours
from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.prepare import prepare
from airflow_provider_segmind.quality.reading import read
from tests.quality import profiles
from tests.quality.drawing import encoded, find, opened, scene, trio

pytest.importorskip("ai_edge_litert")

SCENES = [0, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 2, 3, 4, 5))]


@functools.cache
def wide(number: int, profile: bytes) -> tuple[bytes, Image.Image, bytes]:
    """Return a source with a profile, the numbers of its good result in that profile, and that result in sRGB."""
    source, result, _ = trio(number)
    stored = profiles.converted(opened(source).convert("RGB"), profile)
    made = profiles.converted(opened(result).convert("RGB"), profile)
    return encoded(stored, "JPEG", quality=92, icc_profile=profile), made, result


@pytest.mark.parametrize("number", SCENES)
@pytest.mark.parametrize("name", profiles.WIDE)
def test_a_right_result_passes_in_its_own_colours_and_in_srgb(name: str, number: int) -> None:
    profile, reference = profiles.WIDE[name], trio(number)[2]
    source, made, plain = wide(number, profile)
    for result in (encoded(made, icc_profile=profile), encoded(made, "WEBP", icc_profile=profile), plain):
        report = check_swap(source, result, reference, qa=True)
        assert find(report, "background_color_shift").verdict == "pass"
        assert find(report, "background_color_shift").value < 2
        assert report.verdict == "pass"


@pytest.mark.parametrize("number", SCENES)
@pytest.mark.parametrize("name", profiles.WIDE)
def test_a_result_that_lost_its_profile_is_found(name: str, number: int) -> None:
    source, made, _ = wide(number, profiles.WIDE[name])
    for result in (encoded(made), encoded(made, "JPEG", quality=75), encoded(made, icc_profile=profiles.SRGB)):
        check = find(check_swap(source, result, trio(number)[2], qa=True), "background_color_shift")
        assert check.verdict == "fail"
        assert "without its colour profile" in check.why


def test_a_result_in_srgb_with_a_little_cast_has_not_lost_a_profile() -> None:
    source, _, plain = wide(0, profiles.DISPLAY_P3)
    picture = opened(plain).convert("RGB")
    for channel in range(3):
        bands = list(picture.split())
        bands[channel] = bands[channel].point(lambda value: min(255, value + 3))
        report = check_swap(source, encoded(Image.merge("RGB", bands)), trio(0)[2], qa=True)
        assert find(report, "background_color_shift").verdict == "pass"


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB"])
def test_a_result_that_is_greyer_softer_or_redrawn_has_not_lost_a_profile(name: str) -> None:
    """Without its profile a wide picture looks greyer, too."""
    source, _, plain = wide(0, profiles.WIDE[name])
    picture = opened(plain).convert("RGB")
    noise = Image.effect_noise(picture.size, 40).convert("RGB")
    for changed in (
        ImageEnhance.Color(picture).enhance(0.9),
        ImageEnhance.Contrast(picture).enhance(0.9),
        Image.blend(picture, noise, 0.12),
    ):
        check = find(check_swap(source, encoded(changed), trio(0)[2], qa=True), "background_color_shift")
        assert "profile" not in check.why


def test_a_lost_profile_is_found_under_a_change_of_brightness() -> None:
    source, made, _ = wide(0, profiles.DISPLAY_P3)
    darker = made.point(lambda value: max(0, value - 4))
    check = find(check_swap(source, encoded(darker, "JPEG"), trio(0)[2], qa=True), "background_color_shift")
    assert check.verdict == "fail"


def test_a_profile_of_srgb_or_a_broken_one_changes_nothing() -> None:
    plain = read(encoded(scene(600, 900), "JPEG"))
    for profile in (profiles.SRGB, b"broken" * 50, profiles.press(), profiles.GREY):
        other = read(encoded(scene(600, 900), "JPEG", icc_profile=profile))
        assert other.numbers is None
        assert other.small.tobytes() == plain.small.tobytes()


def test_a_profile_too_large_to_be_one_is_not_read() -> None:
    huge = profiles.DISPLAY_P3 + bytes(5 * 2**20)
    assert not colours.differs(huge, "RGB")
    assert colours.differs(profiles.DISPLAY_P3, "RGB")


def test_a_conversion_costs_little_beside_decoding() -> None:
    def seconds(data: bytes) -> float:
        spent = []
        for _ in range(5):
            began = time.thread_time()
            read(data)
            spent.append(time.thread_time() - began)
        return min(spent)

    picture = scene(4032, 3024)
    plain = seconds(encoded(picture, "JPEG"))
    assert seconds(encoded(picture, "JPEG", icc_profile=profiles.DISPLAY_P3)) < 2 * plain


def test_grey_with_transparency_keeps_its_profile_and_what_is_clear() -> None:
    grey = scene(300, 200).convert("L")
    alpha = Image.linear_gradient("L").resize(grey.size)
    wanted = opened(prepare(encoded(grey, icc_profile=profiles.GREY)).data).convert("RGB")
    for clear in (alpha, Image.new("L", grey.size, 255)):
        made = opened(prepare(encoded(Image.merge("LA", (grey, clear)), icc_profile=profiles.GREY)).data)
        far = ImageChops.difference(made.convert("RGB"), wanted).getextrema()
        assert max(most for _, most in far) < 20
        assert made.convert("RGBA").getchannel("A").tobytes() == clear.tobytes()


@pytest.mark.parametrize("mode", ["L", "I;16"])
@pytest.mark.parametrize("width", [64, 5000])
def test_a_grey_level_that_is_clear_stays_clear(mode: str, width: int) -> None:
    level, seen = (7, 156) if mode == "L" else (1805, 40_000)
    half = [one.to_bytes(len(mode) // 2 or 1, "little") * (width // 2) for one in (level, seen)]
    grey = Image.frombytes(mode, (width, 64), b"".join(half) * 64)
    prepared = prepare(encoded(grey, transparency=level))
    made = opened(prepared.data)
    assert {"RGB", "8 bit"} & set(prepared.done)
    assert made.getpixel((0, 0))[3] == 0
    assert made.getpixel((made.width - 1, made.height - 1)) == (156, 156, 156, 255)
