"""An emulator behind the default connection, and tasks that run as Airflow would run them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.emulator import Emulator
from tests.api.clock import Clock
from tests.emulator.drawn import drawn_once
from tests.metadata import copy_database
from tests.provider import paces


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    with drawn_once():
        yield


@pytest.fixture(autouse=True)
def without_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the XComs of a task to itself; what is shown has tests of its own."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__UI_TABS", "False")


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the history without waiting a minute for what the emulator shows at once."""
    monkeypatch.setattr(history, "SETTLED", -60.0)
    monkeypatch.setattr(history, "PATIENCE", 0.2)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Shorten what is waited after errors and 429s, and return the seconds that it would have been."""
    return paces.shorten(monkeypatch)


class _NoConnections:
    """A supervisor that knows no connection: Airflow 3.1.0 asks one even outside of a task, and fails without it."""

    def send(self, message: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, MaskSecret

        if isinstance(message, MaskSecret):
            return None
        if isinstance(message, GetConnection):
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
        raise RuntimeError("There is no supervisor.")


@pytest.fixture(autouse=version("apache-airflow") == "3.1.0")
def supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", _NoConnections(), raising=False)


@pytest.fixture
def clock() -> Clock:
    """Return the clock that the emulator goes by."""
    return Clock()


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Emulator]:
    with Emulator(clock=clock) as running:
        connect(monkeypatch, running)
        yield running


def connect(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, **changes: Any) -> None:
    """Make the emulator the default connection, with changes to its parts."""
    parts = emulator.airflow_connection()
    extra = {**parts["extra"], **changes.pop("extra", {})}
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps({**parts, **changes, "extra": extra}))


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make the metadata database that ``dag.test()`` needs."""
    copy_database(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")
