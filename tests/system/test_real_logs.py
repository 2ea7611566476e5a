"""Runs that succeed have nothing red in their logs: each example, and what Airflow's components say meanwhile."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_segmind.emulator import Emulator, samples
from airflow_provider_segmind.operators.review import FINISH
from demo.bucket import ROOT, Bucket
from demo.local_airflow import LocalAirflow
from demo.pictures import drawn
from demo.pipeline import DAG_ID as PIPELINE
from demo.pipeline import play, start

pytestmark = pytest.mark.slow

ROWS = [("character_image", "reference_character_image")]
ROWS += [(f"{ROOT}/{day}.jpg", f"{ROOT}/model.jpg") for day in ("monday", "tuesday")]
REVIEW = "body_swap_review"
RED = re.compile(r"\[(?:warning|error|critical) *\]")
OURS = re.compile(r"segmind|XCom not found|task\.stderr", re.IGNORECASE)
# What iterates over the results of a mapped task finds their end so, in Airflow itself.
AIRFLOWS = re.compile(r"offset=\d+ not found|AssetModel")


def test_a_run_that_succeeds_has_nothing_red_in_its_logs_and_the_page_has_what_it_cost(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    charged = len(emulator.charges)
    begun = {path: path.stat().st_size for path in (airflow.home / "components").glob("*.log")}
    for name, picture in (("monday", ("scene", 0)), ("tuesday", ("scene", 1)), ("model", ("person", 1))):
        bucket.put(f"{name}.jpg", samples.draw(*picture))
    for manifest in ("swaps.csv", "looks/swaps.csv"):
        bucket.put(manifest, "".join(f"{scene},{person}\n" for scene, person in ROWS).encode())
    slots = {"name": "segmind", "slots": 8, "include_deferred": True, "description": ""}
    airflow.call("POST", "pools", json=slots)
    pictures = {
        "character_image": emulator.sample("scene"),
        "reference_character_image": emulator.sample("person"),
    }
    runs = {}
    for dag_id, conf in (("body_swap", pictures), ("body_swap_batch", {}), ("body_swap_scheduled", {})):
        airflow.wait_for_dag(dag_id)
        airflow.unpause(dag_id)
        runs[dag_id] = airflow.trigger(dag_id, conf)
        assert airflow.wait_for_run(dag_id, runs[dag_id], 180) == "success"
    airflow.wait_for_dag(REVIEW)
    airflow.unpause(REVIEW)
    runs[REVIEW] = airflow.trigger(REVIEW)
    assert play(airflow, runs[REVIEW], 240, lambda _: FINISH, dag_id=REVIEW, task_id="review") == "success"
    runs[PIPELINE] = start(airflow, bucket, drawn())
    assert play(airflow, runs[PIPELINE], 240) == "success"

    assert [red for dag_id, run_id in runs.items() for red in _red_lines(airflow, dag_id, run_id)] == []
    for path, size in begun.items():
        new = path.read_bytes()[size:].decode(errors="replace").splitlines()
        assert [line for line in new if _is_ours(line)] == [], path.name

    price = 0.2687
    pages = [_page(airflow, dag_id, run_id) for dag_id, run_id in runs.items()]
    assert sum(page["ordered"] for page in pages) == len(emulator.charges) - charged
    assert sum(page["spent"] for page in pages) == pytest.approx(price * (len(emulator.charges) - charged))
    assert not any(page["open"] or page["unknown"] or page["failed"] for page in pages)


def _red_lines(airflow: LocalAirflow, dag_id: str, run_id: str) -> list[str]:
    """Return the lines of a run's task logs that are warnings or worse."""
    red = []
    for ti in airflow.task_instances(dag_id, run_id):
        for attempt in range(1, ti["try_number"] + 1):
            log = airflow.task_log(dag_id, run_id, ti["task_id"], attempt, ti["map_index"])
            lines = (line for line in log.splitlines() if re.match(r".{19} (warning|error|critical) ", line))
            # An answer that comes too soon for Airflow 3.3.2 fails its task, whose next attempt asks again.
            red += [f"{ti['task_id']}: {line}" for line in lines if not ti["task_id"].endswith(".approve")]
    return red


def _is_ours(line: str) -> bool:
    return bool("[" in line and RED.search(line) and OURS.search(line) and not AIRFLOWS.search(line))


def _page(airflow: LocalAirflow, dag_id: str, run_id: str) -> Any:
    return airflow.page("segmind/swaps", params={"dag_id": dag_id, "run_id": run_id}).json()
