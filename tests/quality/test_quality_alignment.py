"""A result is laid over its source, however a model cropped, scaled or shifted it by a little."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

pytest.importorskip("numpy")

from airflow_provider_segmind.quality.alignment import align

SIZE = (448, 512)


def room(seed: int = 1) -> Image.Image:
    """A picture with something to hold on to everywhere."""
    noise = Image.effect_noise((SIZE[0] // 16, SIZE[1] // 16), 90).resize(SIZE, Image.Resampling.BICUBIC)
    made = Image.merge("RGB", [noise.point(lambda value, by=by: min(255, value + by)) for by in (0, 20, 40)])
    draw = ImageDraw.Draw(made)
    for left in range(20, SIZE[0], 90):
        draw.rectangle((left, (left * seed * 7) % 300, left + 40, (left * seed * 7) % 300 + 90), (left % 256, 90, 60))
    return made.filter(ImageFilter.GaussianBlur(0.7))


def nobody() -> np.ndarray:
    return np.zeros(SIZE[::-1], np.float32)


def error(one: Image.Image, other: Image.Image) -> float:
    return float(np.mean((np.asarray(one, np.float32) - np.asarray(other, np.float32)) ** 2))


def test_a_result_that_was_not_moved_is_taken_as_it_lies():
    source = room()
    darker = source.point([round(value * 0.8) for value in range(256)] * 3)
    for result in (source, darker, source.filter(ImageFilter.GaussianBlur(1.5))):
        found = align(source, result, nobody(), (SIZE, SIZE))
        assert found.farthest == 0
        assert found.sure
        assert found.stretch == 1


def test_a_shift_of_some_pixels_is_found_and_undone():
    source = room()
    moved = source.transform(SIZE, Image.Transform.AFFINE, (1, 0, 5, 0, 1, -3))
    found = align(source, moved, nobody(), (SIZE, SIZE))
    assert 0.005 < found.farthest < 0.02
    assert error(found.laid(moved, source), source) < error(moved, source) / 4


@pytest.mark.parametrize("corner", [(26, 30), (0, 0)], ids=["around the middle", "at the end"])
def test_a_crop_to_multiples_of_64_is_no_stretch_and_is_undone(corner: tuple[int, int]):
    large = room().resize((900, 1029), Image.Resampling.BICUBIC)
    size = (896 - 64, 1024 - 64 + 22)
    cropped = large.crop((*corner, corner[0] + size[0], corner[1] + size[1]))
    source, result = large.resize(SIZE), cropped.resize(SIZE)
    found = align(source, result, nobody(), (large.size, size))
    assert found.sure
    assert found.stretch == pytest.approx(1, abs=0.02)
    assert found.farthest > 0.02
    assert error(found.laid(result, source), source) < error(result, source) / 5


def test_a_squashed_result_lies_straight_and_is_stretched():
    source = room()
    found = align(source, source, nobody(), (SIZE, (round(SIZE[0] * 0.8), SIZE[1])))
    assert found.stretch == pytest.approx(0.8, abs=0.01)


def test_nothing_is_sure_before_a_plain_wall_or_beside_another_picture():
    wall = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    assert not align(wall, wall, nobody(), (SIZE, SIZE)).sure
    assert align(wall, room(), nobody(), (SIZE, SIZE)).farthest == 0
    other = align(room(), room(3).transpose(Image.Transpose.ROTATE_180), nobody(), (SIZE, SIZE))
    assert not other.sure


def test_the_new_person_does_not_count_as_a_move():
    source, result = room(), room()
    ImageDraw.Draw(source).rectangle((150, 100, 300, 512), (200, 40, 40))
    ImageDraw.Draw(result).rectangle((160, 90, 310, 512), (40, 40, 200))
    person = np.zeros(SIZE[::-1], np.float32)
    person[80:, 140:320] = 1
    assert align(source, result, person, (SIZE, SIZE)).farthest < 0.004
