"""What is measured of a background, of a person and of a frame means what it says, on drawn pixels without a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

pytest.importorskip("numpy")

from airflow_provider_segmind.quality.alignment import STRAIGHT
from airflow_provider_segmind.quality.comparison import BeforeAfter
from airflow_provider_segmind.quality.detectors import Found
from airflow_provider_segmind.quality.frame import Frame
from airflow_provider_segmind.quality.person import OldAndNew, Persons
from airflow_provider_segmind.quality.surroundings import Surroundings

HEIGHT, WIDTH = 320, 400
PERSON = (slice(80, 320), slice(140, 260))


@pytest.fixture(scope="module")
def pair() -> BeforeAfter:
    """A textured, coloured room with another texture where the person is, before and after."""
    source = np.random.default_rng(1)
    coarse = source.uniform(40, 210, (HEIGHT // 20, WIDTH // 20, 3)).astype(np.uint8)
    room = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    room = np.clip(room + source.normal(0, 8, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.float32)
    before, after = room.copy(), room.copy()
    before[PERSON] = np.clip(120 + source.normal(0, 20, before[PERSON].shape), 0, 255)
    after[PERSON] = np.clip(150 + source.normal(0, 20, after[PERSON].shape), 0, 255)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[PERSON] = 1
    return BeforeAfter(before, after, mask, mask)


def after(pair: BeforeAfter, change: object) -> Surroundings:
    made = change(pair.after.copy())  # type: ignore[operator]
    return Surroundings(replace(pair, after=np.clip(made, 0, 255).astype(np.float32)))


def test_a_good_swap_leaves_every_measure_of_the_background_as_it_was(pair: BeforeAfter):
    kept = Surroundings(pair)
    assert kept.contrast() == kept.detail() == kept.saturation() == pytest.approx(1)
    assert kept.shading() == kept.changed() == kept.erased() == kept.taken() == kept.new_lines() == kept.new_mark() == 0


def test_each_fault_of_the_background_moves_its_own_measure(pair: BeforeAfter):
    def line(pixels: np.ndarray) -> np.ndarray:
        pixels[20:24, 10:120] = 255
        return pixels

    def corner(pixels: np.ndarray) -> np.ndarray:
        pixels[:100, 290:] = 0
        return pixels

    def light(pixels: np.ndarray) -> np.ndarray:
        return pixels + np.linspace(-60, 60, WIDTH)[None, :, None]

    def blurred(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(3))
        return np.asarray(image, np.float32)

    assert after(pair, lambda pixels: 128 + (pixels - 128) * 0.5).contrast() == pytest.approx(2, abs=0.1)
    assert after(pair, light).shading() > 20
    assert after(pair, corner).changed() > 0.05
    assert after(pair, corner).erased() > 0.05
    assert after(pair, blurred).detail() < 0.4
    grey = after(pair, lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2))
    assert grey.saturation() == 10
    assert after(pair, lambda pixels: pixels[..., ::-1]).saturation() > 2
    assert after(pair, line).new_lines() > 0.005
    assert after(pair, line).new_mark() > 0.15


def test_a_person_beside_the_old_one_takes_background(pair: BeforeAfter):
    mask = pair.after_subject.copy()
    mask[150:, 20:120] = 1
    assert Surroundings(replace(pair, after_subject=mask)).taken() > 0.1


def test_a_background_that_is_too_small_is_not_measured(pair: BeforeAfter):
    mask = np.ones((HEIGHT, WIDTH), np.float32)
    full = Surroundings(replace(pair, before_subject=mask, after_subject=mask))
    assert [full.contrast(), full.shading(), full.detail(), full.new_lines(), full.taken()] == [None] * 5


def test_rows_and_colours_that_are_gone_are_counted(pair: BeforeAfter):
    sizes = ((WIDTH, HEIGHT), (WIDTH, HEIGHT))
    made = pair.after.copy()
    made[240:] = 128
    assert Frame(replace(pair, after=made), STRAIGHT, sizes).empty_rows() == pytest.approx(0.25)
    grey = np.repeat(pair.after.mean(axis=2, keepdims=True), 3, axis=2)
    assert Frame(replace(pair, after=grey), STRAIGHT, sizes).colour() == pytest.approx(0, abs=0.02)
    assert Frame(pair, STRAIGHT, sizes).shift() is None  # nothing to hold on to was found


def found(score: float, box: tuple[float, float, float, float]) -> Found:
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float32)
    down = np.array([0, box[3] - box[1]], np.float32)
    points = np.stack([middle, middle + down, middle - down / 2, middle])
    return Found(score, box, points.astype(np.float32))


def persons(*faces: Found) -> Persons:
    return Persons(faces, (), 0.5, 0.6)


def test_what_is_left_of_the_old_person_is_measured_by_its_fine_detail(pair: BeforeAfter):
    nobody = persons()
    assert OldAndNew(pair, nobody, nobody).old_detail() < 0.1
    half = pair.after.copy()
    half[80:200, 140:260] = pair.before[80:200, 140:260]
    assert 0.3 < OldAndNew(replace(pair, after=half), nobody, nobody).old_detail() < 0.7
    blended = (pair.before + pair.after) / 2
    assert OldAndNew(replace(pair, after=blended), nobody, nobody).old_detail() > 0.9


def test_a_face_is_lost_when_none_is_where_it_was(pair: BeforeAfter):
    old, elsewhere = found(0.9, (170, 90, 230, 150)), found(0.9, (10, 10, 60, 60))
    assert OldAndNew(pair, persons(old), persons(found(0.8, (175, 95, 235, 155)))).face_loss() == pytest.approx(0.1)
    assert OldAndNew(pair, persons(old), persons(elsewhere)).face_loss() == pytest.approx(0.9)
    assert OldAndNew(pair, persons(), persons(elsewhere)).face_loss() is None


def test_a_head_or_legs_that_are_missing_leave_the_old_height_empty(pair: BeforeAfter):
    headless, legless = pair.after_subject.copy(), pair.after_subject.copy()
    headless[80:140] = 0
    legless[200:] = 0
    nobody = persons()
    assert OldAndNew(replace(pair, after_subject=headless), nobody, nobody).missing_above() == pytest.approx(
        0.25, abs=0.03
    )
    assert OldAndNew(replace(pair, after_subject=legless), nobody, nobody).missing_below() == pytest.approx(
        0.5, abs=0.03
    )


def test_how_surely_a_person_is_there_is_not_asked_where_a_body_is_found(pair: BeforeAfter):
    gone = replace(pair, after_subject=np.zeros_like(pair.after_subject))
    body = found(0.9, (170, 90, 230, 150))
    with_body = Persons((), (body,), 0.5, 0.6)
    assert OldAndNew(gone, with_body, Persons((), (), 0.5, 0.6)).there() == 0
    assert OldAndNew(gone, with_body, with_body).there() is None
