"""An emulator behind the default connection, and tasks that run as Airflow would run them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.emulator import Emulator


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the history without waiting seconds for what the emulator shows at once."""
    monkeypatch.setattr(history, "LOOKS", (0.0, 0.05))


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
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator() as running:
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
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, timeout=120)
