"""The scenes of the benchmark: photographs, parts of them, persons put into other places, and drawings."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from airflow_provider_segmind.emulator import samples
from benchmarks.quality_fetch import fetched
from benchmarks.quality_people import Base, grained, opened, photographs, segmenter
from benchmarks.quality_pictures import MODEL, PICTURES

FOLDS = 5
Box = tuple[float, float, float, float]

_PARTS: tuple[tuple[str, str, Box, str], ...] = (
    ("bus", "coat", (0.068, 0.343, 0.286, 0.85), "full body"),
    ("bus", "dark-coat", (0.274, 0.361, 0.432, 0.81), "full body"),
    ("zidane", "trainer", (0.55, 0.0, 1.0, 1.0), "half body"),
    ("zidane", "pointing", (0.0, 0.0, 0.56, 1.0), "half body"),
    ("car", "driver", (0.28, 0.0, 0.52, 0.7), "bust"),
    ("car", "passenger", (0.58, 0.0, 1.0, 0.72), "head"),
)
"""Photograph, name, and where in it one person is, as shares of its sides."""
_CLOSER: tuple[tuple[str, Box, str], ...] = (
    ("biden", (0.0, 0.0, 1.0, 0.42), "bust"),
    ("obama-arms", (0.1, 0.0, 0.95, 0.45), "bust"),
    ("obama-portrait", (0.15, 0.0, 0.85, 0.5), "head"),
    ("hopper", (0.1, 0.0, 0.95, 0.62), "head"),
)
_PLACED: tuple[tuple[str, str, float, float, str], ...] = (
    ("paumier", "china", 0.72, 0.3, "half body"),
    ("maher", "motorcycle", 0.6, 0.65, "bust"),
    ("biden", "grass", 0.85, 0.5, "half body"),
    ("hopper", "flower", 0.7, 0.35, "bust"),
    ("obama-arms", "china", 0.9, 0.6, "half body"),
    ("luispedro", "brick", 0.55, 0.6, "bust"),
    ("giunchedi", "coffee", 0.75, 0.5, "bust"),
)
"""Person, place, its height and middle as shares of the place, framing."""
_SIDEWAYS = ("dark-shirt", "guido", "maher", "obama-portrait")
_DRAWN = 6


def scenes() -> list[Base]:
    """Return all scenes, by name."""
    segment = segmenter(fetched(MODEL))
    own = photographs()
    places = {one.name: opened(fetched(one)) for one in PICTURES if one.persons != 1}
    made = [*own, *_parts(places, segment), *_closer(own), *_placed(own, places), *emulated(), *_drawn_otherwise()]
    return sorted((replace(one, sideways=one.name in _SIDEWAYS) for one in made), key=lambda one: one.name)


def folds(bases: Sequence[Base]) -> list[list[Base]]:
    """Return the bases in five parts that share no person and no photograph, alternating by name."""
    groups = sorted({base.who for base in bases})
    parts: list[list[Base]] = [[] for _ in range(FOLDS)]
    for base in bases:
        parts[groups.index(base.who) % FOLDS].append(base)
    return parts


def _parts(places: dict[str, Image.Image], segment: object) -> Iterator[Base]:
    for photograph, name, box, framing in _PARTS:
        picture = _cut(places[photograph], box)
        if max(picture.size) < 700:
            picture = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.LANCZOS)
        mask = segment(picture)  # type: ignore[operator]
        yield Base(name, picture, mask, photograph, reference=framing != "full body", framing=framing)


def _closer(own: Sequence[Base]) -> Iterator[Base]:
    for name, box, framing in _CLOSER:
        base = _named(own, name)
        picture, mask = _cut(base.picture, box), _cut(base.mask, box)
        yield replace(base, name=f"{name}, closer", picture=picture, mask=mask, framing=framing, reference=False)


def _placed(own: Sequence[Base], places: dict[str, Image.Image]) -> Iterator[Base]:
    for person, where, height, middle, framing in _PLACED:
        base, place = _named(own, person), places[where]
        if max(place.size) < 800:
            place = place.resize([round(side * 800 / max(place.size)) for side in place.size], Image.Resampling.LANCZOS)
        box = base.mask.getbbox() or (0, 0, *base.mask.size)
        share = place.height * height / (box[3] - box[1])
        size = round((box[2] - box[0]) * share), round(place.height * height)
        picture, mask = (image.crop(box).resize(size, Image.Resampling.LANCZOS) for image in (base.picture, base.mask))
        at = round(place.width * middle - size[0] / 2), place.height - size[1]
        whole = Image.new("L", place.size)
        whole.paste(mask, at)
        made = place.copy()
        made.paste(picture, at, mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(1)))
        yield replace(base, name=f"{person} at {where}", picture=made, mask=whole, framing=framing, reference=False)


def emulated() -> Iterator[Base]:
    """Yield the drawings of the emulator: whole, and some of them closer."""
    for number in range(_DRAWN):
        drawn = opened(samples.draw("scene", number))
        picture, mask = grained(drawn, 4, number), _figure(drawn.size)
        base = Base(f"drawn-{number}", picture, mask, f"drawn-{number}", reference=True, framing="full body")
        yield base
        if number % 2:
            box = (0.05, 0.0, 0.95, 0.55)
            yield replace(
                base, name=f"drawn-{number}, closer", picture=_cut(picture, box), mask=_cut(mask, box),
                framing="half body", reference=False,
            )  # fmt: skip


def _figure(size: tuple[int, int]) -> Image.Image:
    """Return where the emulator's figures stand, all at the same place."""
    width, height = size
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for left, top, right, bottom in ((0.36, 0.1, 0.65, 0.36), (0.24, 0.3, 0.74, 0.65), (0.33, 0.6, 0.67, 0.96)):
        draw.rounded_rectangle((left * width, top * height, right * width, bottom * height), width * 0.05, 255)
    return mask


def _drawn_otherwise() -> Iterator[Base]:
    """Yield figures that sit, or turn their backs, in plain and in busy rooms."""
    for number, (framing, busy) in enumerate(
        (("seated", False), ("seated", True), ("back turned", False), ("back turned", True))
    ):
        chance = random.Random(number)  # noqa: S311 - to look different, not to be secret
        size = (900, 1000) if framing == "seated" else (700, 1000)
        room = ImageOps.colorize(Image.linear_gradient("L").resize(size), (205, 200, 190), (120, 110, 105))
        draw = ImageDraw.Draw(room)
        draw.rectangle((0, size[1] * 0.78, size[0], size[1]), (96, 84, 74))
        if busy:
            for _ in range(40):
                left, top = chance.randrange(size[0]), chance.randrange(size[1])
                box = (left, top, left + chance.randrange(20, 110), top + chance.randrange(20, 110))
                draw.rectangle(box, tuple(chance.randrange(40, 230) for _ in range(3)))
        mask = Image.new("L", size)
        shape = _seated if framing == "seated" else _from_behind
        shape(ImageDraw.Draw(room), ImageDraw.Draw(mask), size, chance)
        name = f"{framing}, {'busy' if busy else 'plain'}"
        yield Base(name, grained(room, 5, number), mask, name, reference=False, framing=framing)


def _seated(draw: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, size: tuple[int, int], chance: random.Random) -> None:
    width, height = size
    draw.rounded_rectangle((width * 0.3, height * 0.42, width * 0.7, height * 0.8), 30, (70, 50, 40))
    clothes, trousers, skin, hair = _dyes(chance)
    _part(draw, mask, "rounded_rectangle", (0.36 * width, 0.33 * height, 0.64 * width, 0.68 * height), clothes)
    for left in (0.35, 0.52):
        _part(
            draw,
            mask,
            "rounded_rectangle",
            (left * width, 0.62 * height, (left + 0.13) * width, 0.74 * height),
            trousers,
        )
        _part(
            draw,
            mask,
            "rounded_rectangle",
            ((left + 0.02) * width, 0.7 * height, (left + 0.11) * width, 0.93 * height),
            trousers,
        )
    for left in (0.31, 0.62):
        _part(
            draw,
            mask,
            "rounded_rectangle",
            (left * width, 0.36 * height, (left + 0.07) * width, 0.62 * height),
            clothes,
        )
    _part(draw, mask, "ellipse", (0.41 * width, 0.11 * height, 0.59 * width, 0.32 * height), hair)
    _part(draw, mask, "ellipse", (0.43 * width, 0.14 * height, 0.57 * width, 0.33 * height), skin)
    for x in (0.47, 0.53):
        draw.ellipse(((x - 0.013) * width, 0.215 * height, (x + 0.013) * width, 0.232 * height), (30, 25, 25))
    draw.arc((0.47 * width, 0.26 * height, 0.53 * width, 0.29 * height), 10, 170, (150, 50, 50), 5)
    draw.line((0.5 * width, 0.23 * height, 0.493 * width, 0.255 * height), (120, 80, 60), 4)


def _from_behind(
    draw: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, size: tuple[int, int], chance: random.Random
) -> None:
    width, height = size
    clothes, trousers, skin, hair = _dyes(chance)
    for left in (0.36, 0.51):
        _part(
            draw,
            mask,
            "rounded_rectangle",
            (left * width, 0.55 * height, (left + 0.13) * width, 0.95 * height),
            trousers,
        )
    _part(draw, mask, "rounded_rectangle", (0.33 * width, 0.24 * height, 0.67 * width, 0.6 * height), clothes)
    for left in (0.25, 0.66):
        _part(
            draw,
            mask,
            "rounded_rectangle",
            (left * width, 0.25 * height, (left + 0.09) * width, 0.56 * height),
            clothes,
        )
    _part(draw, mask, "rounded_rectangle", (0.46 * width, 0.19 * height, 0.54 * width, 0.27 * height), skin)
    _part(draw, mask, "ellipse", (0.4 * width, 0.06 * height, 0.6 * width, 0.23 * height), hair)


def _dyes(chance: random.Random) -> list[tuple[int, int, int]]:
    clothes, trousers = (
        (chance.randrange(30, 220), chance.randrange(30, 220), chance.randrange(30, 220)) for _ in "ab"
    )
    return [clothes, trousers, chance.choice(((224, 172, 140), (141, 98, 70), (92, 62, 46))), (50, 35, 28)]


def _part(
    draw: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, shape: str, box: Box, colour: tuple[int, int, int]
) -> None:
    for target, ink in ((draw, colour), (mask, 255)):
        getattr(target, shape)(box, *((28,) if shape == "rounded_rectangle" else ()), ink)


def _cut(picture: Image.Image, box: Box) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height)))


def _named(bases: Sequence[Base], name: str) -> Base:
    return next(base for base in bases if base.name == name)
