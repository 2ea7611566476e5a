"""Sample photographs, drawn: no real person's picture is needed to see the demo."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_segmind.emulator import samples
from demo.pictures import Photograph

PERSON = 0


def person() -> bytes:
    """Return the new person."""
    return samples.draw("person", PERSON)


def photographs() -> list[Photograph]:
    """Return two photographs that can be swapped, and one that nobody should pay for."""
    nobody = Path(__file__).with_name("nobody-there.png")
    return [
        Photograph("At home", "at-home.png", samples.draw("scene", 0)),
        Photograph("In the park", "in-the-park.png", samples.draw("scene", 1)),
        Photograph("Nobody there", nobody.name, nobody.read_bytes()),
    ]
