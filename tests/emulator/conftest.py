from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
import requests

from airflow_provider_segmind.emulator import Emulator
from tests.api.clock import Clock
from tests.emulator.drawn import drawn_once

WORKFLOW = "678b67a76426baad7e539337-v4"


class Client:
    """A naive client: it sends what it is told and hides nothing."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {emulator.api_key}"

    def request(self, method: str, path: str, **more) -> requests.Response:
        url = path if path.startswith("http") else self.emulator.url + path
        return self.session.request(method, url, **{"timeout": 5, "allow_redirects": False, **more})

    def inputs(self) -> dict[str, str]:
        return {
            "character_image": self.emulator.sample("scene", 0),
            "reference_character_image": self.emulator.sample("person", 1),
            "select_character": "woman",
        }

    def submit(self, **more) -> requests.Response:
        return self.request("POST", f"/workflows/{WORKFLOW}", **{"json": self.inputs(), **more})

    def job(self) -> str:
        return self.submit().json()["poll_url"]

    def poll(self, url: str) -> requests.Response:
        return self.request("GET", url)


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    with drawn_once():
        yield


def come_back(emulator: Emulator) -> None:
    """End an outage."""
    emulator._call(emulator._listener.come_back)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", emulator.port)):
            return


@pytest.fixture
def clock() -> Clock:
    """Return the clock that the emulator goes by."""
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with Emulator(clock=clock) as running:
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    made = Client(emulator)
    with made.session:
        yield made
