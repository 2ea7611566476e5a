"""One run of one variant, in a process of its own: ``python -m benchmarks.variant`` with a plan on standard input."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from airflow.sdk.log import configure_logging

from benchmarks.plan import Plan
from benchmarks.probe import Usage
from benchmarks.threads import THREADS, run_threads
from benchmarks.triggers import TRIGGERS, bare, run_triggers


def run(plan: Plan) -> dict[str, Any]:
    """Run it to its end."""
    if plan.variant in THREADS:
        return run_threads(THREADS[plan.variant], plan)
    if plan.variant == "bare":
        return asyncio.run(bare(plan))
    return asyncio.run(run_triggers(TRIGGERS[plan.variant], plan))


def main() -> None:
    """Get ready, wait for the word to start, run, and print one line."""
    plan = Plan.load(sys.stdin.readline())
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    with Path(os.devnull).open("wb") as nowhere:
        # The triggerer writes JSON lines to its supervisor.
        configure_logging(json_output=True, output=nowhere)
        gc.collect()
        print("ready", flush=True)
        sys.stdin.readline()
        usage = Usage()
        seen = run(plan)
        print(json.dumps({**usage.report(), **seen}), flush=True)
        # Threads and connections of a variant that was not through would take long to end.
        os._exit(0)


if __name__ == "__main__":
    main()
