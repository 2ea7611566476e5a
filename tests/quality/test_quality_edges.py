"""What lies over a swap, or is soft in one place, is seen by its edges; clothes, prints and old lines are no fault."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

pytest.importorskip("numpy")

from airflow_provider_segmind.quality import qa
from airflow_provider_segmind.quality.alignment import STRAIGHT, Alignment
from airflow_provider_segmind.quality.comparison import BeforeAfter
from airflow_provider_segmind.quality.detectors import Found
from airflow_provider_segmind.quality.frame import Frame
from airflow_provider_segmind.quality.person import OldAndNew, Persons
from airflow_provider_segmind.quality.thresholds import Thresholds

SIZE = WIDTH, HEIGHT = 400, 320
FACE = Found(0.9, (170.0, 90.0, 230.0, 150.0), np.zeros((6, 2), np.float32))


def grainy(picture: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 6, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def room() -> Image.Image:
    """A room with an upright line in it that runs from top to bottom behind whoever stands there."""
    blots = np.random.default_rng(3).uniform(60, 190, (HEIGHT // 20, WIDTH // 20, 3)).astype(np.uint8)
    picture = Image.fromarray(blots).resize(SIZE, Image.Resampling.BICUBIC)
    ImageDraw.Draw(picture).rectangle((196, 0, 204, HEIGHT), (250, 250, 250))
    return grainy(picture, 1)


def person(colour: tuple[int, int, int], wide: int = 60) -> Image.Image:
    """The room with a round figure in it, with a face, and folds on its clothes."""
    picture, mask, chance = room(), Image.new("L", SIZE), np.random.default_rng(wide)
    draw = ImageDraw.Draw(picture)
    for box, paint in (((200 - wide, 140, 200 + wide, 400), colour), ((165, 80, 235, 160), (220, 180, 150))):
        draw.ellipse(box, paint)
        ImageDraw.Draw(mask).ellipse(box, 255)
    for x, y in chance.uniform((160, 170), (230, 300), (40, 2)):
        draw.line((x, y, x + 9, y + chance.uniform(4, 9)), (30, 20, 20), 2)
    for x, y in ((185, 112), (215, 112), (200, 142)):
        left, top = np.array((x, y)) + chance.uniform(-6, 6, 2)
        draw.ellipse((left - 5, top - 3, left + 5, top + 3), (40, 30, 30))
    return Image.composite(grainy(picture, wide), room(), mask).filter(ImageFilter.GaussianBlur(0.6))


def frame(result: Image.Image, alignment: Alignment = STRAIGHT, **others: object) -> Frame:
    figure = Image.new("L", SIZE)
    ImageDraw.Draw(figure).ellipse((135, 80, 265, 400), 255)
    mask = np.asarray(figure, np.float32) / 255
    before, after = (np.asarray(picture, np.float32) for picture in (person((60, 80, 150)), result))
    return Frame(BeforeAfter(before, after, mask, mask), alignment, (SIZE, SIZE), FACE, **others)  # type: ignore[arg-type]


NEW = (220, 130, 110)


def with_box(*box: int, colour: tuple[int, int, int] = (0, 0, 0)) -> Image.Image:
    made = person(NEW)
    ImageDraw.Draw(made).rectangle(box, colour)
    return made


@pytest.mark.parametrize(
    ("box", "least"),
    [((150, 105, 250, 120), 1.0), ((160, 200, 240, 290), 0.75), ((10, 30, 90, 120), 0.75)],
    ids=["a bar over the eyes", "a patch on the clothes", "a box in the room"],
)
def test_a_box_shows_by_its_straight_edges_wherever_it_lies(box: tuple[int, ...], least: float):
    assert frame(with_box(*box)).straight_edge() > least


def test_a_new_person_has_no_long_straight_edge_nor_a_line_of_the_room_that_comes_to_light_beside_one():
    assert frame(person(NEW)).straight_edge() < 0.4
    assert frame(person(NEW, wide=40)).straight_edge() < 0.5


def test_a_stripe_of_the_references_clothes_is_no_fault_and_a_longer_edge_is():
    striped = with_box(160, 200, 240, 290)
    as_long, short, none = (SimpleNamespace(straight=value) for value in (0.9, 0.2, 0.0))
    assert frame(striped, reference=as_long).straight_edge() == 0
    assert frame(striped, reference=short).straight_edge() == frame(striped, reference=none).straight_edge() > 0.75


def test_where_a_crop_ends_is_no_straight_edge():
    """What the result lacks is taken from the source, so that the old person's clothes begin at a straight edge."""
    made = person(NEW)
    made.paste(person((60, 80, 150)).crop((0, 270, WIDTH, HEIGHT)), (0, 270))
    cropped = Alignment(np.array([[1.0, 0, 0], [0, HEIGHT / 270, 0]]), sure=True)
    assert frame(made).straight_edge() > 0.75
    assert frame(made, cropped).straight_edge() < 0.4


def test_a_half_that_is_out_of_focus_is_seen_though_the_other_is_sharp():
    sharp = person(NEW)
    soft = sharp.filter(ImageFilter.GaussianBlur(5))
    for box in ((0, 160, WIDTH, HEIGHT), (0, 0, 200, HEIGHT)):
        made = sharp.copy()
        made.paste(soft.crop(box), box[:2])
        assert frame(made).sharpness() < 0.5
    assert frame(sharp).sharpness() > 0.8


def test_a_coloured_text_is_seen_unless_the_reference_has_as_much_printed_on_its_clothes():
    made = person((120, 120, 120))
    ImageDraw.Draw(made).text((142, 220), "PREVIEW ONLY", (230, 30, 30), ImageFont.load_default(18), stroke_width=1)
    plain, printed = (SimpleNamespace(print=value) for value in (0.05, 0.5))
    assert frame(made, reference=plain).text() > 0.3
    assert frame(made, reference=printed).text() == 0
    assert frame(person((120, 120, 120)), reference=plain).text() < 0.1


def test_the_old_face_on_a_new_body_is_still_the_old_person():
    old, made = person((60, 80, 150)), person(NEW, wide=61)
    box = [round(edge) for edge in FACE.box]
    kept = made.copy()
    kept.paste(old.crop(tuple(box)), tuple(box[:2]))  # type: ignore[arg-type]
    found = Persons((FACE,), (), 0.5, 0.6)
    shares = [OldAndNew(frame(one).pair, found, found).old_person() for one in (made, kept)]
    assert shares[0] < 0.3
    assert shares[1] > 0.85


def test_a_person_who_fills_the_result_stands_on_the_background_of_the_source():
    pair = frame(person(NEW)).pair
    full = BeforeAfter(
        pair.before, pair.before[::-1, ::-1].copy(), pair.before_subject, np.ones_like(pair.after_subject)
    )
    area = qa._background_of(full, Thresholds())
    assert area is None
    around = qa._surroundings(full, area, Thresholds())
    assert around is not None
    assert around.taken() == 1
    assert around.detail() is around.changed() is None
    everywhere = BeforeAfter(full.before, full.after, full.after_subject, full.after_subject)
    assert qa._surroundings(everywhere, None, Thresholds()) is None
