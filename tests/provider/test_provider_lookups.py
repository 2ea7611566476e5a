"""A secrets backend or an API of Airflow that fails for a moment ends no wait for a job that is paid for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_segmind import connection as settings
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    SegmindError,
    TransportError,
)
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.compat import AirflowNotFoundException
from airflow_provider_segmind.connection import aload_settings, missing
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from airflow_provider_segmind.waiting import shared
from airflow_provider_segmind.waiting.events import read_event
from airflow_provider_segmind.waiting.shared import SharedConnection
from tests.api.drive import WORKFLOW
from tests.provider.conftest import connect
from tests.provider.running import context, first_event, run_in_mode

ERRORS = [AirflowNotFoundException("The conn_id isn't defined"), RuntimeError("Vault is sealed: s.token")]


def order(emulator: Emulator) -> str:
    inputs = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    return SegmindHook().submit(WORKFLOW, inputs).poll_url


def failing(look_up: Callable[[str], Any], error: Exception, *fails: int) -> Callable[[str], Any]:
    """Return a lookup that fails the times that are named, counted from 1."""
    calls = 0

    def failing_look_up(conn_id: str) -> Any:
        nonlocal calls
        calls += 1
        if calls in fails:
            raise error
        return look_up(conn_id)

    return failing_look_up


@pytest.fixture(params=ERRORS, ids=["not found", "broken"])
def error(request: pytest.FixtureRequest) -> Exception:
    found: Exception = request.param
    return found


def test_a_connection_that_is_edited_wrongly_for_a_moment_ends_no_wait_on_a_worker(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_polls=4)
    poll_url, found, calls = order(emulator), settings.BaseHook.get_connection, 0
    wrong = Connection(
        conn_id="segmind_default", conn_type="segmind", password="SG_key", extra='{"auth_scheme": "digest"}'
    )

    def edited(conn_id: str) -> Any:
        nonlocal calls
        calls += 1
        return wrong if calls in (2, 3) else found(conn_id)

    monkeypatch.setattr(settings.BaseHook, "get_connection", edited)
    made = run_in_mode(
        lambda **how: BodySwapSensor(task_id="w", poll_url=poll_url, poke_interval=0.05, **how), "reschedule"
    )
    assert made["status"] == "COMPLETED"
    assert calls > 3


@pytest.mark.parametrize("mode", ["deferrable", "poke", "reschedule"])
def test_a_lookup_that_fails_for_a_moment_ends_no_wait(
    mode: str, error: Exception, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_polls=4)
    poll_url = order(emulator)
    # Longer than a worker tries again by itself, from the second poke on.
    later = range(2, 8) if mode != "deferrable" else (1, 2)
    broken = failing(settings.BaseHook.get_connection, error, *later)
    monkeypatch.setattr(settings.BaseHook, "get_connection", broken)
    made = run_in_mode(lambda **how: BodySwapSensor(task_id="w", poll_url=poll_url, poke_interval=0.05, **how), mode)
    assert made["status"] == "COMPLETED"


def test_a_connection_that_never_was_there_is_an_error_after_a_few_tries(
    error: Exception, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_url = order(emulator)
    monkeypatch.setattr(settings.BaseHook, "get_connection", failing(lambda _: None, error, *range(99)))
    with pytest.raises(Exception, match=r"no connection|cannot look up connection") as raised:
        BodySwapSensor(task_id="w", poll_url=poll_url, deferrable=False).execute(context())
    assert "s.token" not in str(raised.value)


@pytest.mark.parametrize("fails", [(1, 2), (2, 3, 4)], ids=["at its start", "later"])
@pytest.mark.parametrize(
    "failure", [missing("segmind_default"), TransportError("Vault is sealed")], ids=["missing", "broken"]
)
async def test_waits_in_a_triggerer_go_on_with_the_connection_that_they_have(
    failure: SegmindError, fails: tuple[int, ...], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_polls=5)
    poll_urls = [order(emulator) for _ in range(5)]
    calls = 0

    async def load(conn_id: str) -> Settings:
        nonlocal calls
        calls += 1
        if calls in fails:
            raise failure
        return await aload_settings(conn_id)

    monkeypatch.setattr(shared, "LOOKUP_TTL", 0.02)
    monkeypatch.setattr(shared.SharedConnection.__init__, "__defaults__", (load,))
    waits = [PixelFlowTrigger(poll_url, "segmind_default", time.time() + 60, 0.05) for poll_url in poll_urls]
    events = await asyncio.gather(*(first_event(wait) for wait in waits))
    assert [read_event(event)[0].status for event in events] == ["COMPLETED"] * 5
    assert calls > 1


async def test_a_key_that_is_refused_while_no_other_can_be_looked_up_is_waited_out(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_polls=3)
    poll_url = order(emulator)
    calls = 0

    async def load(conn_id: str) -> Settings:
        nonlocal calls
        calls += 1
        if calls == 1:
            found = await aload_settings(conn_id)
            emulator.set(api_key="SG_rotated_key")
            return found
        if calls == 2:
            raise missing(conn_id)
        connect(monkeypatch, emulator, password="SG_rotated_key")
        return await aload_settings(conn_id)

    monkeypatch.setattr(shared.SharedConnection.__init__, "__defaults__", (load,))
    event = await first_event(PixelFlowTrigger(poll_url, "segmind_default", time.time() + 60, 0.05))
    assert read_event(event)[0].status == "COMPLETED"


def test_a_key_that_was_changed_during_a_poke_is_looked_up_again(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set(job_polls=2)
    sensor = BodySwapSensor(task_id="w", poll_url=order(emulator), deferrable=False, poke_interval=0.05, timeout=30)
    first = sensor.poke

    def poke(ctx: Any) -> Any:
        seen = first(ctx)
        emulator.set(api_key="SG_rotated_key")
        connect(monkeypatch, emulator, password="SG_rotated_key")
        return seen

    sensor.poke = poke  # type: ignore[method-assign]
    assert sensor.execute(context())["status"] == "COMPLETED"
    emulator.set(api_key="SG_another_key", job_polls=3)
    sensor.poke = first  # type: ignore[method-assign]
    with pytest.raises(AuthenticationError):
        sensor.execute(context())


@pytest.mark.parametrize(
    "error", [AuthenticationError("no such connection"), InvalidRequestError("verify is '/no/such'")]
)
async def test_waits_use_the_connection_that_they_have_while_it_cannot_be_looked_up(error: SegmindError) -> None:
    good = Settings.from_connection(host=None, password="SG_0123456789abcdef")
    said: list[Any] = [good, error]

    async def load(conn_id: str) -> Settings:
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        found: Settings = one
        return found

    connection = SharedConnection("segmind_default", load)
    try:
        first = await connection.client()
        connection._good_until = 0.0
        assert await connection.client() is first
    finally:
        await connection.close()
