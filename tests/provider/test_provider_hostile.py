"""Nothing that a service answers gets into an event, an XCom or a log in a form that can hurt there."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from tests.hostile import ATTACKS, BODIES, STATUSES, order
from tests.provider.running import context

MAX_EVENT = 16 * 1024
"""Bytes: Airflow logs events in full and keeps them in its database."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def seen(payload: object) -> str:
    """Return all texts of a payload, which must be JSON that each database takes."""
    stored = json.dumps(payload, allow_nan=False, ensure_ascii=False)
    assert not UNSTORABLE.search(stored)
    return stored


def ask(emulator: Emulator, poll_url: str, body: bytes, status: int) -> Any:
    emulator.clear_faults()
    emulator.script(Fault("raw", on="poll", times=None, body=body, status=status))

    async def events() -> list[Any]:
        waited = PixelFlowTrigger(poll_url, "segmind_default", deadline=1.0)
        return [event.payload async for event in waited.run()]

    (payload,) = asyncio.run(events())
    return payload


def every_attack(test: Any) -> Any:
    for body, status in ATTACKS:
        test = example(body=body, status=status)(test)
    return test


@every_attack
@given(body=BODIES, status=STATUSES)
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_an_event_is_small_and_can_be_stored_and_a_log_has_no_forged_line(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], body: bytes, status: int
) -> None:
    payload = ask(emulator, order(emulator), body, status)
    assert len(json.dumps(payload)) <= MAX_EVENT
    stored = seen(payload)
    logged = "".join(capsys.readouterr())
    assert emulator.api_key not in stored + logged
    assert "\x00" not in logged
    assert not any(line.startswith("FORGED") for line in logged.splitlines())


@pytest.mark.parametrize(("body", "status"), ATTACKS, ids=range(len(ATTACKS)))
def test_a_result_that_a_worker_reads_can_be_stored_as_well(emulator: Emulator, body: bytes, status: int) -> None:
    poll_url = order(emulator)
    emulator.script(Fault("raw", on="poll", times=None, body=body, status=status))
    sensor = BodySwapSensor(task_id="wait", poll_url=poll_url, deferrable=False, timeout=0.01, poke_interval=0.01)
    ctx = context()
    try:
        said = sensor.execute(ctx)
    except Exception as error:  # noqa: BLE001 - whatever it is, its words reach the log
        said = str(error)
    assert emulator.api_key not in seen(said) + seen(ctx["ti"].xcoms)
