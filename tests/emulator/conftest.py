from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from airflow_provider_segmind.emulator import Emulator

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


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    made = Client(emulator)
    with made.session:
        yield made
