from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_segmind.emulator import Emulator
from tests.api.sending import Run, run_async, run_sync
from tests.emulator.drawn import drawn_once


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    with drawn_once():
        yield


@pytest.fixture(params=[run_sync, run_async], ids=["requests", "aiohttp"])
def run(request: pytest.FixtureRequest) -> Run:
    runner: Run = request.param
    return runner


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running
