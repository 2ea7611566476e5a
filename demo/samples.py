"""Sample photographs, drawn: no real person's picture is needed to see the demo."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from airflow_provider_segmind.emulator import samples, scenery
from airflow_provider_segmind.emulator.canvas import HEIGHT, WIDTH
from demo.pictures import Photograph

PERSON = 0


def person() -> bytes:
    """Draw the new person."""
    return samples.draw("person", PERSON)


def photographs() -> list[Photograph]:
    """Draw two photographs that can be swapped, and one that nobody should pay for."""
    return [
        Photograph("At home", "at-home.png", samples.draw("scene", 0)),
        Photograph("In the park", "in-the-park.png", samples.draw("scene", 1)),
        Photograph("Nobody there", "nobody-there.png", _nobody_there()),
    ]


def _nobody_there() -> bytes:
    out = BytesIO()
    scenery.draw("scene 7").image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).convert("RGB").save(out, "PNG")
    return out.getvalue()
