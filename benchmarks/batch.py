"""A batch, ordered as on a worker and waited for as in a triggerer, and the same requests from a bare loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp

from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.batch.files import BatchFiles
from airflow_provider_segmind.compat import TaskDeferred
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator
from airflow_provider_segmind.triggers.batch import BodySwapBatchTrigger
from benchmarks.plan import Plan
from benchmarks.probe import Lag
from benchmarks.triggers import CONN_ID
from tests.provider.running import TaskInstance

ORDERING, POLLING = 8, 16
"""Requests at the same time: ``[segmind] submit_concurrency``, and the connections of a poller."""
KEY = "SG_0123456789abcdef"


class Store(dict[str, str]):
    """Airflow's task state store, without the way to it."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value as JSON, as Airflow does."""
        self[key] = json.dumps(value)


def swaps(plan: Plan) -> list[dict[str, str]]:
    """Return a batch whose swaps all differ."""
    pictures = {
        "character_image": f"{plan.host}/samples/scene/0.png",
        "reference_character_image": f"{plan.host}/samples/person/0.png",
    }
    return [{**pictures, "select_character": f"number {number}"} for number in range(plan.jobs)]


def batch_on_emulator(plan: Plan) -> dict[str, Any]:
    """Order a batch on a worker, then ask for all of its jobs at once in a triggerer."""
    with tempfile.TemporaryDirectory() as folder:
        operator = BodySwapBatchOperator(task_id="batch", swaps=swaps(plan), results_uri=f"{folder}/results.jsonl")
        context: Any = {"ti": TaskInstance(), "task_state_store": Store()}
        began = time.monotonic()
        try:
            operator.execute(context)
        except TaskDeferred as deferred:
            ordering = time.monotonic() - began
            trigger: Any = deferred.trigger
        files = BatchFiles(trigger.results, trigger.batch)
        # All of them are due at once, as after an outage, or it is the schedule that is measured.
        files.write_swaps([{**row, "submitted_at": 0.0} for row in files.read_swaps()])
        began = time.monotonic()
        good = asyncio.run(through(trigger))
        return {"orders": plan.jobs / ordering, "asked": plan.jobs / (time.monotonic() - began), "good": good}


async def through(trigger: BodySwapBatchTrigger) -> int:
    """Run a trigger to its end, and return how many swaps have a picture."""
    (event,) = [event async for event in trigger.run()]
    return int(event.payload["summary"]["completed"])


def bare_on_emulator(plan: Plan) -> dict[str, Any]:
    """Send the same requests in loops that do nothing else."""
    return asyncio.run(_bare(plan))


async def _bare(plan: Plan) -> dict[str, Any]:
    urls: list[str] = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:

        async def order(swap: dict[str, str]) -> None:
            async with session.post(f"{plan.host}/workflows/{BODY_SWAP_WORKFLOW}", json=swap) as answer:
                urls.append((await answer.json())["poll_url"])

        async def ask(url: str) -> None:
            async with session.get(url) as answer:
                await answer.json()

        orders = await rate(order, iter(swaps(plan)), ORDERING)
        return {"orders": orders, "asked": await rate(ask, iter(urls[:]), POLLING), "good": len(urls)}


async def rate(work: Callable[[Any], Awaitable[None]], items: Iterator[Any], at_once: int) -> float:
    """Return how many items a second are worked off."""
    began, done = time.monotonic(), 0

    async def loop() -> None:
        nonlocal done
        for item in items:
            await work(item)
            done += 1

    await asyncio.gather(*(loop() for _ in range(at_once)))
    return done / (time.monotonic() - began)


def _trigger(plan: Plan) -> BodySwapBatchTrigger:
    results = f"{os.environ['AIRFLOW_HOME']}/results.jsonl"
    return BodySwapBatchTrigger(results, "batch", CONN_ID, deadline=time.time() + 3600, poll_interval=plan.interval)


def prepare(plan: Plan) -> None:
    """Write the files of a batch that is ordered."""
    now, trigger = time.time(), _trigger(plan)
    shutil.rmtree(f"{trigger.results}.parts", ignore_errors=True)
    BatchFiles(trigger.results, trigger.batch).write_swaps(
        {
            "index": number,
            "place": f"line {number}",
            "id": None,
            **swap,
            "consent_reference": None,
            "workflow": BODY_SWAP_WORKFLOW,
            "request_id": f"{number}",
            "requests": [f"{number}"],
            "poll_url": plan.url(number),
            "submitted_at": now,
        }
        for number, swap in enumerate(swaps(plan))
    )


async def run_batch(plan: Plan) -> dict[str, Any]:
    """Wait for a batch that is ordered, to its end."""
    lag = Lag()
    good = 0
    with contextlib.suppress(TimeoutError):
        good = await asyncio.wait_for(through(_trigger(plan)), plan.patience)
    return {**lag.report(), "good": good}


ON_EMULATOR = {"batch": batch_on_emulator, "bare": bare_on_emulator}
