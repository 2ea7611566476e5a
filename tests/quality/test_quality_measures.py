"""What is measured of a background, of a person and of a frame means what it says, on drawn pixels without a model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

pytest.importorskip("numpy")

from airflow_provider_segmind.quality import qa
from airflow_provider_segmind.quality.alignment import STRAIGHT
from airflow_provider_segmind.quality.comparison import BeforeAfter
from airflow_provider_segmind.quality.detectors import Found
from airflow_provider_segmind.quality.frame import Frame
from airflow_provider_segmind.quality.person import OldAndNew, Persons
from airflow_provider_segmind.quality.surroundings import Surroundings
from airflow_provider_segmind.quality.thresholds import Thresholds

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


def around(pair: BeforeAfter) -> Surroundings:
    return Surroundings(pair, pair.backgrounds[0] & pair.backgrounds[1])


def after(pair: BeforeAfter, change: object) -> Surroundings:
    return around(changed(pair, change))


def changed(pair: BeforeAfter, change: object) -> BeforeAfter:
    made = change(pair.after.copy())  # type: ignore[operator]
    return replace(pair, after=np.clip(made, 0, 255).astype(np.float32))


def test_a_good_swap_leaves_every_measure_of_the_background_as_it_was(pair: BeforeAfter):
    kept = around(pair)
    assert kept.detail() == kept.saturation() == pytest.approx(1)
    assert (
        kept.new_object() == kept.changed() == kept.erased() == kept.taken() == kept.new_lines() == kept.new_mark() == 0
    )


def test_each_fault_of_the_background_moves_its_own_measure(pair: BeforeAfter):
    def line(pixels: np.ndarray) -> np.ndarray:
        pixels[20:24, 10:120] = 255
        return pixels

    def corner(pixels: np.ndarray) -> np.ndarray:
        pixels[:100, 290:] = 0
        return pixels

    def blurred(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(3))
        return np.asarray(image, np.float32)

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
    assert around(replace(pair, after_subject=mask)).taken() > 0.1


def test_a_background_that_is_too_small_is_not_measured(pair: BeforeAfter):
    mask = np.ones((HEIGHT, WIDTH), np.float32)
    full = around(replace(pair, before_subject=mask, after_subject=mask))
    assert [full.changed(), full.detail(), full.new_lines(), full.new_object(), full.taken()] == [None] * 5


def test_rows_and_colours_that_are_gone_are_counted(pair: BeforeAfter):
    sizes = ((WIDTH, HEIGHT), (WIDTH, HEIGHT))
    made = pair.after.copy()
    made[240:] = 128
    assert Frame(replace(pair, after=made), STRAIGHT, sizes).empty_rows() == pytest.approx(0.25)
    grey = np.repeat(pair.after.mean(axis=2, keepdims=True), 3, axis=2)
    assert Frame(replace(pair, after=grey), STRAIGHT, sizes).colour() == pytest.approx(0, abs=0.02)
    assert Frame(pair, STRAIGHT, sizes).shifted() is None  # nothing to hold on to was found


def found(score: float, box: tuple[float, float, float, float]) -> Found:
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float32)
    down = np.array([0, box[3] - box[1]], np.float32)
    points = np.stack([middle, middle + down, middle - down / 2, middle])
    return Found(score, box, points.astype(np.float32))


def persons(*faces: Found) -> Persons:
    return Persons(faces, (), 0.5, 0.6)


def test_what_is_left_of_the_old_person_is_measured_by_its_fine_detail(pair: BeforeAfter):
    nobody = persons()
    assert OldAndNew(pair, nobody, nobody).old_person() < 0.1
    half = pair.after.copy()
    half[80:200, 140:260] = pair.before[80:200, 140:260]
    assert OldAndNew(replace(pair, after=half), nobody, nobody).old_person() > 0.8
    blended = (pair.before + pair.after) / 2
    assert OldAndNew(replace(pair, after=blended), nobody, nobody).old_person() > 0.9


def test_a_face_is_lost_when_none_is_where_it_was(pair: BeforeAfter):
    old, elsewhere = found(0.9, (170, 90, 230, 150)), found(0.9, (10, 10, 60, 60))
    assert OldAndNew(pair, persons(old), persons(found(0.8, (175, 95, 235, 155)))).face_lost() == pytest.approx(0.1)
    assert OldAndNew(pair, persons(old), persons(elsewhere)).face_lost() == pytest.approx(0.9)
    assert OldAndNew(pair, persons(), persons(elsewhere)).face_lost() is None


def test_a_person_of_whom_a_half_is_missing_is_not_there(pair: BeforeAfter):
    half = pair.after_subject.copy()
    half[200:] = 0
    assert OldAndNew(pair, persons(), persons()).there() == 1
    assert OldAndNew(replace(pair, after_subject=half), persons(), persons()).there() < 0.1


def test_a_thing_that_is_new_is_measured_and_neither_a_shadow_nor_a_shifted_edge_is_one(pair: BeforeAfter):
    def ball(pixels: np.ndarray) -> np.ndarray:
        pixels[40:90, 20:70] = (220, 120, 20)
        return pixels

    def shadow(pixels: np.ndarray) -> np.ndarray:
        pixels[40:90, 20:70] *= 0.6
        return pixels

    def edge(pixels: np.ndarray) -> np.ndarray:
        pixels[:, 40:46] = 255
        return pixels

    assert after(pair, ball).new_object() == pytest.approx(50 * 50 / (WIDTH * HEIGHT), rel=0.3)
    assert after(pair, shadow).new_object() == after(pair, edge).new_object() == 0


def test_a_mosaic_shows_by_the_straight_lines_between_its_cells(pair: BeforeAfter):
    def mosaic(pixels: np.ndarray) -> np.ndarray:
        return np.kron(pixels[::16, ::16], np.ones((16, 16, 1), np.float32))

    assert around(pair).cells() == pytest.approx(1, abs=0.2)
    assert after(pair, mosaic).cells() > 2.5


def test_detail_that_is_lost_in_one_place_alone_is_smeared(pair: BeforeAfter):
    def corner(pixels: np.ndarray) -> np.ndarray:
        pixels[:120, 280:] = 128
        return pixels

    def softer(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(2)), np.float32)

    assert after(pair, corner).smeared() > 0.1
    assert around(pair).smeared() == after(pair, softer).smeared() == 0


def test_a_person_full_of_grain_has_no_smooth_place_unless_the_reference_has_none(pair: BeforeAfter):
    def grainy(pixels: np.ndarray) -> np.ndarray:
        pixels[PERSON] += np.random.default_rng(2).normal(0, 40, pixels[PERSON].shape)
        return pixels

    usual = SimpleNamespace(smoothness=10.0)
    noisy = OldAndNew(changed(pair, grainy), persons(), persons(), usual)
    assert OldAndNew(pair, persons(), persons(), usual).grain() == pytest.approx(0, abs=1)
    assert noisy.grain() > 3
    assert replace(noisy, reference=None).grain() is None
    assert replace(noisy, reference=SimpleNamespace(smoothness=60.0)).grain() < 0


def test_a_face_that_is_covered_or_made_of_cells_is_flat_in_parts(pair: BeforeAfter):
    face = found(0.9, (170, 90, 230, 150))

    def bar(pixels: np.ndarray) -> np.ndarray:
        pixels[100:120, 165:235] = 0
        return pixels

    assert OldAndNew(pair, persons(face), persons(face)).face_flat() == 0
    assert OldAndNew(changed(pair, bar), persons(face), persons(face)).face_flat() > 0.15


def test_a_text_over_the_clothes_shows_by_its_dense_hard_edges(pair: BeforeAfter):
    def text(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels.astype(np.uint8))
        ink = {"stroke_width": 2, "stroke_fill": "black"}
        ImageDraw.Draw(image).text((142, 200), "MADE BY AI", "white", ImageFont.load_default(22), **ink)
        return np.asarray(image, np.float32)

    sizes = ((WIDTH, HEIGHT), (WIDTH, HEIGHT))
    assert Frame(pair, STRAIGHT, sizes).text() < 0.2
    assert Frame(changed(pair, text), STRAIGHT, sizes).text() > 0.4


def test_where_the_subject_fills_the_picture_what_is_the_same_on_both_tells_of_colours(pair: BeforeAfter):
    full = replace(pair, before_subject=np.ones((HEIGHT, WIDTH), np.float32))
    assert not (full.backgrounds[0] & full.backgrounds[1]).any()
    assert full.kept[:, :120].mean() > 0.7
    assert full.kept[PERSON].mean() < 0.1
    assert (qa._background_of(full, Thresholds()) == full.kept).all()
    anew = replace(full, after=full.after[::-1, ::-1].copy())
    assert qa._background_of(anew, Thresholds()) is None
    checks = qa._background(anew, None, np.ones((HEIGHT, WIDTH), np.float32), Thresholds(), None)
    assert {check.verdict for check in checks} == {"skipped"}
    assert "less than 12.0% of the picture is background on both" in checks[0].why


def test_a_person_who_is_seen_through_has_less_contrast_unless_the_reference_has_as_little(pair: BeforeAfter):
    def pale(pixels: np.ndarray) -> np.ndarray:
        return 150 + (pixels - 150) * 0.4

    usual = SimpleNamespace(contrast=90.0)
    seen_through = OldAndNew(changed(pair, pale), persons(), persons(), usual)
    assert OldAndNew(pair, persons(), persons(), usual).contrast() == pytest.approx(1, abs=0.1)
    assert seen_through.contrast() < 0.6
    assert replace(seen_through, reference=None).contrast() is None
    plain = SimpleNamespace(contrast=25.0)
    assert replace(seen_through, reference=plain).contrast() > 0.8


def test_skin_is_redder_than_green_and_blue_whether_it_is_light_or_dark(pair: BeforeAfter):
    face = found(0.9, (170, 90, 230, 150))

    def skin(colour: tuple[int, int, int]) -> float | None:
        def dyed(pixels: np.ndarray) -> np.ndarray:
            pixels[90:151, 170:231] = colour
            return pixels

        old = pair.before.copy()
        old[90:151, 170:231] = (224, 172, 140)
        return OldAndNew(replace(changed(pair, dyed), before=old), persons(face), persons(face)).face_colour()

    assert skin((224, 172, 140)) == pytest.approx(skin((60, 46, 38)), abs=0.03)
    assert skin((120, 150, 110)) < 0
    assert skin((110, 120, 160)) < 0


def test_a_small_face_may_hide_as_long_as_the_body_is_there(pair: BeforeAfter):
    face, body = found(0.9, (190, 90, 210, 110)), found(0.9, (170, 90, 230, 150))
    old = Persons((face,), (body,), 0.5, 0.6)
    assert OldAndNew(pair, old, Persons((), (body,), 0.5, 0.6)).face_lost() == pytest.approx(0.36)
    assert OldAndNew(pair, old, persons()).face_lost() == pytest.approx(0.9)


def test_a_person_turned_upside_down_is_turned(pair: BeforeAfter):
    upright = found(0.9, (170, 90, 230, 150))
    lying = replace(upright, points=upright.points[[1, 0, 2, 3]])
    one, other = (Persons((), (body,), 0.5, 0.6) for body in (upright, lying))
    assert OldAndNew(pair, one, one).turned() == 0
    assert OldAndNew(pair, one, other).turned() == pytest.approx(180)
    assert OldAndNew(pair, one, persons()).turned() is None
