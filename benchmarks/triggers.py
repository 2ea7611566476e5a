"""The variants that wait in an event loop, run by Airflow's own ``TriggerRunner.run_trigger``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.providers.http.triggers.http import HttpSensorTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from airflow_provider_segmind.waiting.events import event_of_job
from benchmarks.lookups import counted
from benchmarks.plan import Plan
from benchmarks.probe import Lag

CONN_ID = "segmind_default"
OUTPUT = Output("body_swap_image", "image", "https://images.segmind.com/x.png")
JOB = Job("1", "https://127.0.0.1:50000/workflows/request/1", "COMPLETED", (OUTPUT,))


class NullTrigger(BaseTrigger):
    """
    What Airflow takes for a trigger that only sleeps, and then has the same event as one that waits for a job.

    :param seconds: after which it fires.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return "benchmarks.triggers.NullTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, then fire."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent(event_of_job(JOB))


class OwnSessionTrigger(BaseTrigger):
    """
    The usual trigger of a provider that is careful: one session for the whole wait, but of its own.

    :param poll_url: where to ask.
    :param interval: seconds between polls.
    """

    def __init__(self, poll_url: str, interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_url = poll_url
        self.interval = interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return "benchmarks.triggers.OwnSessionTrigger", {"poll_url": self.poll_url, "interval": self.interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask every so often, then fire."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(self.poll_url) as answer:
                        if (await answer.json())["status"] == "COMPLETED":
                            break
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(self.interval)
        yield TriggerEvent(event_of_job(JOB))


def http_sensor(plan: Plan, number: int) -> BaseTrigger:
    """Return the HTTP provider's trigger, unmodified; it needs a 404 while the job is pending."""
    return HttpSensorTrigger(endpoint=plan.path(number), http_conn_id=CONN_ID, poke_interval=plan.interval)


def own_session(plan: Plan, number: int) -> BaseTrigger:
    """Return a trigger with a session of its own."""
    return OwnSessionTrigger(plan.url(number), plan.interval)


def ours(plan: Plan, number: int) -> BaseTrigger:
    """Return this provider's trigger."""
    now = time.time()
    return PixelFlowTrigger(
        plan.url(number),
        CONN_ID,
        deadline=now + 3600,
        poll_interval=plan.interval,
        request_id=str(number),
        workflow="678b67a76426baad7e539337-v4",
        submitted_at=now,
    )


def null(plan: Plan, number: int) -> BaseTrigger:
    """Return a trigger that only sleeps."""
    return NullTrigger(plan.durations[number])


async def run_triggers(plan: Plan) -> dict[str, Any]:
    """Start all triggers as the triggerer does, one after the other in one loop, and wait for them."""
    runner, make = TriggerRunner(), TRIGGERS[plan.variant]
    lag = Lag()
    for number in range(plan.jobs):
        # TriggerRunner.create_triggers yields to the loop twice for each trigger.
        await asyncio.sleep(0)
        trigger = make(plan, number)
        await asyncio.sleep(0)
        name = f"dag/run/task/{number}/1 (ID {number})"
        task = asyncio.create_task(start(runner, number, trigger), name=name)
        runner.triggers[number] = {"task": task, "is_watcher": False, "name": name, "events": 0}
    tasks = [details["task"] for details in runner.triggers.values()]
    done, _ = await asyncio.wait(tasks, timeout=plan.patience)
    report = lag.report()
    fired = [entry.event.payload for entry in runner.events]
    good = sum(event is True or event.get("status") == "success" for event in fired)
    return {**report, "through": len(done), "fired": len(fired), "good": good, "lookups": sum(counted.values())}


async def start(runner: TriggerRunner, number: int, trigger: BaseTrigger) -> None:
    """Run one trigger; a variant that breaks one of them is still measured with the others."""
    await runner.run_trigger(number, trigger)


async def bare(plan: Plan) -> dict[str, Any]:
    """Poll as fast as one session with 16 connections can: what there is to gain at most."""
    until = time.monotonic() + plan.patience
    lag = Lag()
    polls = 0

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal polls
        while time.monotonic() < until:
            async with session.get(plan.url(number)) as answer:
                await answer.json()
            polls += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16)) as session:
        await asyncio.gather(*(ask(session, number) for number in range(16)))
    return {**lag.report(), "sent": polls}


TRIGGERS: dict[str, Callable[[Plan, int], BaseTrigger]] = {
    "http_sensor": http_sensor,
    "own_session": own_session,
    "ours": ours,
    "null": null,
}
