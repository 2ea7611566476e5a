from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.doctor.cassette import Cassette
from airflow_provider_segmind.doctor.report import judge
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.emulator.cassette import read_like
from tests.api.clock import Clock
from tests.emulator.drawn import drawn_once

CASSETTE = os.environ.get("CASSETTE") or None
"""A cassette of the doctor; then the tests of the wire are run against an emulator that answers like it."""
WORKFLOW = "678b67a76426baad7e539337-v4"


class Client:
    """A naive client: it sends what it is told and hides nothing."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        as_seen = emulator.settings.auth == "x-api-key"
        name, scheme = ("x-api-key", "") if as_seen else ("Authorization", "Bearer ")
        self.session.headers[name] = f"{scheme}{emulator.api_key}"

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


@pytest.fixture(scope="session")
def like(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Return the cassette that is imitated; without what its answers took, since no test waits for that."""
    if CASSETTE is None:
        return None
    said = json.loads(Path(CASSETTE).read_text())
    path = tmp_path_factory.mktemp("like") / "cassette.json"
    path.write_text(json.dumps({**said, "entries": [{**one, "took": 0.0} for one in said["entries"]]}))
    return path


@pytest.fixture
def emulator(clock: Clock, like: Path | None) -> Iterator[Emulator]:
    timeless = {"job_seconds": 0.0} if like else {}
    with Emulator(clock=clock, like=like, **timeless) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With CASSETTE=…, name the tests of the wire that change since the service does otherwise, and why."""
    try:
        read_like(CASSETTE)
    except (OSError, ValueError) as problem:
        raise pytest.UsageError(f"CASSETTE: {problem}") from None
    seen = _seen(json.loads(Path(CASSETTE).read_text())) if CASSETTE else {}
    for item in items:
        names = [name for mark in item.iter_markers("belief") for name in mark.args]
        if other := [f"{name}: {seen[name]}" for name in names if name in seen]:
            item.add_marker(pytest.mark.xfail(reason=f"the service differs: {'; '.join(other)}", strict=False))


def _seen(said: dict[str, Any]) -> dict[str, str]:
    """Return what a cassette shows that a plain emulator does not."""
    found = judge(Cassette(said["host"], said["entries"]), {})
    usual = ("", "the connection's host", "there when last asked")
    return {one.belief.name: one.seen for one in found if one.seen not in (*usual, one.belief.expected[0])}


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    made = Client(emulator)
    with made.session:
        yield made
