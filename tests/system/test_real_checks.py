"""A batch is checked in a real Airflow, whose tasks are forked, by several processes, of which none is left."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from airflow_provider_segmind.emulator import Emulator
from demo.local_airflow import LocalAirflow

pytestmark = pytest.mark.slow


def test_all_results_of_a_batch_are_checked_in_one_task(
    airflow: LocalAirflow, emulator: Emulator, tmp_path: Path
) -> None:
    airflow.wait_for_dag("batch_checked")
    airflow.unpause("batch_checked")
    rows = [
        {"character_image": emulator.sample("scene", n), "reference_character_image": emulator.sample("person", n)}
        for n in range(8)
    ]
    manifest = tmp_path / "swaps.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    params = {"manifest": str(manifest), "results": str(tmp_path / "results.jsonl")}
    run_id = airflow.trigger("batch_checked", params)
    state = airflow.wait_for_run("batch_checked", run_id, 180)
    assert state == "success", airflow.task_log("batch_checked", run_id, "check", 1)
    report = airflow.xcom("batch_checked", run_id, "check")
    assert (report["verdict"], report["checked"], report["passed"]) == ("pass", 8, 8)
    assert len(Path(report["reports_uri"]).read_text().splitlines()) == 8
    # All of Airflow's sessions, so also those whose task has ended.
    assert not [pid for pid in airflow.pids if _checks(pid)]


def _checks(pid: int) -> bool:
    try:
        return "airflow_provider_segmind.quality.worker" in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
