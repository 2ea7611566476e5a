"""
A batch in a real Airflow: its worker is killed half-way with SIGKILL, and every swap is charged once.

``SWAPS=10000 make test-batch`` does the same with more of them.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_segmind.emulator import Emulator
from demo.local_airflow import LocalAirflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(airflow_version < "3.3", reason="the task state store came with Airflow 3.3"),
]

SWAPS = int(os.environ.get("SWAPS") or 300)


def manifest(emulator: Emulator, folder: Path, count: int) -> dict[str, str]:
    """Write a manifest of so many different swaps; return a run's parameters."""
    pictures = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    path = folder / "swaps.jsonl"
    lines = (json.dumps({**pictures, "select_character": f"{folder.name} {n}"}) for n in range(count))
    path.write_text("\n".join(lines) + "\n")
    return {"manifest": str(path), "results": str(folder / "results.jsonl")}


def charged(emulator: Emulator, folder: Path) -> list[int]:
    """Return how often each swap of a manifest was charged."""
    orders = (str(charge.inputs.get("select_character")) for charge in emulator.charges)
    return list(Counter(order for order in orders if order.startswith(f"{folder.name} ")).values())


def test_a_batch_that_is_killed_half_way_is_charged_once_for_each_swap(
    airflow: LocalAirflow, emulator: Emulator, tmp_path: Path
) -> None:
    """The task's process and its supervisor die at once, with orders on their way; nobody could say goodbye."""
    airflow.wait_for_dag("batch")
    airflow.unpause("batch")
    emulator.set(credits=10.0 * SWAPS)
    run_id = airflow.trigger("batch", manifest(emulator, tmp_path, SWAPS))
    airflow.wait_until("half of it is ordered", lambda: len(charged(emulator, tmp_path)) >= SWAPS / 2, 300, every=0.01)
    (row,) = airflow.metadata("SELECT pid FROM task_instance WHERE run_id = ?", run_id)
    task = psutil.Process(row["pid"])
    for process in (task.parent(), task):
        assert process is not None
        process.send_signal(signal.SIGKILL)
    at_kill = len(charged(emulator, tmp_path))
    assert at_kill < SWAPS, "it was over before it could be killed"
    state = airflow.wait_for_run("batch", run_id, 600 + SWAPS / 5)
    assert state == "success", airflow.task_log("batch", run_id, "swaps", 2)
    assert charged(emulator, tmp_path) == [1] * SWAPS
    summary = airflow.xcom("batch", run_id, "swaps")
    assert (summary["total"], summary["completed"]) == (SWAPS, SWAPS)
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len({row["request_id"] for row in rows}) == SWAPS
    assert all(row["image_url"] for row in rows)
    print(f"{SWAPS} swaps, killed after {at_kill}: {len(charged(emulator, tmp_path))} charges")  # noqa: T201


def test_one_task_orders_and_mapped_sensors_wait_without_a_worker(
    airflow: LocalAirflow, emulator: Emulator, tmp_path: Path
) -> None:
    airflow.wait_for_dag("batch_mapped")
    airflow.unpause("batch_mapped")
    run_id = airflow.trigger("batch_mapped", manifest(emulator, tmp_path, 20))
    assert airflow.wait_for_run("batch_mapped", run_id, 180) == "success"
    handles = airflow.xcom("batch_mapped", run_id, "submit")
    waited = [airflow.xcom("batch_mapped", run_id, "wait", map_index=n)["request_id"] for n in range(20)]
    assert waited == [handle["request_id"] for handle in handles]
    pids = airflow.metadata("SELECT pid FROM task_instance WHERE run_id = ? AND task_id = 'wait'", run_id)
    assert {row["pid"] for row in pids} == {None}, "a sensor needed a worker"
    assert charged(emulator, tmp_path) == [1] * 20
