"""One run of one variant, in a process of its own: ``python -m benchmarks.variant`` with a plan on standard input."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from airflow.sdk.log import configure_logging

from benchmarks.batch import ON_EMULATOR, prepare, run_batch
from benchmarks.plan import Plan
from benchmarks.probe import Usage
from benchmarks.triggers import bare, run_triggers


def run(plan: Plan, usage: Usage) -> dict[str, Any]:
    """Run it to its end, and return what it saw and used."""
    if plan.emulated:
        seen = ON_EMULATOR[plan.variant](plan)
        return {**usage.report(), **seen}
    in_loop = {"bare": bare, "batch": run_batch}.get(plan.variant, run_triggers)
    return asyncio.run(_waiting(in_loop(plan), usage))


async def _waiting(work: Coroutine[Any, Any, dict[str, Any]], usage: Usage) -> dict[str, Any]:
    seen = await work
    # Here, before the loop ends: cancelling ten thousand triggers that still wait takes tens of MiB of its own.
    return {**usage.report(), **seen}


def main() -> None:
    """Get ready, wait for the word to start, run, and print one line."""
    plan = Plan.load(sys.stdin.readline())
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    with Path(os.devnull).open("wb") as nowhere:
        # The triggerer writes JSON lines to its supervisor.
        configure_logging(json_output=True, output=nowhere)
        if plan.variant == "batch" and not plan.emulated:
            prepare(plan)
        gc.collect()
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(run(plan, Usage())), flush=True)
        # Threads and connections of a variant that was not through would take long to end.
        os._exit(0)


if __name__ == "__main__":
    main()
