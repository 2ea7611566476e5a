"""Send with both clients, by a clock that only runs ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import requests

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient, new_session, tls_of
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.transport import prepare_session
from airflow_provider_segmind.emulator import Emulator
from tests.api.clock import Clock
from tests.api.drive import WORKFLOW

Steps = Callable[[Settings, flow.Auth], flow.Flow[Any]]


Run = Callable[[Settings, Steps], Any]


PACE = flow.Pace(first=0.05, limit=0.2)


CLOCK = Clock()
"""What all clients here sleep by: it only runs ahead, so they can share it."""


def run_sync(settings: Settings, steps: Steps) -> Any:
    with requests.Session() as session:
        client = Client(settings, prepare_session(session), clock=CLOCK, sleep=CLOCK.sleep)
        return client.run(steps(settings, client.auth))


def run_async(settings: Settings, steps: Steps) -> Any:
    async def main() -> Any:
        async with new_session() as session:
            client = AsyncClient(settings, session, tls=tls_of(settings), clock=CLOCK, sleep=CLOCK.asleep)
            try:
                return await client.run(steps(settings, client.auth))
            finally:
                await session.close()
                for _ in range(9):  # a loop closes what was given up in one of its next rounds
                    await asyncio.sleep(0)

    return asyncio.run(main())


def settings_for(emulator: Emulator, **extra: Any) -> Settings:
    parts = emulator.airflow_connection()
    return Settings.from_connection(host=parts["host"], password=parts["password"], extra={**parts["extra"], **extra})


def order(emulator: Emulator) -> Steps:
    inputs = {"character_image": emulator.sample("scene", 0), "reference_character_image": emulator.sample("person", 0)}
    return lambda settings, auth: flow.submit(settings, auth, WORKFLOW, inputs, pace=PACE)
