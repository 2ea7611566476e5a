"""Pauses as a hundredth of what they are, noted as they are."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_provider_segmind import connection as settings
from airflow_provider_segmind.api import flow, poller, schedule
from airflow_provider_segmind.api.aclient import AsyncClient
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.submitter import Submitter
from airflow_provider_segmind.sensors.pixelflow import PixelFlowSensor
from airflow_provider_segmind.waiting import shared

QUICKER = 100.0
"""How many times shorter pauses are; a test that needs them as they are sets it to 1."""


def shorten(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Shorten what is waited after errors and after 429s, and return a list that gets the seconds as they were."""
    noted: list[float] = []
    limited = schedule.Budget.limited

    def sleep(seconds: float) -> None:
        noted.append(seconds)
        time.sleep(seconds / QUICKER)

    async def asleep(seconds: float) -> None:
        noted.append(seconds)
        await asyncio.sleep(seconds / QUICKER)

    def quick_limited(budget: schedule.Budget, now: float, sent_at: float, retry_after: float | None) -> None:
        before = budget._changed
        limited(budget, now, sent_at, retry_after)
        if budget._changed != before:
            noted.append(budget._paused_until - now)
            budget._paused_until = budget._changed = now + noted[-1] / QUICKER
            if budget._base is not None and not budget.known:
                budget._base *= QUICKER

    # The provider's own layers leave out what these take for tests.
    for made, more in (
        (Client, {"sleep": sleep}),
        (AsyncClient, {"sleep": asleep}),
        (Submitter, {"sleep": asleep}),
        (poller.Poller, {"pace": flow.Pace(first=1 / QUICKER, limit=30 / QUICKER)}),
    ):
        for name, value in more.items():
            monkeypatch.setitem(made.__init__.__kwdefaults__, name, value)
    monkeypatch.setattr(schedule.Budget, "limited", quick_limited)
    interval = PixelFlowSensor._get_next_poke_interval

    def quick_interval(sensor: PixelFlowSensor, *poked: Any) -> float:
        noted.append(interval(sensor, *poked))
        return noted[-1] / QUICKER

    monkeypatch.setattr(PixelFlowSensor, "_get_next_poke_interval", quick_interval)
    monkeypatch.setattr(poller, "MOMENT", poller.MOMENT / QUICKER)
    # Otherwise a job that comes after the first one was seen to end is not asked for within ten seconds.
    monkeypatch.setattr(schedule, "PRIOR", schedule.PRIOR / QUICKER)
    monkeypatch.setattr(settings, "LOOKUP_PAUSES", tuple(pause / QUICKER for pause in settings.LOOKUP_PAUSES))
    monkeypatch.setattr(shared, "LOOKUP_PATIENCE", shared.LOOKUP_PATIENCE / QUICKER)
    monkeypatch.setattr(shared, "LOOKUP_RETRY", shared.LOOKUP_RETRY / QUICKER)
    return noted
