"""The photographs that the demo swaps, and how a picture gets from a URL to the disk."""

from __future__ import annotations

from dataclasses import dataclass

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
    :param select_character: who in the scenes is replaced.
    """

    photographs: tuple[Photograph, ...]
    person: bytes | str
    select_character: str = "woman"


DOCUMENTED = Order(
    photographs=(
        Photograph("Segmind's sample pictures", f"{_SAMPLES}/6f754395-4c9b-471f-b5e2-7b3cf6126bc4-1112524499.jpeg"),
    ),
    person=f"{_SAMPLES}/e741b982-1a3a-43a3-9007-cc27e30b6ea0-29890cbc-c007-4a86-b31d-e9c8097c4c38.png",
)


def fetch(url: str, timeout: float = 30.0) -> bytes:
    """
    Return a picture, without sending any credential.

    :param url: where it is.
    :param timeout: seconds for each read from the network.
    :raises OSError: it cannot be read (a failed download is one, too), or is larger than 50 MB.
    """
    with requests.get(url, timeout=timeout, stream=True) as answer:
        answer.raise_for_status()
        data = b""
        for chunk in answer.iter_content(1 << 16):
            data += chunk
            if len(data) > _LARGEST:
                raise OSError(f"{url} is larger than {_LARGEST // 1_000_000} MB.")
    return data
