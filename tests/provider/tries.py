"""One task instance through its tries, with what Airflow keeps between them."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from airflow_provider_segmind.compat import TaskDeferred
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from tests.provider.running import TaskInstance, first_event, revive


class Store(dict[str, Any]):
    """What Airflow keeps for a task, through JSON as Airflow does."""

    broken_after: int | None = None
    stuck = False

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        if self.broken_after is not None:
            self.broken_after -= 1
            if self.broken_after < 0:
                raise RuntimeError("the metadata database is gone")
        self[key] = json.loads(json.dumps(value))
        assert self[key] == value, "Airflow takes JSON's own types only"

    def delete(self, key: str) -> None:
        """Forget a value."""
        if self.stuck:
            raise RuntimeError("the metadata database is gone")
        self.pop(key, None)


class Task:
    """One task instance of a BodySwapOperator, tried and cleared as a scheduler and a person would."""

    def __init__(self, emulator: Emulator, *, durable: bool = True, **options: Any) -> None:
        self.emulator = emulator
        self.store: Store | None = Store() if durable else None
        self.retries = self.max_tries = options.pop("retries", 2)
        self.tries = self.clears = 0
        self.cls = options.pop("cls", BodySwapOperator)
        self.options = options
        self.ti = TaskInstance()
        self.state: Any = "running"

    def operator(self) -> Any:
        options = {
            "character_image": self.emulator.sample("scene", 0),
            "reference_character_image": self.emulator.sample("person", 0),
            **self.options,
        }
        if self.cls is BodySwapOperator:
            options = {"poll_interval": 0.05, **options}
        return self.cls(task_id="swap", **options)

    def context(self) -> Any:
        self.tries += 1
        self.ti = TaskInstance(max_tries=self.max_tries, try_number=self.tries, retries=self.retries)
        self.ti.state = self.state
        kept = {} if self.store is None else {"task_state_store": self.store}
        return {"ti": self.ti, "dag_run": SimpleNamespace(clear_number=self.clears), **kept}

    def start(self) -> Any:
        """Begin an attempt, up to its end or its deferral."""
        return self.operator().execute(self.context())

    def attempt(self) -> Any:
        """Run an attempt to its end."""
        context = self.context()
        task = self.operator()
        try:
            return task.execute(context)
        except TaskDeferred as deferred:
            event = asyncio.run(first_event(revive(deferred.trigger)))
            return self.operator().resume_execution(deferred.method_name, {"event": event}, context)

    def clear(self) -> None:
        """Clear the task, as ``clear_task_instances`` does."""
        self.max_tries = self.tries + self.retries
        self.clears += 1
