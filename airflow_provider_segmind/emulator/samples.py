"""Draw "photographs" of one person each: scenes to edit, and reference persons."""

from __future__ import annotations

import io
import random
from typing import Literal

from PIL import Image

from airflow_provider_segmind.emulator import figure, scenery
from airflow_provider_segmind.emulator.canvas import HEIGHT, SUPERSAMPLING, WIDTH, Canvas, Colour

Kind = Literal["scene", "person"]

_STUDIOS: tuple[tuple[Colour, Colour], ...] = (
    ((238, 240, 244), (216, 220, 228)),
    ((236, 234, 246), (212, 208, 230)),
    ((230, 240, 238), (204, 220, 218)),
)
_FEET = 954


def draw(kind: Kind, number: int, form: Literal["PNG", "JPEG"] = "PNG") -> bytes:
    """
    Return a photograph of 768 x 1024 pixels; each number shows another person.

    :param kind: ``scene``: a person in a place; ``person``: a person before a plain light background.
    """
    canvas = scenery.draw(f"scene {number}") if kind == "scene" else _studio(number)
    dice = random.Random(f"{kind} {number}")  # noqa: S311 - repeatable on purpose
    shift = dice.uniform(-14, 14) if kind == "scene" else 0.0
    canvas.shadow(WIDTH / 2 + shift + 14, _FEET, 170, 26, 0.42 if kind == "scene" else 0.26)
    person = figure.draw(figure.look(f"{kind} {number}"))
    canvas.image.paste(person, (round(shift * SUPERSAMPLING), 0), person)
    photograph = canvas.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    photograph.save(file, form, **({"quality": 92} if form == "JPEG" else {"compress_level": 4}))
    return file.getvalue()


def _studio(number: int) -> Canvas:
    canvas = Canvas()
    above, below = _STUDIOS[number % len(_STUDIOS)]
    canvas.fill(0, 0, WIDTH, HEIGHT, above, below)
    return canvas
