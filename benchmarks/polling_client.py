"""
One way to wait for many jobs, measured from inside: CPU, memory, and how late the event loop wakes.

``python -m benchmarks.polling_client VARIANT JOBS FACTOR PORT`` prints one line of JSON; logs go to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from benchmarks.polling_jobs import durations

INTERVAL = 7.0
PAGE = os.sysconf("SC_PAGE_SIZE")
KEY = {"Authorization": "Bearer SG_benchmark"}


class Monitor:
    """Watches this process: how late a sleep of 20 ms ends, and the largest memory."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.before = self.most = self._rss()
        self.cpu = time.process_time()

    @staticmethod
    def _rss() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE // 1024

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.lags.append(time.monotonic() - due)
            if len(self.lags) % 5 == 0:
                self.most = max(self.most, self._rss())

    def measured(self) -> dict[str, float]:
        """Return CPU seconds, KiB on top of what there was before, and lags in milliseconds."""
        lags = sorted(self.lags) or [0.0]
        return {
            "cpu": time.process_time() - self.cpu,
            "kib": max(self.most, self._rss()) - self.before,
            "lag_p99": 1000 * lags[int(0.99 * (len(lags) - 1))],
            "lag_max": 1000 * lags[-1],
        }


def triggers(make: Callable[[int], Any], count: int) -> Callable[[], Awaitable[None]]:
    """Return how to run so many triggers as Airflow's triggerer does."""

    async def run() -> None:
        from airflow.jobs.triggerer_job_runner import TriggerRunner

        runner = TriggerRunner()
        tasks = []
        for number in range(count):
            await asyncio.sleep(0)  # as its create_triggers() does
            runner.triggers[number] = {"task": None, "is_watcher": False, "name": f"job {number}", "events": 0}  # type: ignore[typeddict-item]
            tasks.append(asyncio.create_task(runner.run_trigger(number, make(number))))
        await asyncio.gather(*tasks)

    return run


def null(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """Triggers that only sleep as long as their jobs take: what Airflow costs anyway."""
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    seconds = durations(count, factor)

    class Null(BaseTrigger):
        def __init__(self, number: int) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.number = number

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "null", {}

        async def run(self) -> AsyncIterator[TriggerEvent]:
            await asyncio.sleep(seconds[self.number])
            yield TriggerEvent("done")

    return triggers(Null, count)


def ours(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """The trigger of this provider."""
    from airflow_provider_segmind.api import schedule
    from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger

    for name, seconds in (("PRIOR", 35.0), ("SHORTEST", 2.0), ("LONGEST", 30.0)):
        setattr(schedule, name, seconds * factor)

    def make(number: int) -> Any:
        url = f"{base}/workflows/request/{number}"
        return PixelFlowTrigger(url, "segmind_default", time.time() + 3600, INTERVAL * factor, workflow=f"{factor}")

    return triggers(make, count)


def http_sensor(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """The trigger of Airflow's own HttpSensor, which waits as long as the answer is 404."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    def make(number: int) -> Any:
        endpoint = f"workflows/request/{number}"
        return HttpSensorTrigger(endpoint, http_conn_id="http_default", headers=KEY, poke_interval=INTERVAL * factor)

    return triggers(make, count)


def per_trigger(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """A trigger with a session of its own, which several providers have."""
    import aiohttp
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    class Own(BaseTrigger):
        def __init__(self, number: int) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.url = f"{base}/workflows/request/{number}"

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "own", {}

        async def run(self) -> AsyncIterator[TriggerEvent]:
            async with aiohttp.ClientSession(headers=KEY) as session:
                while True:
                    async with session.get(self.url) as answer:
                        if (await answer.json())["status"] == "COMPLETED":
                            break
                    await asyncio.sleep(INTERVAL * factor)
            yield TriggerEvent("done")

    return triggers(Own, count)


def limit(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """A bare loop that asks as fast as it can, sixteen at a time on one session."""
    import aiohttp

    async def run() -> None:
        end = time.monotonic() + 5

        async def ask(session: aiohttp.ClientSession) -> None:
            while time.monotonic() < end:
                async with session.get(f"{base}/workflows/request/0") as answer:
                    await answer.json()

        async with aiohttp.ClientSession(headers=KEY, connector=aiohttp.TCPConnector(limit=16)) as session:
            await asyncio.gather(*(ask(session) for _ in range(16)))

    return run


def documented(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """The loop of Segmind's documentation, a thread for each job."""

    def wait(number: int) -> None:
        while (
            requests.get(f"{base}/workflows/request/{number}", headers=KEY, timeout=30).json()["status"] != "COMPLETED"
        ):
            time.sleep(INTERVAL * factor)

    return _threads(wait, count)


def sdk(count: int, factor: float, base: str) -> Callable[[], Awaitable[None]]:
    """Segmind's official SDK, a thread for each job, one client for all."""
    import segmind

    client = segmind.SegmindClient(api_key="SG_benchmark", base_url=base)

    def wait(number: int) -> None:
        url = f"{base}/workflows/request/{number}"
        while client._request("GET", url).json()["status"] != "COMPLETED":  # its pixelflows.poll does just this
            time.sleep(INTERVAL * factor)

    return _threads(wait, count)


def _threads(wait: Callable[[int], None], count: int) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=count) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, wait, number) for number in range(count)))

    return run


VARIANTS = {make.__name__: make for make in (null, ours, http_sensor, per_trigger, limit, documented, sdk)}


async def measure(variant: str, count: int, factor: float, base: str) -> dict[str, float]:
    """Let the jobs begin, wait for them, and return what that took beyond a first one that imports everything."""
    make = VARIANTS[variant]
    if variant != "limit":
        await make(1, 0.001, f"{base}/warm")()
    work = make(count, factor, base)
    await asyncio.to_thread(requests.get, f"{base}/begin", timeout=30)
    monitor = Monitor()
    began = time.monotonic()
    watching = asyncio.get_running_loop().create_task(monitor.watch())
    await work()
    watching.cancel()
    stats = await asyncio.to_thread(lambda: requests.get(f"{base}/stats", timeout=30).json())
    return {**monitor.measured(), **stats, "wall": time.monotonic() - began, "lookups": LOOKUPS[0]}


LOOKUPS = [0]


def count_lookups() -> None:
    """Count how often our trigger looks its connection up."""
    from airflow_provider_segmind.hooks import settings

    name = "get_async_connection"
    look_up = getattr(settings, name)

    async def counted(conn_id: str) -> Any:
        LOOKUPS[0] += 1
        return await look_up(conn_id)

    setattr(settings, name, counted)


def main(variant: str, count: int, factor: float, port: int) -> dict[str, float]:
    """Run one variant in this process."""
    base = f"https://localhost:{port}"
    for name, scheme in (("SEGMIND_DEFAULT", "segmind"), ("HTTP_DEFAULT", "http")):
        parts = {"conn_type": scheme, "host": base, "password": "SG_benchmark", "schema": "https"}
        os.environ[f"AIRFLOW_CONN_{name}"] = json.dumps(parts)
    count_lookups()
    return asyncio.run(measure(variant, count, factor, base))


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # What Airflow logs for each trigger goes to a file, as in the triggerer.
    with contextlib.redirect_stdout(sys.stderr):
        result = main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(result))
