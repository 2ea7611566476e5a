"""One task instance of a batch through its tries and clears."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.batch import results as batch_results
from airflow_provider_segmind.compat import TaskDeferred
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator
from tests.provider.odd_host import picture
from tests.provider.running import TaskInstance, first_event, revive
from tests.provider.tries import Store

PNG = picture(size=(90, 60))

RUNNING = 3600.0
"""
Seconds that jobs take where they must still run when the history is asked: only then absence from it counts.

They end when the task defers.
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store results soon."""
    monkeypatch.setattr(batch_results, "FLUSH_SECONDS", 0.05)


class Batch:
    """One task instance of a batch, tried and cleared as a scheduler and a person would."""

    def __init__(self, emulator: Emulator, folder: Path, **options: Any) -> None:
        self.emulator = emulator
        self.results = folder / "results.jsonl"
        self.store: Store | None = Store()
        self.retries = self.max_tries = options.pop("retries", 2)
        self.tries = 0
        self.state: Any = "running"
        self.ti = TaskInstance()
        self.cls = options.pop("cls", BodySwapBatchOperator)
        self.options = options
        if self.cls is BodySwapBatchOperator:
            self.options = {"results_uri": str(self.results), "poll_interval": 0.05, **options}

    def task(self) -> Any:
        return self.cls(task_id="batch", **self.options)

    def context(self) -> Any:
        self.tries += 1
        self.ti = ti = TaskInstance(max_tries=self.max_tries, try_number=self.tries, retries=self.retries)
        ti.state = self.state
        return {"ti": ti} if self.store is None else {"ti": ti, "task_state_store": self.store}

    def start(self) -> Any:
        """Begin an attempt, up to its end or its deferral."""
        return self.task().execute(self.context())

    def attempt(self) -> Any:
        """Run an attempt to its end."""
        context = self.context()
        try:
            return self.task().execute(context)
        except TaskDeferred as deferred:
            if self.emulator.settings.job_seconds == RUNNING:
                self.emulator.finish_jobs()
            event = asyncio.run(first_event(revive(deferred.trigger)))
            return self.task().resume_execution(deferred.method_name, {"event": event}, context)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.results.read_text().splitlines()]


class InRun(Batch):
    """A batch in a DAG run of its own."""

    def __init__(self, emulator: Emulator, folder: Path, run_id: str, **options: Any) -> None:
        (folder / run_id).mkdir(exist_ok=True)
        super().__init__(emulator, folder / run_id, **options)
        self.run_id = run_id

    def context(self) -> Any:
        context = super().context()
        context["ti"].run_id = self.run_id
        return context


def swaps(emulator: Emulator, count: int) -> list[dict[str, Any]]:
    person = emulator.sample("person")
    scene = emulator.sample("scene")
    return [
        {"character_image": scene, "reference_character_image": person, "select_character": f"number {n}", "id": n}
        for n in range(count)
    ]


def charged(emulator: Emulator) -> list[int]:
    """Return how often each swap was charged."""
    return sorted(Counter(charge.inputs["select_character"] for charge in emulator.charges).values())


async def until(there: Callable[[], object]) -> None:
    """Wait for something that a thread does."""
    while not there():  # noqa: ASYNC110 - a thread sets no event of the loop's
        await asyncio.sleep(0.005)
