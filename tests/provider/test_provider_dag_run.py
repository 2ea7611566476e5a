"""The example DAGs in ``dag.test()``, where Airflow's own machinery renders, maps, defers and resumes."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.emulator import Emulator
from tests.airflow_fork import airflow

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_db")]


def dag_test(dag_id: str, conf: dict[str, Any], **env: str) -> str:
    """Run a DAG as ``airflow dags test`` does, and return all that was printed."""
    where = {**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES), **env}
    done = airflow("dags", "test", dag_id, "--conf", json.dumps(conf), env=where)
    assert done.returncode == 0, done.stdout[-9000:]
    return done.stdout


def test_one_swap_goes_through_and_the_key_is_printed_nowhere_even_at_debug(emulator: Emulator) -> None:
    """Airflow's own ``MaskSecret`` line, which hands the secret to its masker, is the one exception."""
    emulator.set(job_seconds=2, job_polls=1)  # so that the first look never finds it done
    conf = {
        "character_image": emulator.sample("scene", 0),
        "reference_character_image": emulator.sample("person", 0),
    }
    printed = dag_test("body_swap", conf, AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG")
    assert len(emulator.charges) == 1
    assert "running trigger in line" in printed
    assert f"Request {emulator.charges[0].request_id} made {emulator.url}/outputs/" in printed
    leaks = [line for line in printed.splitlines() if emulator.api_key in line and "MaskSecret" not in line]
    assert leaks == []


def test_a_list_that_grows_each_night_is_mapped_and_each_photograph_is_billed_once(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_polls=2)
    photographs = [emulator.sample("scene", number) for number in range(6)]
    conf = {"photographs": photographs[:3], "model": emulator.sample("person", 0)}
    memory = {"AIRFLOW__SEGMIND__MEMORY": f"{tmp_path}/memory"}
    assert airflow("pools", "set", "segmind", "8", "Swaps in flight", "--include-deferred").returncode == 0
    printed = dag_test("body_swap_scheduled", conf, **memory)
    assert sorted(charge.inputs["character_image"] for charge in emulator.charges) == photographs[:3]
    for charge in emulator.charges:
        assert f"Request {charge.request_id} is COMPLETED" in printed
    printed = dag_test("body_swap_scheduled", {**conf, "photographs": photographs}, **memory)
    assert sorted(charge.inputs["character_image"] for charge in emulator.charges) == photographs
    assert printed.count(f"{tmp_path}/memory/pictures/") >= 3


@pytest.mark.skipif(version("apache-airflow") < "3.3", reason="a batch is for Airflow 3.3")
def test_a_manifest_of_swaps_becomes_a_manifest_of_results(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=1, job_polls=1)
    manifest, results = tmp_path / "swaps.csv", tmp_path / "results.jsonl"
    lines = [f"{emulator.sample('scene', number)},{emulator.sample('person')},{number}" for number in range(5)]
    manifest.write_text("\n".join(["character_image,reference_character_image,id", *lines]))
    printed = dag_test("body_swap_batch", {"manifest": str(manifest), "results_uri": str(results)})
    assert f"5 of 5 swaps, about $1.3435: {results}" in printed
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert len(emulator.charges) == 5


WITHOUT_TRIGGERER = """
from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
    SubmitBodySwapOperator,
)
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PICTURES = {{"character_image": "{scene}", "reference_character_image": "{person}"}}

with DAG(dag_id="without_triggerer", schedule=None):
    one = BodySwapOperator(task_id="one", retries=2, poll_interval=0.2, **PICTURES)
    submit = SubmitBodySwapOperator(task_id="submit", **PICTURES)
    wait = BodySwapSensor(task_id="wait", poll_url=submit.output["poll_url"], poke_interval=0.2)
    many = BodySwapBatchOperator(
        task_id="many", swaps=[dict(PICTURES, select_character=who) for who in ("woman", "man")],
        results_uri="{results}", poll_interval=0.2,
    )
    one >> submit >> wait >> many
"""


def test_where_no_triggerer_runs_workers_wait_and_each_order_is_charged_once(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=1, job_polls=2)
    results = tmp_path / "results.jsonl"
    code = WITHOUT_TRIGGERER.format(scene=emulator.sample("scene"), person=emulator.sample("person"), results=results)
    (tmp_path / "without_triggerer.py").write_text(code)
    env = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path), "AIRFLOW__SEGMIND__DEFAULT_DEFERRABLE": "False"}
    printed = dag_test("without_triggerer", {}, **env)
    assert "running trigger in line" not in printed
    assert len(emulator.charges) == 4
    assert [json.loads(line)["status"] for line in results.read_text().splitlines()] == ["COMPLETED"] * 2
