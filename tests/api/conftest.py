from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulator.drawn import drawn_once


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    with drawn_once():
        yield
