"""The photographs that the demo swaps, and how a picture gets from a URL or a file to the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

_SAMPLES = "https://segmind-inference-inputs.s3.amazonaws.com"
_LARGEST = 50_000_000


@dataclass(frozen=True)
class Pair:
    """
    One order: who shall stand where.

    :param title: a few words for people.
    :param character_image: the scene to edit, as a URL, a file URI or a path.
    :param reference_character_image: the new person.
    :param select_character: who in the scene is replaced.
    """

    title: str
    character_image: str
    reference_character_image: str
    select_character: str


DOCUMENTED_PAIR = Pair(
    title="Segmind's sample pictures",
    character_image=f"{_SAMPLES}/6f754395-4c9b-471f-b5e2-7b3cf6126bc4-1112524499.jpeg",
    reference_character_image=(
        f"{_SAMPLES}/e741b982-1a3a-43a3-9007-cc27e30b6ea0-29890cbc-c007-4a86-b31d-e9c8097c4c38.png"
    ),
    select_character="woman",
)


def fetch(source: str, target: Path, timeout: float = 30.0) -> Path:
    """
    Copy a picture to the disk, without any credential.

    :param source: an http(s) URL, a file URI or a path.
    :param target: the file to write, without its suffix; the source's suffix is added.
    :param timeout: seconds for each read from the network.
    :returns: the file that was written.
    :raises OSError: it cannot be read (a failed download is one, too), or is larger than 50 MB.
    """
    parts = urlsplit(source)
    path = target.with_suffix(Path(parts.path).suffix.lower() or ".png")
    if parts.scheme not in {"http", "https"}:
        shutil.copyfile(unquote(parts.path) if parts.scheme == "file" else source, path)
        return path
    with requests.get(source, timeout=timeout, stream=True) as answer:
        answer.raise_for_status()
        size = 0
        with path.open("wb") as file:
            for chunk in answer.iter_content(1 << 16):
                size += len(chunk)
                if size > _LARGEST:
                    raise OSError(f"{source} is larger than {_LARGEST // 1_000_000} MB.")
                file.write(chunk)
    return path
