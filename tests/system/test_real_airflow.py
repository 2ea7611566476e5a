"""The example DAG in a real Airflow: real scheduler, real triggerer, real REST API, real command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from airflow_provider_segmind.emulator import Charge, Emulator
from demo.local_airflow import LocalAirflow

pytestmark = pytest.mark.slow

AirflowCli = Callable[..., subprocess.CompletedProcess[str]]

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Run:
    """What was seen of one run of the example DAG."""

    run_id: str
    state: str = ""
    task_states: dict[str, list[str | None]] = field(default_factory=dict)
    triggers: list[dict[str, Any]] = field(default_factory=list)
    charges: Sequence[Charge] = ()


@pytest.fixture(scope="module")
def run(airflow: LocalAirflow, emulator: Emulator) -> Run:
    charged_before = len(emulator.charges)
    airflow.wait_for_dag("body_swap")
    airflow.unpause("body_swap")
    conf = {
        "character_image": emulator.sample("scene"),
        "reference_character_image": emulator.sample("person"),
        "select_character": "woman",
    }
    seen = Run(airflow.trigger("body_swap", conf))

    def look(task_instances: list[dict[str, Any]]) -> None:
        for ti in task_instances:
            states = seen.task_states.setdefault(ti["task_id"], [])
            if ti["state"] not in states:
                states.append(ti["state"])
        seen.triggers += airflow.metadata("SELECT id, classpath, triggerer_id FROM trigger")

    seen.state = airflow.wait_for_run("body_swap", seen.run_id, 120, look)
    seen.charges = emulator.charges[charged_before:]
    return seen


def test_the_example_dag_succeeds(airflow: LocalAirflow, run: Run) -> None:
    assert run.state == "success", airflow.task_log("body_swap", run.run_id, "wait")
    assert {task: states[-1] for task, states in run.task_states.items()} == {
        "submit": "success",
        "wait": "success",
        "use": "success",
    }


def test_the_wait_is_left_to_the_triggerer(run: Run) -> None:
    assert "deferred" in run.task_states["wait"]
    assert {row["classpath"].rpartition(".")[0] for row in run.triggers} == {
        "airflow_provider_segmind.triggers.segmind"
    }
    assert any(row["triggerer_id"] is not None for row in run.triggers), "no triggerer ever took the trigger"


def test_one_run_is_one_charge(airflow: LocalAirflow, run: Run) -> None:
    assert [charge.request_id for charge in run.charges] == [
        airflow.xcom("body_swap", run.run_id, "submit", "request_id")
    ]
    assert run.charges[0].defaulted == (), "an input was missing, so the vendor's sample was swapped and billed"


def test_the_result_names_a_picture_that_can_be_fetched(airflow: LocalAirflow, run: Run) -> None:
    result = airflow.xcom("body_swap", run.run_id, "wait")
    assert set(result) >= {"request_id", "poll_url", "status", "outputs", "image_url"}
    assert result["status"] == "COMPLETED"
    assert airflow.xcom("body_swap", run.run_id, "use") == result["image_url"]
    with requests.get(result["image_url"], timeout=30) as answer:
        assert answer.content.startswith(PNG)


@pytest.mark.usefixtures("run")
def test_local_photographs_are_uploaded_first(airflow: LocalAirflow, emulator: Emulator, tmp_path: Path) -> None:
    conf = {}
    samples = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    for name, url in samples.items():
        picture = tmp_path / f"{name}.png"
        with requests.get(url, timeout=30) as answer:
            picture.write_bytes(answer.content)
        conf[name] = picture.as_uri()
    # The example takes only URLs from those who trigger it; this DAG's author lets them name local files.
    airflow.wait_for_dag("one_task")
    airflow.unpause("one_task")
    run_id = airflow.trigger("one_task", conf)
    assert airflow.wait_for_run("one_task", run_id, 120) == "success"
    inputs = emulator.charges[-1].inputs
    assert inputs["character_image"].startswith(f"{emulator.url}/assets/")
    assert inputs["reference_character_image"].startswith(f"{emulator.url}/assets/")


def test_the_key_is_in_no_file_that_airflow_wrote(airflow: LocalAirflow, emulator: Emulator, run: Run) -> None:
    key = emulator.api_key.encode()
    logs = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert logs
    assert [path for path in logs if key in path.read_bytes()] == []


def test_airflow_lists_the_provider(airflow_cli: AirflowCli) -> None:
    done = airflow_cli("providers", "list", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "airflow-provider-segmind" in {row["package_name"] for row in json.loads(done.stdout)}


def test_airflow_can_test_the_connection(airflow_cli: AirflowCli, emulator: Emulator) -> None:
    charged = len(emulator.charges)
    done = airflow_cli("connections", "test", "segmind_default")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Connection success" in done.stdout
    assert len(emulator.charges) == charged


def test_no_example_has_an_import_error(airflow: LocalAirflow, airflow_cli: AirflowCli) -> None:
    done = airflow_cli("dags", "list-import-errors", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert airflow.call("GET", "importErrors")["import_errors"] == []


def test_stopping_half_way_through_the_start_leaves_no_process(tmp_path: Path) -> None:
    airflow = LocalAirflow(tmp_path, tmp_path / "dags")
    airflow.start()
    pids = airflow.pids
    assert len(pids) >= len(airflow.components)
    airflow.stop(grace=0.0)
    assert airflow.pids == []
    assert not any(psutil.pid_exists(pid) for pid in pids)
