"""Sample "photographs" of one drawn person each: scenes to edit, and reference persons."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from airflow_provider_segmind.emulator.paint import Form, converted

Kind = Literal["scene", "person"]

_FOLDER = Path(__file__).with_name("drawn")
"""Pictures of 768 x 1024 pixels that this project has drawn itself."""
_NUMBERS = 6


def draw(kind: Kind, number: int, form: Form = "PNG") -> bytes:
    """
    Return a picture.

    :param kind: ``scene``: a person in a place; ``person``: a person before a plain light background.
    :param number: 0 to 5 show six people; further numbers repeat them.
    :param form: file format.
    :returns: the file.
    """
    return converted((_FOLDER / f"{kind}-{number % _NUMBERS}.webp").read_bytes(), form)
