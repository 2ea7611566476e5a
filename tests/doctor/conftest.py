from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.doctor.report import Report
from airflow_provider_segmind.doctor.run import examine
from airflow_provider_segmind.emulator import Emulator
from tests.api.clock import Clock
from tests.emulator.drawn import drawn_once


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    with drawn_once():
        yield


@pytest.fixture
def clock() -> Clock:
    """Return the clock that the emulator and the doctor go by."""
    return Clock()


def settings_of(emulator: Emulator, **extra: Any) -> Settings:
    """Return the settings of a connection to an emulator."""
    given = emulator.airflow_connection()
    return Settings.from_connection(
        host=given["host"], password=given["password"], extra={**given["extra"], "timeout": 5, **extra}
    )


def run(
    where: Emulator | Settings,
    out: Path,
    clock: Clock,
    *,
    order: bool = True,
    minutes: float = 0.0,
    agree: Callable[[str], bool] = lambda _: True,
) -> Report:
    """Run the doctor without an Airflow; no time passes."""
    settings = settings_of(where) if isinstance(where, Emulator) else where
    return examine(
        settings,
        out,
        agree=agree if order else None,
        minutes=minutes,
        clock=clock,
        sleep=clock.sleep,
        here=list,
    )


def differs(report: Report) -> dict[str, str]:
    """Return the beliefs that do not hold, with what was seen."""
    return {one.belief.name: one.seen for one in report.differs}


def seen(report: Report) -> dict[str, str]:
    """Return what was found out, by the name of the belief."""
    return {one.belief.name: one.seen for one in report.findings if one.seen}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the cassette of a plain emulator, whose job took a minute."""
    out, clock = tmp_path_factory.mktemp("plain"), Clock()
    with Emulator(clock=clock, job_seconds=60) as emulator:
        run(emulator, out, clock, minutes=45)
    return (out / "cassette.json").read_text()


@pytest.fixture
def cassette(recorded: str) -> dict[str, Any]:
    """Return that cassette, to change it."""
    said: dict[str, Any] = json.loads(recorded)
    return said
