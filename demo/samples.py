"""Sample photographs, drawn: no real person's picture is needed to see the demo."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_segmind.emulator import samples
from demo.pictures import Pair

_SCENES = (("At home", "woman"), ("In the park", "woman"), ("In the street", "man"))


def draw(folder: Path) -> list[Pair]:
    """
    Draw the photographs of three orders.

    :param folder: where they go; it must exist.
    :returns: the orders. One names its pictures by path, the others by file URI; both are uploaded.
    """
    pairs = []
    for number, (title, character) in enumerate(_SCENES):
        scene = folder / f"scene-{number + 1}.png"
        scene.write_bytes(samples.draw("scene", number))
        person = folder / f"person-{number + 1}.png"
        person.write_bytes(samples.draw("person", number))
        names = [str(path.absolute()) if number == 0 else path.absolute().as_uri() for path in (scene, person)]
        pairs.append(Pair(title, names[0], names[1], character))
    return pairs
