"""Checks with models tell persons, backgrounds and places apart, on photographs and on the emulator's drawings."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter

from airflow_provider_segmind.emulator import paint, samples
from airflow_provider_segmind.quality import inspect
from airflow_provider_segmind.quality.thresholds import Thresholds
from tests.quality.drawing import encoded, find, opened, trio
from tests.quality.photographs import pasted, photo_trio, photograph, wall

pytestmark = pytest.mark.slow

check_input = functools.partial(inspect.check_input, qa=True)
check_swap = functools.partial(inspect.check_swap, qa=True)


@functools.cache
def given(kind: str) -> tuple[Image.Image, Image.Image, Image.Image]:
    """A source, a good swap and a reference."""
    if kind == "photographs":
        return photo_trio()
    source, result, reference = (opened(data).convert("RGB") for data in trio())
    return source, result, reference


KINDS = pytest.mark.parametrize("kind", ["photographs", "drawings"])


def failures(kind: str, result: Image.Image) -> set[str]:
    source, _, reference = given(kind)
    report = check_swap(encoded(source), encoded(result), encoded(reference))
    return {check.name for check in (*report.failed, *report.doubtful)}


@pytest.mark.parametrize("number", range(8))
def test_the_emulators_drawings_and_its_swaps_pass(number):
    source, result, reference = trio(number)
    for report in (check_input(source, reference), check_swap(source, result, reference)):
        assert (report.verdict, report.layers) == ("pass", ("core", "qa")), report.summary()


@pytest.mark.parametrize(("scene", "person"), [(0, 0), (1, 0), (2, 0)])
def test_the_emulators_swaps_of_its_first_person_pass_though_she_is_pale(scene, person):
    source, reference = samples.draw("scene", scene), samples.draw("person", person)
    report = check_swap(source, paint.swap(source, reference), reference)
    assert report.verdict == "pass", report.summary()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_good_swap_of_photographs_passes_in_every_encoding_and_a_smaller_size(kind):
    source, result, reference = photo_trio()
    again = encoded(result.resize((640, 480)), kind, quality=70)
    assert check_input(encoded(source), encoded(reference)).verdict == "pass"
    report = check_swap(encoded(source), again, encoded(reference))
    assert report.verdict == "pass", report.summary()


def test_every_check_is_made_once_and_named():
    source, result, reference = trio()
    assert [check.name for check in check_input(source, reference).checks[5:]] == list(inspect.QA_INPUT)
    assert [check.name for check in check_swap(source, result, reference).checks[10:]] == list(inspect.QA_SWAP)


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_one_photographed_person_is_one(name):
    check = find(check_input(encoded(photograph(name))), "person_count")
    assert (check.verdict, check.value) == ("pass", 1)


def two_persons() -> Image.Image:
    both = Image.new("RGB", (1024, 600))
    both.paste(photograph("grace_hopper"), (0, 0))
    both.paste(photograph("astronaut"), (512, 0))
    return both


def test_a_source_with_two_persons_is_stopped_and_a_reference_with_two_is_not():
    one, two = encoded(photograph("astronaut")), encoded(two_persons())
    check = find(check_input(two), "person_count")
    assert (check.verdict, check.value) == ("fail", 2)
    assert "2 on the source" in check.why
    assert find(check_input(one, two), "person_count").verdict == "pass"


def test_nobody_is_stopped_or_only_warned_of_as_the_author_says():
    person, nobody = encoded(photograph("astronaut")), encoded(wall())
    for pictures, where in (((nobody, person), "source"), ((person, nobody), "reference")):
        check = find(check_input(*pictures), "person_count")
        assert (check.verdict, check.value) == ("fail", 0)
        assert f"0 on the {where}" in check.why
        relaxed = check_input(*pictures, thresholds=Thresholds(no_person="warn"))
        assert (find(relaxed, "person_count").verdict, relaxed.verdict) == ("warn", "warn")


def test_a_far_away_person_is_warned_of():
    far = pasted(wall(), photograph("grace_hopper"), 380, 400, 130)
    check = find(
        check_input(encoded(far), thresholds=Thresholds(no_person="warn", min_subject_area=0.1)), "subject_area"
    )
    assert check.verdict == "warn"
    assert find(check_input(encoded(photograph("grace_hopper"))), "subject_area").verdict == "pass"


@KINDS
def test_a_result_without_its_person_is_stopped(kind):
    source, result, _ = given(kind)
    empty = (
        wall() if kind == "photographs" else result.crop((0, 0, result.width, result.height // 5)).resize(source.size)
    )
    assert "person_count" in failures(kind, empty)


def test_a_result_with_a_second_person_is_stopped():
    assert "person_count" in failures(
        "photographs", pasted(given("photographs")[1], photograph("astronaut"), 0, 30, 400)
    )


def shifted(picture: Image.Image) -> Image.Image:
    return ImageChops.offset(picture, round(picture.width * 0.08), 0)


def zoomed(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.resize(picture.size, box=(width * 0.08, height * 0.08, width * 0.92, height * 0.92))


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@KINDS
@pytest.mark.parametrize(
    ("change", "names"),
    [
        (shifted, {"shifted", "background_ssim"}),  # every brick looks like the next one
        (zoomed, {"shifted"}),
        (mirrored, {"mirrored"}),
    ],
)
def test_a_moved_zoomed_or_mirrored_result_is_stopped_and_the_report_says_which(kind, change, names):
    assert names & failures(kind, change(given(kind)[1]))


@KINDS
def test_a_result_that_was_cropped_by_a_few_pixels_to_round_its_size_is_not_taken_for_moved(kind):
    source, result, _ = given(kind)
    cropped = result.crop((8, 6, result.width - 8, result.height - 6))
    assert find(check_swap(encoded(source), encoded(cropped)), "shifted").verdict in ("pass", "skipped")


@KINDS
def test_a_darkened_or_tinted_result_is_stopped(kind):
    result = given(kind)[1]
    assert "background_luminance_shift" in failures(kind, result.point(lambda value: int(value * 0.6)))
    red, green, blue = result.split()
    warm = Image.merge("RGB", (red.point(lambda value: min(255, value + 25)), green, blue))
    assert "background_color_shift" in failures(kind, warm)


@KINDS
def test_a_result_with_another_background_is_stopped(kind):
    source, result, _ = given(kind)
    elsewhere = wall().rotate(180).resize(source.size)
    other = pasted(elsewhere, result, round(source.width * 0.3), source.height // 5, source.height * 4 // 5)
    assert {"background_psnr", "background_ssim"} & failures(kind, other)


@KINDS
def test_a_blurred_result_is_stopped(kind):
    result = given(kind)[1]
    assert "sharpness" in failures(kind, result.filter(ImageFilter.GaussianBlur(max(result.size) * 0.02)))
    assert "sharpness" not in failures(kind, result.filter(ImageFilter.GaussianBlur(1)))


def test_a_person_who_stands_elsewhere_before_the_same_background_is_stopped():
    elsewhere = pasted(wall(), photograph("grace_hopper"), 20, 120, 480)
    assert {"subject_there", "face_lost"} & failures("photographs", elsewhere)


@KINDS
def test_the_same_person_again_is_found_by_the_subject_alone(kind):
    source = given(kind)[0]
    assert "subject_ssim" in failures(kind, source)


def test_what_cannot_be_read_skips_the_checks_with_models_too():
    report = check_swap(encoded(wall()), b"<html>")
    assert report.layers == ("core", "qa")
    assert {check.name for check in report.checks if check.verdict == "skipped"} >= set(inspect.QA_SWAP)


def test_by_default_models_are_used_when_they_are_there():
    source, reference = samples.draw("scene", 0), samples.draw("person", 1)
    result = paint.swap(source, reference)
    assert inspect.qa_available()
    assert inspect.check_swap(source, result, reference).layers == ("core", "qa")
    assert inspect.check_input(source, reference, qa=False).layers == ("core",)


def plain_wall(seed: int) -> Image.Image:
    """A wall of one colour, a little lighter here and darker there."""
    values = np.random.default_rng(seed).integers(-9, 10, (3, 4))
    shade = Image.fromarray((200 + values).astype(np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    return Image.merge("RGB", [shade] * 3)


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_plain_wall_that_was_shaded_anew_is_not_taken_for_moved(seed):
    """Some other place then always fits a little better; models draw walls anew."""
    source = pasted(plain_wall(0), photograph("astronaut"), 230, 120, 480)
    result = pasted(plain_wall(seed), photograph("grace_hopper"), 240, 120, 480)
    assert find(check_swap(encoded(source), encoded(result)), "shifted").verdict in ("pass", "skipped")
