"""Swaps of several runs that share a memory."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image

from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from tests.provider.running import TaskInstance, context, run


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configure a memory, and return its folder."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", f"{tmp_path}/memory")
    return tmp_path / "memory"


def task_of(name: str = "task", run_id: str = "run", dag_id: str = "dag", **attempt: Any) -> TaskInstance:
    """Return a task instance."""
    ti = TaskInstance(**attempt)
    ti.task_id, ti.run_id, ti.dag_id = name, run_id, dag_id
    return ti


def pictures(emulator: Emulator, scene: int = 0, person: int = 0) -> dict[str, str]:
    """Return the inputs of a swap."""
    return {
        "character_image": emulator.sample("scene", scene),
        "reference_character_image": emulator.sample("person", person),
    }


def swap(emulator: Emulator, **changes: Any) -> BodySwapOperator:
    """Return a task that makes a swap at once."""
    emulator.set(job_seconds=0)
    return BodySwapOperator(task_id="task", **{**pictures(emulator), "poll_interval": 0.05, **changes})


def in_run(task: Any, run_id: str, **changes: Any) -> dict[str, Any]:
    """Run a task in a DAG run of its own."""
    result: dict[str, Any] = run(task, context(task_of(run_id=run_id, **changes)))
    return result


def records(memory: Path) -> list[dict[str, Any]]:
    """Return all orders of the memory."""
    return [json.loads(path.read_bytes()) for path in sorted((memory / "swaps").rglob("*.json"))]


def states(memory: Path) -> set[str]:
    """Return the states of all orders of the memory."""
    return {json.loads(path.read_bytes())["state"] for path in (memory / "swaps").rglob("*.json")}


def picture(emulator: Emulator, name: Literal["scene", "person"], path: Path, number: int = 0) -> str:
    """Write a picture of the emulator into a file."""
    path.write_bytes(urllib.request.urlopen(emulator.sample(name, number)).read())  # noqa: S310 - the emulator's own
    return str(path)


def submit(emulator: Emulator, run_id: str, **changes: Any) -> dict[str, Any]:
    """Order a swap that is done at once, and return its handle."""
    emulator.set(job_seconds=0)
    task = SubmitBodySwapOperator(task_id="submit", **{**pictures(emulator), **changes})
    handle: dict[str, Any] = run(task, context(task_of("submit", run_id)))
    return handle


def turned(emulator: Emulator, path: Path) -> str:
    """Write a person's picture that has to be turned before it is sent."""
    with Image.open(urllib.request.urlopen(emulator.sample("person", 1))) as image:  # noqa: S310 - the emulator's own
        exif = Image.Exif()
        exif[0x0112] = 6
        image.convert("RGB").save(path, exif=exif)
    return str(path)
