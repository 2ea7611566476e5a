"""A real Airflow tells statsd, OpenLineage and a DAG that is scheduled on an asset, also what a triggerer saw."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.observability import metrics
from demo.local_airflow import LocalAirflow
from tests.hurry import hurried, is_settled
from tests.provider.test_provider_lineage import check
from tests.provider.test_provider_metrics import Statsd, sums

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "monitoring.md"
ONE = """
from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import BodySwapOperator

with DAG(dag_id="one_swap", schedule=None):
    BodySwapOperator(task_id="swap", character_image="{scene}", reference_character_image="{person}")
"""


def write_dags(folder: Path, emulator: Emulator) -> None:
    """Write the DAGs of the page, and one more."""
    folder.mkdir()
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        found = re.search(r"dag_id=\"(\w+)\"", code)
        if found:
            (folder / f"{found[1]}.py").write_text(code)
    (folder / "one_swap.py").write_text(ONE.format(scene=emulator.sample("scene"), person=emulator.sample("person")))


@pytest.mark.parametrize("listened", [True, False], ids=["with OpenLineage", "ending in the triggerer"])
def test_all_three_are_told_by_workers_and_triggerer(tmp_path: Path, listened: bool) -> None:
    log, results = tmp_path / "events.jsonl", tmp_path / "results.jsonl"
    with closing(Statsd()) as statsd, Emulator(job_seconds=3600) as emulator:
        write_dags(tmp_path / "dags", emulator)
        manifest = tmp_path / "swaps.csv"
        manifest.write_text(
            "character_image,reference_character_image\n"
            + "".join(f"{emulator.sample('scene', n)},{emulator.sample('person')}\n" for n in range(3))
        )
        env = {"AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(emulator.airflow_connection()), **statsd.env}
        if listened:
            transport = {"type": "file", "log_file_path": str(log), "append": True}
            env |= {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)}
        with hurried(tmp_path / "home", tmp_path / "dags", env, fork=False) as airflow:
            airflow.wait_healthy()
            for dag_id in ("one_swap", "nightly_swaps", "publish_swaps"):
                airflow.wait_for_dag(dag_id)
                airflow.unpause(dag_id)
            one = airflow.trigger("one_swap", {})
            nightly = airflow.trigger("nightly_swaps", {"swaps": str(manifest), "results": str(results)})
            for dag_id, run_id in (("one_swap", one), ("nightly_swaps", nightly)):
                airflow.wait_until(f"The deferral of {dag_id}", partial(is_settled, airflow, dag_id, run_id), 180)
            waited = {charge.request_id: time.time() - charge.at for charge in emulator.charges}
            emulator.finish_jobs()
            assert airflow.wait_for_run("one_swap", one, 180) == "success"
            assert airflow.wait_for_run("nightly_swaps", nightly, 180) == "success"
            run_id = published(airflow)
            assert airflow.wait_for_run("publish_swaps", run_id, 120) == "success"
            told = airflow.metadata(
                "select value from xcom where dag_id = 'publish_swaps' and key = 'return_value'",
            )
            lines: list[Any] = []

            def completed() -> bool:
                lines.extend(statsd.lines())
                return sums(lines)[metrics.COMPLETED] >= 4

            # A triggerer tells in a thread, after the last wait has ended.
            airflow.wait_until("The metrics of all swaps", completed, 60)
        seen = sums([*lines, *statsd.lines()])
        ids = [charge.request_id for charge in emulator.charges]
        asked = [request for request in emulator.requests if request.method == "GET" and "/request/" in request.path]
    assert len(ids) == 4
    assert seen[metrics.SUBMITTED] == seen[metrics.COMPLETED] == seen[metrics.DURATION] == 4
    assert seen[metrics.COST] == 4 * 268_700
    assert seen[metrics.POLLS] == len(asked)
    extras = json.loads(told[0]["value"])
    counts = {"total": 3, "completed": 3, "failed": 0, "by_status": {"COMPLETED": 3}, "cost": 0.8061}
    assert extras == [{"uri": results.as_uri(), **counts}]
    if listened:
        check_lineage(log, waited, results)


def published(airflow: LocalAirflow) -> str:
    """Return the run that the asset's event began."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = airflow.metadata("select run_id from dag_run where dag_id = 'publish_swaps'")
        return bool(found)

    airflow.wait_until("A run of publish_swaps", look, 120)
    return str(found[0]["run_id"])


def check_lineage(log: Path, waited: dict[str, float], results: Path) -> None:
    """Hold what OpenLineage's listener wrote against its schema, and against what happened."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    for event in events:
        check(event)
    ended = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    job = ended["one_swap.swap"]["run"]["facets"]["segmind_job"]
    assert job["seconds"] > waited[job["requestId"]] - 1  # the answer to the order takes a moment
    batch = ended["nightly_swaps.swap"]
    assert [dataset["name"] for dataset in batch["outputs"]] == [str(results)]
    assert batch["run"]["facets"]["segmind_batch"]["completed"] == 3
    kinds = Counter(event["eventType"] for event in events if event["job"]["name"] == "one_swap.swap")
    assert kinds["COMPLETE"] == 1
    assert kinds["FAIL"] == 0
