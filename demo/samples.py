"""Sample photographs, drawn: no real person's picture is needed to see the demo."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from airflow_provider_segmind.emulator import samples
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
        Photograph("Lens cap on", "lens-cap-on.png", _lens_cap_on()),
    ]


def _lens_cap_on() -> bytes:
    size = (900, 1200)
    dark = Image.effect_noise(size, 6).point(lambda value: max(0, value - 118))
    out = BytesIO()
    dark.convert("RGB").save(out, "PNG")
    return out.getvalue()
