"""The variant that blocks: one thread for each job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from segmind import SegmindClient

from benchmarks.plan import Plan

KEY = "SG_0123456789abcdef"
STACK = 512 * 1024
"""Bytes of stack of a thread, or a thousand of them would ask for 8 GiB of addresses."""


def sdk(plan: Plan) -> Callable[[int], None]:
    """Return the official SDK's loop; all threads share its client, as the SDK's users do."""
    client = SegmindClient(api_key=KEY, base_url=plan.host)

    def wait(number: int) -> None:
        client.pixelflows.poll(
            poll_url=plan.url(number),
            poll_interval=plan.interval,  # type: ignore[arg-type] # it goes into time.sleep
            max_wait_time=3600,
        )

    return wait


def run_threads(make: Callable[[Plan], Callable[[int], None]], plan: Plan) -> dict[str, Any]:
    """Start a thread for each job, and wait for them."""
    wait = make(plan)
    failed: list[str] = []
    through: list[int] = []

    def work(number: int) -> None:
        try:
            wait(number)
        except Exception as error:  # noqa: BLE001 - counted; the others are still measured
            failed.append(type(error).__name__)
        else:
            through.append(number)

    threading.stack_size(STACK)
    until = time.monotonic() + plan.patience
    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(plan.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
    return {"through": len(through) + len(failed), "fired": len(through), "good": len(through), "failed": len(failed)}


THREADS: dict[str, Callable[[Plan], Callable[[int], None]]] = {"sdk": sdk}
