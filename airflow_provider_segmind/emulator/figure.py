"""Draw one standing person."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFilter

from airflow_provider_segmind.emulator.canvas import WIDTH, Canvas, Colour, Point, darker, lighter, mixed

SKINS: tuple[Colour, ...] = (
    (247, 211, 184),
    (236, 188, 150),
    (205, 150, 108),
    (160, 108, 72),
    (120, 76, 50),
    (88, 54, 38),
)
HAIRS: tuple[Colour, ...] = ((28, 22, 22), (62, 40, 28), (112, 66, 34), (176, 122, 58), (158, 66, 34), (140, 140, 146))
TOPS: tuple[Colour, ...] = (
    (196, 40, 62),
    (22, 128, 92),
    (222, 160, 30),
    (58, 92, 178),
    (140, 84, 170),
    (226, 104, 52),
    (24, 132, 150),
    (52, 58, 74),
)
BOTTOMS: tuple[Colour, ...] = ((44, 56, 92), (62, 62, 70), (92, 66, 42), (34, 74, 66), (86, 58, 110), (52, 88, 128))
SHOES: tuple[Colour, ...] = ((34, 32, 38), (92, 56, 34), (150, 44, 48), (60, 70, 90))
HAIR_STYLES = ("bob", "short", "long", "bun", "curls")
TOP_STYLES = ("buttons", "tee", "jacket", "stripes")
_CENTRE = WIDTH / 2


@dataclass(frozen=True)
class Look:
    """
    The looks of a person.

    :param hair_style: One of `HAIR_STYLES`.
    :param top_style: One of `TOP_STYLES`.
    :param build: Width of the body, 1 is average.
    """

    skin: Colour
    hair: Colour
    top: Colour
    bottom: Colour
    shoes: Colour
    hair_style: str
    top_style: str
    has_skirt: bool
    has_glasses: bool
    has_beard: bool
    build: float


def look(seed: str, avoid_top: Colour | None = None) -> Look:
    """Return random looks; the seed decides everything, ``avoid_top`` excludes a shirt colour."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    hair_style = dice.choice(HAIR_STYLES)
    return Look(
        skin=dice.choice(SKINS),
        hair=dice.choice(HAIRS),
        top=dice.choice([top for top in TOPS if top != avoid_top]),
        bottom=dice.choice(BOTTOMS),
        shoes=dice.choice(SHOES),
        hair_style=hair_style,
        top_style=dice.choice(TOP_STYLES),
        has_skirt=hair_style != "short" and dice.random() < 0.35,
        has_glasses=dice.random() < 0.25,
        has_beard=hair_style == "short" and dice.random() < 0.5,
        build=dice.uniform(0.92, 1.12),
    )


def draw(person: Look) -> Image.Image:
    """Return a person as a transparent picture, feet at y = 962, at twice the photograph's size."""
    canvas = Canvas("RGBA")
    pen = _Pen(canvas, person.build)
    _draw_hair_behind(pen, person)
    _draw_legs(pen, person)
    _draw_arms(pen, person)
    _draw_neck(pen, person)
    _draw_top(pen, person)
    _draw_head(pen, person)
    return _shaded(canvas.image)


class _Pen:
    """Draws left and right at once, since a person is symmetric."""

    def __init__(self, canvas: Canvas, build: float) -> None:
        self.canvas = canvas
        self.build = build

    def both(self, draw: Callable[[Callable[[float, float], Point]], None]) -> None:
        for side in (-1, 1):
            draw(lambda x, y, side=side: (_CENTRE + side * x * self.build, y))  # type: ignore[misc]

    def mirrored(self, half: list[Point], fill: Colour, build: float | None = None) -> None:
        width = self.build if build is None else build
        right = [(_CENTRE + x * width, y) for x, y in half]
        left = [(_CENTRE - x * width, y) for x, y in reversed(half)]
        self.canvas.blob(right + left, fill)


def _draw_legs(pen: _Pen, person: Look) -> None:
    leg = person.skin if person.has_skirt else person.bottom

    def one_leg(at: Callable[[float, float], Point]) -> None:
        pen.canvas.blob(
            [at(4, 585), at(88, 585), at(86, 680), at(72, 800), at(68, 938), at(25, 938), at(20, 800), at(8, 690)], leg
        )
        x, y = at(46, 945)
        pen.canvas.blob(
            [(x - 36, y + 8), (x - 30, y - 18), (x + 26, y - 18), (x + 38, y + 6), (x + 30, y + 17), (x - 30, y + 17)],
            person.shoes,
        )

    pen.both(one_leg)
    if person.has_skirt:
        pen.mirrored([(0, 560), (80, 562), (92, 640), (112, 760), (70, 776), (0, 780)], person.bottom)
        pen.canvas.stroke([(_CENTRE - 30, 640), (_CENTRE - 40, 766)], 4, darker(person.bottom))
        pen.canvas.stroke([(_CENTRE + 34, 640), (_CENTRE + 46, 766)], 4, darker(person.bottom))


def _draw_arms(pen: _Pen, person: Look) -> None:
    is_long = person.top_style in ("buttons", "jacket")

    def one_arm(at: Callable[[float, float], Point]) -> None:
        x, y = at(148, 612)
        pen.canvas.ellipse(x, y, 21, 29, person.skin)
        pen.canvas.stroke([at(112, 360), at(138, 480), at(146, 592)], 40, person.skin)
        cuff = [at(112, 352), at(138, 480), at(145, 575)] if is_long else [at(110, 352), at(128, 430)]
        pen.canvas.stroke(cuff, 54 if is_long else 62, darker(person.top, 0.1))

    pen.both(one_arm)


def _draw_neck(pen: _Pen, person: Look) -> None:
    pen.canvas.box(_CENTRE - 27, 250, _CENTRE + 27, 345, darker(person.skin, 0.12), 20)


def _draw_top(pen: _Pen, person: Look) -> None:
    top = person.top
    body: list[Point] = [
        (0, 322),
        (34, 312),
        (84, 328),
        (118, 350),
        (110, 420),
        (92, 500),
        (96, 596),
        (60, 606),
        (0, 608),
    ]
    pen.mirrored(body, top)
    if person.top_style == "stripes":
        for y in range(380, 590, 44):
            half = 108 - abs(y - 380) * 0.075
            pen.canvas.stroke(
                [(_CENTRE - half * pen.build + 14, y), (_CENTRE + half * pen.build - 14, y)], 13, lighter(top, 0.6)
            )
    if person.top_style == "jacket":
        pen.mirrored([(0, 320), (26, 316), (36, 400), (30, 606), (0, 608)], (238, 236, 230), 1)
        pen.both(lambda at: pen.canvas.polygon([at(22, 314), at(62, 322), at(58, 420), at(28, 470)], darker(top, 0.2)))
    _draw_collar(pen, person)
    if person.top_style == "buttons":
        pen.canvas.stroke([(_CENTRE, 378), (_CENTRE, 600)], 3, darker(top, 0.2))
        for y in range(400, 600, 46):
            pen.canvas.ellipse(_CENTRE, y, 5.5, 5.5, darker(top, 0.45))


def _draw_collar(pen: _Pen, person: Look) -> None:
    depth = 372 if person.top_style in ("buttons", "jacket") else 346
    pen.mirrored([(0, 300), (29, 306), (18, (depth + 312) / 2), (0, depth)], darker(person.skin, 0.06), 1)
    if person.top_style == "buttons":
        flap = lighter(person.top, 0.22)
        pen.both(lambda at: pen.canvas.polygon([at(28, 302), at(46, 316), at(30, 366), at(2, 374)], flap))


def _draw_hair_behind(pen: _Pen, person: Look) -> None:
    behind = darker(person.hair, 0.2)
    if person.hair_style == "long":
        pen.mirrored([(0, 118), (66, 140), (88, 220), (92, 330), (84, 420), (40, 430), (0, 420)], behind, 1)
    elif person.hair_style == "bob":
        pen.mirrored([(0, 116), (62, 134), (84, 205), (82, 280), (50, 296), (0, 290)], behind, 1)
    elif person.hair_style == "bun":
        pen.canvas.ellipse(_CENTRE, 112, 38, 34, behind)
    elif person.hair_style == "curls":
        for x, y in (
            (-58, 150),
            (58, 150),
            (-74, 200),
            (74, 200),
            (-68, 250),
            (68, 250),
            (0, 128),
            (-30, 132),
            (30, 132),
        ):
            pen.canvas.ellipse(_CENTRE + x, y, 36, 36, behind)


def _draw_head(pen: _Pen, person: Look) -> None:
    skin = person.skin
    canvas = pen.canvas
    for side in (-1, 1):
        canvas.ellipse(_CENTRE + side * 63, 218, 12, 18, darker(skin, 0.08))
    pen.mirrored([(0, 132), (44, 142), (63, 190), (60, 236), (40, 276), (0, 292)], skin, 1)
    if person.has_beard:
        pen.mirrored(
            [(0, 246), (32, 240), (60, 216), (60, 250), (40, 284), (0, 298)], mixed(person.hair, skin, 0.12), 1
        )
    _draw_face(canvas, person)
    _draw_hair(pen, person)


def _draw_face(canvas: Canvas, person: Look) -> None:
    skin = person.skin
    for side in (-1, 1):
        x = _CENTRE + side * 25
        canvas.ellipse(_CENTRE + side * 37, 246, 12, 8, mixed(skin, (226, 96, 92), 0.22))
        canvas.ellipse(x, 213, 10, 7.5, (250, 248, 246))
        canvas.ellipse(x, 213, 6.5, 7, (48, 32, 26))
        canvas.ellipse(x + 2.2, 210.5, 2, 2, (255, 255, 255))
        canvas.arc(x, 206, 14, 10, 200, 340, 4, darker(person.hair, 0.3))
        if person.has_glasses:
            canvas.arc(x, 213, 18, 16, 0, 360, 3.4, (40, 40, 48))
    if person.has_glasses:
        canvas.stroke([(_CENTRE - 8, 211), (_CENTRE + 8, 211)], 3.4, (40, 40, 48))
    canvas.arc(_CENTRE, 234, 8, 7, 20, 160, 3.2, darker(skin, 0.28))
    lips = mixed(skin, (176, 40, 56), 0.7)
    canvas.blob(
        [
            (_CENTRE - 21, 257),
            (_CENTRE, 262),
            (_CENTRE + 21, 257),
            (_CENTRE + 12, 270),
            (_CENTRE, 274),
            (_CENTRE - 12, 270),
        ],
        lips,
    )
    canvas.blob([(_CENTRE - 15, 260), (_CENTRE, 263), (_CENTRE + 15, 260), (_CENTRE, 268)], (252, 248, 244))


def _draw_hair(pen: _Pen, person: Look) -> None:
    hair = person.hair
    if person.hair_style == "short":
        pen.mirrored([(0, 108), (42, 116), (68, 156), (66, 206), (58, 198), (50, 166), (24, 158), (0, 162)], hair, 1)
    elif person.hair_style == "curls":
        for x, y in ((-48, 150), (-24, 136), (0, 132), (24, 136), (48, 150), (-62, 176), (62, 176)):
            pen.canvas.ellipse(_CENTRE + x, y, 24, 24, hair)
    elif person.hair_style == "bob":
        pen.mirrored([(0, 112), (48, 120), (76, 170), (78, 240), (64, 262), (58, 210), (54, 184), (0, 182)], hair, 1)
    else:
        pen.mirrored([(0, 112), (46, 120), (72, 166), (72, 250), (62, 240), (56, 196), (34, 166), (0, 150)], hair, 1)
    pen.canvas.arc(_CENTRE - 6, 172, 50, 50, 215, 268, 6, lighter(hair, 0.22))


def _shaded(figure: Image.Image) -> Image.Image:
    """Light the figure from the right: darken it softly towards its left, and add a dark rim."""
    outline = figure.getchannel("A")
    ramp = Image.linear_gradient("L").rotate(90).resize(figure.size).point(lambda value: max(0, 130 - value) // 3)
    shaded = Image.alpha_composite(figure, _ink(ImageChops.multiply(ramp, outline)))
    # A steep blur widens the outline like a rank filter, in a tenth of the time.
    rim = outline.filter(ImageFilter.BoxBlur(3)).point(lambda value: min(255, value * 4) * 2 // 3)
    return Image.alpha_composite(_ink(rim), shaded)


def _ink(strength: Image.Image) -> Image.Image:
    ink = Image.new("RGBA", strength.size, (30, 24, 44, 255))
    ink.putalpha(strength)
    return ink
