"""The photographs that the demo swaps, and how a picture gets from a URL to the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

from airflow_provider_segmind.emulator import samples

_SAMPLES = "https://segmind-inference-inputs.s3.amazonaws.com"
_LARGEST = 50_000_000


@dataclass(frozen=True)
class Order:
    """The new person, and the photographs by title in the order of their titles: files, or URLs of files."""

    scenes: Mapping[str, bytes | str]
    person: bytes | str


DOCUMENTED = Order(
    {"Segmind's sample pictures": f"{_SAMPLES}/6f754395-4c9b-471f-b5e2-7b3cf6126bc4-1112524499.jpeg"},
    f"{_SAMPLES}/e741b982-1a3a-43a3-9007-cc27e30b6ea0-29890cbc-c007-4a86-b31d-e9c8097c4c38.png",
)


def drawn() -> Order:
    """Return two drawn photographs that can be swapped, one that nobody should pay for, and the new person."""
    nobody = Path(__file__).with_name("nobody-there.png")
    scenes = {
        "At home": samples.draw("scene", 0),
        "In the park": samples.draw("scene", 1),
        "Nobody there": nobody.read_bytes(),
    }
    return Order(scenes, samples.draw("person", 0))


def file_name(title: str) -> str:
    """Return the name of a photograph's file, without what tells its kind."""
    return title.lower().replace(" ", "-").replace("'", "")


def fetch(url: bytes | str) -> bytes:
    """Return a picture by its URL, without any credential; raise ``OSError`` if that fails or it is above 50 MB."""
    if isinstance(url, bytes):
        return url
    with requests.get(url, timeout=30, stream=True) as answer:
        answer.raise_for_status()
        data = b""
        for chunk in answer.iter_content(1 << 16):
            data += chunk
            if len(data) > _LARGEST:
                raise OSError(f"{url} is larger than {_LARGEST // 1_000_000} MB.")
    return data
