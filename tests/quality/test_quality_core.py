"""Each core check answers differently on the two sides of its cut, and lets good swaps through."""

from __future__ import annotations

import functools

import pytest
from PIL import Image, ImageOps

from airflow_provider_segmind.quality import inspect
from airflow_provider_segmind.quality.thresholds import Thresholds
from tests.quality.drawing import encoded, find, opened, scene, striped, trio

check_input = functools.partial(inspect.check_input, qa=False)
check_swap = functools.partial(inspect.check_swap, qa=False)


@pytest.mark.parametrize("number", range(4))
def test_good_inputs_and_good_swaps_pass(number):
    source, result, reference = trio(number)
    assert check_input(source, reference).verdict == "pass"
    report = check_swap(source, result, reference)
    assert (report.verdict, report.failed, report.layers) == ("pass", (), ("core",))


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 60), ("WEBP", 60)])
def test_a_good_swap_passes_in_every_encoding(kind, quality):
    source, result, reference = trio()
    again = encoded(opened(result).convert("RGB").resize((576, 768)), kind, quality=quality)
    assert check_swap(source, again, reference).verdict == "pass"


@pytest.mark.parametrize(("side", "verdict"), [(512, "pass"), (511, "fail")])
def test_an_input_needs_512_pixels(side, verdict):
    check = find(check_input(encoded(scene(side, 700))), "min_side")
    assert (check.verdict, check.value, check.threshold) == (verdict, side, 512)


@pytest.mark.parametrize(("size", "verdict"), [((1536, 512), "pass"), ((1600, 512), "fail"), ((512, 1600), "fail")])
def test_an_input_is_at_most_three_times_as_long_as_wide(size, verdict):
    assert find(check_input(encoded(scene(*size))), "aspect_ratio").verdict == verdict


@pytest.mark.parametrize(("contrast", "verdict"), [(6, "pass"), (4, "fail")])
def test_a_blank_picture_is_stopped_as_input_and_as_result(contrast, verdict):
    picture = encoded(striped(contrast))
    assert find(check_input(picture), "contrast").verdict == verdict
    check = find(check_swap(encoded(scene(600, 600)), picture), "contrast")
    assert (check.verdict, check.value) == (verdict, contrast)


def test_the_worse_of_two_inputs_is_judged_and_named():
    check = find(check_input(encoded(scene(600, 600)), encoded(scene(300, 600))), "min_side")
    assert check.verdict == "fail"
    assert "reference" in check.why


def test_one_picture_given_twice_is_not_ordered():
    source, _, reference = trio()
    again = encoded(opened(source).convert("RGB").resize((600, 800)), "JPEG", quality=50)
    assert find(check_input(source, again), "same_image").verdict == "fail"
    assert find(check_input(source, reference), "same_image").verdict == "pass"
    assert find(check_input(source), "same_image").verdict == "skipped"


@pytest.mark.parametrize(("side", "verdict"), [(308, "pass"), (306, "fail")])
def test_a_thumbnail_is_no_result(side, verdict):
    check = find(check_swap(encoded(scene(1024, 1024)), encoded(scene(side, side))), "resolution")
    assert (check.verdict, check.threshold) == (verdict, 307.2)


def test_a_small_source_may_give_a_small_result():
    assert find(check_swap(encoded(scene(200, 200)), encoded(scene(121, 121))), "resolution").verdict == "pass"


@pytest.mark.parametrize(
    ("width", "verdict"), [(624, "pass"), (640, "review"), (720, "fail"), (577, "pass"), (500, "fail")]
)
def test_a_squashed_result_is_stopped_but_not_one_of_a_rounded_size(width, verdict):
    check = find(check_swap(encoded(scene(600, 600)), encoded(scene(width, 600))), "aspect_ratio_delta")
    assert check.verdict == verdict


def noisy() -> Image.Image:
    return Image.effect_noise((512, 512), 60).convert("RGB")


@pytest.mark.parametrize(("rows", "verdict"), [(80, "pass"), (160, "review"), (192, "fail")])
def test_a_result_that_became_flat_is_stopped(rows, verdict):
    result = noisy()
    result.paste((128, 128, 128), (0, 0, 512, rows))
    check = find(check_swap(encoded(noisy()), encoded(result)), "flat_area_increase")
    assert (check.verdict, check.value) == (verdict, round(rows / 512, 4))


@pytest.mark.parametrize(
    ("pixels", "verdict"), [(3 * 8, "fail"), (6 * 8, "review"), (16 * 8, "pass"), (480, "pass"), (496, "fail")]
)
def test_a_result_where_nothing_or_everything_changed_is_stopped(pixels, verdict):
    source = Image.linear_gradient("L").resize((512, 512)).convert("RGB")
    result = source.copy()
    area = (0, 0, pixels, 80) if pixels < 200 else (0, 0, 512, pixels)
    result.paste(ImageOps.invert(source).rotate(90).crop(area), area)
    result.paste((255, 0, 255), area)
    check = find(check_swap(encoded(source), encoded(result)), "changed_area_fraction")
    assert check.verdict == verdict, check


@pytest.mark.parametrize("quality", [95, 30])
def test_the_source_sent_back_is_stopped_however_it_was_encoded(quality):
    source, _, reference = trio()
    report = check_swap(source, encoded(opened(source).convert("RGB"), "JPEG", quality=quality), reference)
    assert [check.name for check in report.failed] == ["changed_area_fraction"]
    assert "unchanged" in report.summary()


def test_a_mirrored_result_is_stopped_and_a_good_one_is_not():
    source, result, reference = trio()
    report = check_swap(source, encoded(ImageOps.mirror(opened(result))), reference, qa=False)
    assert "mirrored" in [check.name for check in report.failed]
    assert find(check_swap(source, result, reference, qa=False), "mirrored").verdict == "pass"


def test_noise_is_stopped_and_what_is_not_smoother_than_a_drawing_is_not():
    source, result, reference = trio()
    rough = Image.effect_noise(opened(source).size, 120)
    report = check_swap(source, encoded(rough), reference, qa=False)
    assert "noise" in [check.name for check in report.failed]
    assert find(check_swap(source, result, reference, qa=False), "noise").verdict == "pass"


def test_the_reference_sent_back_is_stopped():
    source, result, reference = trio()
    again = encoded(opened(reference).convert("RGB").resize((576, 768)), "JPEG")
    assert find(check_swap(source, again, reference), "reference_returned").verdict == "fail"
    assert find(check_swap(source, result, reference), "reference_returned").verdict == "pass"
    assert find(check_swap(source, again), "reference_returned").verdict == "skipped"


def test_a_cut_can_be_moved():
    small = encoded(scene(300, 300))
    assert check_input(small).verdict == "fail"
    assert check_input(small, thresholds=Thresholds(min_side=256)).verdict == "pass"
