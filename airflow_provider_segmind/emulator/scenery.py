"""Draw the scenes' places; the middle stays free for a person."""

from __future__ import annotations

import random
from collections.abc import Callable

from airflow_provider_segmind.emulator.canvas import HEIGHT, WIDTH, Canvas, Colour, darker, lighter

_LEAF: Colour = (62, 128, 84)


def draw(seed: str) -> Canvas:
    """Return an empty place; a number in the seed decides its kind, the rest its colours."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    digits = int("".join(filter(str.isdigit, seed)) or 0)
    canvas = Canvas()
    PLACES[digits % len(PLACES)](canvas, dice)
    return canvas


def _living_room(canvas: Canvas, dice: random.Random) -> None:
    wall: Colour = dice.choice([(196, 212, 200), (196, 212, 222), (206, 200, 222)])
    canvas.fill(0, 0, WIDTH, 800, lighter(wall, 0.25), wall)
    canvas.fill(0, 800, WIDTH, HEIGHT, (138, 150, 170), (104, 116, 140))
    canvas.box(0, 778, WIDTH, 800, (246, 242, 236))
    for y in (850, 920):
        canvas.stroke([(0, y), (WIDTH, y)], 2, (116, 128, 150))
    canvas.box(28, 120, 186, 430, (250, 248, 244), 4)
    canvas.fill(40, 132, 174, 418, (142, 196, 232), (214, 234, 240))
    canvas.ellipse(90, 230, 34, 14, (250, 252, 252))
    canvas.ellipse(118, 220, 28, 14, (250, 252, 252))
    canvas.box(103, 132, 111, 418, (250, 248, 244))
    canvas.box(40, 272, 174, 280, (250, 248, 244))
    canvas.box(18, 430, 196, 446, (240, 236, 228), 4)
    canvas.box(606, 150, 734, 300, (92, 66, 48), 3)
    canvas.box(618, 162, 722, 288, (240, 232, 214))
    canvas.ellipse(656, 214, 24, 24, (226, 132, 74))
    canvas.blob([(618, 286), (640, 244), (672, 262), (704, 232), (722, 286)], (92, 132, 132))
    _plant(canvas, 676, 900)


def _plant(canvas: Canvas, x: float, floor: float) -> None:
    canvas.shadow(x, floor, 80, 16, 0.35)
    for dx, dy, width in ((-58, -190, 20), (-30, -260, 24), (4, -290, 24), (38, -246, 24), (62, -176, 20)):
        tip = (x + dx, floor - 90 + dy)
        middle_x, middle_y = x + dx * 0.62, floor - 90 + dy * 0.5
        leaf = darker(_LEAF, 0.18) if dx % 4 else _LEAF
        canvas.blob([(x, floor - 80), (middle_x - width, middle_y), tip, (middle_x + width, middle_y)], leaf)
    canvas.polygon(
        [(x - 52, floor - 106), (x + 52, floor - 106), (x + 38, floor + 4), (x - 38, floor + 4)], (196, 108, 76)
    )
    canvas.box(x - 58, floor - 118, x + 58, floor - 96, (212, 124, 90), 4)


def _park(canvas: Canvas, dice: random.Random) -> None:
    sky: Colour = dice.choice([(132, 190, 232), (176, 166, 222), (140, 204, 214)])
    canvas.fill(0, 0, WIDTH, 640, sky, lighter(sky, 0.75))
    for x, y in ((110, 110), (640, 80), (690, 190)):
        canvas.ellipse(x, y, 62, 20, (255, 255, 255))
        canvas.ellipse(x + 26, y - 16, 40, 22, (255, 255, 255))
    canvas.blob([(-60, 680), (-40, 540), (180, 500), (420, 560), (640, 500), (840, 550), (840, 690)], (150, 190, 150))
    canvas.fill(0, 640, WIDTH, HEIGHT, (128, 178, 104), (92, 148, 82))
    for x, y, size in ((76, 640, 1.0), (700, 670, 1.1)):
        _tree(canvas, x, y, size)
    canvas.fill(0, 850, WIDTH, HEIGHT, (206, 208, 206), (176, 180, 180))
    for x, y in ((52, 780), (140, 806), (610, 800), (716, 786), (660, 820)):
        canvas.ellipse(x, y, 8, 8, dice.choice([(250, 240, 120), (244, 150, 170), (255, 255, 255)]))


def _tree(canvas: Canvas, x: float, y: float, size: float) -> None:
    canvas.shadow(x, y + 96 * size, 92 * size, 14, 0.3)
    canvas.box(x - 14 * size, y - 80 * size, x + 14 * size, y + 96 * size, (112, 78, 52), 6)
    for dx, dy, radius in ((0, -220, 84), (-38, -150, 64), (40, -150, 62), (0, -130, 70)):
        canvas.ellipse(x + dx * size, y + dy * size, radius * size, radius * size, darker(_LEAF, 0.05))
    for dx, dy, radius in ((-18, -250, 40), (-46, -168, 30), (20, -180, 34)):
        canvas.ellipse(x + dx * size, y + dy * size, radius * size, radius * size, lighter(_LEAF, 0.12))


def _street(canvas: Canvas, dice: random.Random) -> None:
    brick: Colour = dice.choice([(142, 118, 152), (120, 150, 148), (128, 146, 168)])
    canvas.fill(0, 0, WIDTH, 820, lighter(brick, 0.3), brick)
    canvas.box(0, 96, WIDTH, 112, lighter(brick, 0.55))
    for x in (14, 640):
        for y in (160, 400):
            _shop_window(canvas, x, y)
    canvas.box(0, 776, WIDTH, 820, darker(brick, 0.45))
    canvas.fill(0, 820, WIDTH, HEIGHT, (184, 184, 186), (158, 158, 162))
    for y in (858, 930):
        canvas.stroke([(0, y), (WIDTH, y)], 3, (142, 142, 148))
    _lamp(canvas, 148)


def _shop_window(canvas: Canvas, x: float, y: float) -> None:
    canvas.box(x, y, x + 110, y + 190, (244, 240, 232), 4)
    canvas.fill(x + 12, y + 12, x + 98, y + 178, (86, 112, 134), (152, 178, 192))
    canvas.polygon([(x + 12, y + 120), (x + 76, y + 12), (x + 94, y + 12), (x + 12, y + 148)], (150, 176, 192))
    canvas.box(x - 8, y + 186, x + 120, y + 204, (226, 220, 210), 3)


def _lamp(canvas: Canvas, x: float) -> None:
    canvas.box(x - 5, 300, x + 5, 858, (44, 50, 58), 3)
    canvas.box(x - 14, 836, x + 14, 864, (44, 50, 58), 4)
    canvas.polygon([(x - 22, 262), (x + 22, 262), (x + 14, 304), (x - 14, 304)], (255, 236, 176))
    canvas.polygon([(x - 28, 264), (x, 238), (x + 28, 264)], (44, 50, 58))


def _beach(canvas: Canvas, dice: random.Random) -> None:
    sky: Colour = dice.choice([(104, 184, 228), (184, 156, 216), (128, 172, 214)])
    canvas.fill(0, 0, WIDTH, 560, sky, lighter(sky, 0.7))
    canvas.ellipse(640, 130, 56, 56, (255, 240, 190))
    canvas.fill(0, 560, WIDTH, 740, (36, 126, 160), (104, 190, 200))
    canvas.fill(0, 740, WIDTH, HEIGHT, (190, 186, 184), (150, 146, 146))
    canvas.box(0, 732, WIDTH, 744, (250, 252, 250))
    canvas.polygon([(64, 560), (118, 470), (118, 560)], (252, 250, 246))
    canvas.blob([(54, 564), (140, 564), (128, 584), (70, 584)], (186, 66, 60))
    for y in (800, 862, 934):
        canvas.stroke([(0, y), (WIDTH, y)], 2.5, (158, 154, 154))
    canvas.shadow(664, 900, 92, 16, 0.28)
    canvas.box(660, 560, 668, 900, (246, 244, 238), 3)
    canvas.polygon([(580, 600), (612, 540), (664, 514), (716, 540), (748, 600)], (226, 82, 78))
    canvas.polygon([(630, 600), (644, 532), (664, 514), (684, 532), (698, 600)], (250, 246, 238))


PLACES: tuple[Callable[[Canvas, random.Random], None], ...] = (_living_room, _park, _street, _beach)
