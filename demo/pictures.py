"""The photographs that the demo swaps, and how a picture gets from a URL to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import requests

_SAMPLES = "https://segmind-inference-inputs.s3.amazonaws.com"
_LARGEST = 50_000_000


@dataclass(frozen=True)
class Photograph:
    """
    A scene to edit.

    :param title: a few words for people.
    :param name: file name in the inbox, or the URL of one that is not in the inbox.
    :param data: the file; ``None`` for a URL.
    """

    title: str
    name: str
    data: bytes | None = None


@dataclass(frozen=True)
class Order:
    """
    What the pipeline is given.

    :param photographs: the scenes.
    :param person: the new person: the file, or a URL.
    """

    photographs: tuple[Photograph, ...]
    person: bytes | str


DOCUMENTED = Order(
    (Photograph("Segmind's sample pictures", f"{_SAMPLES}/6f754395-4c9b-471f-b5e2-7b3cf6126bc4-1112524499.jpeg"),),
    f"{_SAMPLES}/e741b982-1a3a-43a3-9007-cc27e30b6ea0-29890cbc-c007-4a86-b31d-e9c8097c4c38.png",
)


def drawn() -> Order:
    """Draw two photographs that can be swapped, one that nobody should pay for, and the new person."""
    # Pillow takes a while to import, and the live demo draws nothing before it has asked.
    from airflow_provider_segmind.emulator import samples, scenery
    from airflow_provider_segmind.emulator.canvas import HEIGHT, WIDTH

    nobody = BytesIO()
    scenery.draw("scene 7").image.resize((WIDTH, HEIGHT)).convert("RGB").save(nobody, "PNG")
    photographs = (
        Photograph("At home", "at-home.png", samples.draw("scene", 0)),
        Photograph("In the park", "in-the-park.png", samples.draw("scene", 1)),
        Photograph("Nobody there", "nobody-there.png", nobody.getvalue()),
    )
    return Order(photographs, samples.draw("person", 0))


def fetch(url: str) -> bytes:
    """Return a picture, without sending any credential; raise ``OSError`` if that fails or it is above 50 MB."""
    with requests.get(url, timeout=30, stream=True) as answer:
        answer.raise_for_status()
        data = b""
        for chunk in answer.iter_content(1 << 16):
            data += chunk
            if len(data) > _LARGEST:
                raise OSError(f"{url} is larger than {_LARGEST // 1_000_000} MB.")
    return data
