"""OpenLineage is told where pictures came from and went, in events that are valid, without a secret."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openlineage.client.naming.dataset import ABFSS, GCS, S3, LocalFileSystem, RemoteFileSystem
from referencing import Registry, Resource

from airflow_provider_segmind.api.uris import dataset_name
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.emulator.faults import Fault
from airflow_provider_segmind.observability import facets
from airflow_provider_segmind.observability.lineage import MAX_DATASETS, BatchFacts, JobFacts, operator_lineage
from tests.airflow_fork import airflow

SPEC = json.loads((Path(__file__).parent / "stored" / "OpenLineage.json").read_text())
OWN = json.loads(Path(facets.__file__).with_suffix(".json").read_text())
_REGISTRY = Registry().with_resources(
    [(spec["$id"], Resource.from_contents(spec)) for spec in (SPEC, OWN)],
)
EVENT = jsonschema.Draft202012Validator({"$ref": f"{SPEC['$id']}#/$defs/RunEvent"}, registry=_REGISTRY)
FACETS = jsonschema.Draft202012Validator({"$ref": OWN["$id"]}, registry=_REGISTRY)


def check(event: dict[str, Any]) -> None:
    """Hold an event against OpenLineage's schema, and this package's facets against their own."""
    EVENT.validate(event)
    told = {name: facet for name, facet in event["run"]["facets"].items() if name.startswith("segmind_")}
    FACETS.validate(told)
    for name, facet in told.items():
        defined = {"segmind_job": "SegmindJobRunFacet", "segmind_batch": "SegmindBatchRunFacet"}[name]
        assert facet["_schemaURL"] == f"{OWN['$id']}#/$defs/{defined}"
        assert set(facet) - {"_producer", "_schemaURL"} <= set(OWN["$defs"][defined]["allOf"][1]["properties"])


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("s3://photos/in/a%20b.png", S3("photos", "in/a%20b.png")),
        ("s3://photos/in/a b#1?x.png", S3("photos", "in/a b#1?x.png")),
        ("s3a://photos/in/a.png", S3("photos", "in/a.png")),
        ("s3://aws_default@photos/in/a.png", S3("photos", "in/a.png")),
        ("gs://photos/a.png", GCS("photos", "a.png")),
        ("gcs://photos/a.png", GCS("photos", "a.png")),
        ("abfss://photos@lake.dfs.core.windows.net/in/a.png", ABFSS("photos", "lake", "in/a.png")),
        ("file:///data/a.png", LocalFileSystem("/data/a.png")),
        ("file://localhost/data/a.png", LocalFileSystem("/data/a.png")),
        ("/data/a.png", LocalFileSystem("/data/a.png")),
        ("file://nas.example.com/data/a.png", RemoteFileSystem("nas.example.com", "/data/a.png")),
    ],
)
def test_a_file_is_named_as_openlineages_own_library_names_it(uri: str, named: Any) -> None:
    assert dataset_name(uri) == (named.get_namespace(), named.get_name())


@pytest.mark.parametrize("facts", [JobFacts(), BatchFacts()])
def test_a_task_that_did_nothing_has_no_facet(facts: Any) -> None:
    assert operator_lineage((), (), facts).run_facets == {}


def test_a_batch_given_as_a_list_names_each_picture_once_and_no_thousands() -> None:
    from airflow_provider_segmind.operators.batch import SubmitBodySwapBatchOperator

    swaps = [
        {"character_image": f"s3://photos/{number}.png", "reference_character_image": "s3://photos/model.png"}
        for number in range(5000)
    ]
    told = SubmitBodySwapBatchOperator(task_id="batch", swaps=swaps).get_openlineage_facets_on_complete(None)
    names = [dataset.name for dataset in told.inputs]
    assert names[:3] == ["0.png", "model.png", "1.png"]
    assert len(names) == len(set(names)) == MAX_DATASETS


def test_transfers_can_tell_the_verdict_of_the_checks() -> None:
    told = operator_lineage(["https://x.example/1.png"], ["s3://out/1.png"], JobFacts(request_id="r", checks="warn"))
    assert [(d.namespace, d.name) for d in told.outputs] == [("s3://out", "1.png")]
    assert told.run_facets["segmind_job"].checks == "warn"


DAG = """
from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PICTURES = {{"character_image": "{scene}?signature=5ecret", "reference_character_image": "{person}"}}

with DAG(dag_id="traced", schedule=None):
    one = BodySwapOperator(task_id="one", poll_interval=0.1, consent_reference="consent/7", **PICTURES)
    submit = SubmitBodySwapOperator(task_id="submit", **PICTURES)
    wait = BodySwapSensor(task_id="wait", poll_url=submit.output, poke_interval=0.1)
    poke = BodySwapSensor(
        task_id="poke", poll_url=submit.output["poll_url"], deferrable=False, poke_interval=0.1, timeout=60, mode="poke"
    )
    batch = BodySwapBatchOperator(
        task_id="batch",
        swaps=[{{**PICTURES, "select_character": who}} for who in ("woman", "man")],
        results_uri="{results}", poll_interval=0.1,
    )
    one >> submit >> wait >> poke >> batch
"""


def traced(tmp_path: Path, emulator: Emulator) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """Run the DAG with OpenLineage's own listener; return its exit code, and its valid events by task and type."""
    pictures = {"scene": emulator.sample("scene"), "person": emulator.sample("person")}
    (tmp_path / "traced.py").write_text(DAG.format(**pictures, results=tmp_path / "results.jsonl"))
    log = tmp_path / "events.jsonl"
    env = {
        **os.environ,
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(log), "append": True}),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
    }
    done = airflow("dags", "test", "traced", env=env)
    assert log.exists(), done.stdout[-8000:]
    text = log.read_text()
    assert "5ecret" not in text
    assert emulator.api_key not in text
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        check(event)
    return done.returncode, {
        (event["job"]["name"].removeprefix("traced."), event["eventType"]): event for event in events
    }


def names(datasets: list[dict[str, Any]]) -> list[str]:
    return [f"{dataset['namespace']}{dataset['name']}" for dataset in datasets]


@pytest.mark.slow
def test_a_real_run_is_told_task_by_task_also_after_a_deferral(
    airflow_db: None, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=1)
    code, events = traced(tmp_path, emulator)
    assert code == 0
    pictures = [emulator.sample("scene"), emulator.sample("person")]
    ids = [charge.request_id for charge in emulator.charges]
    one = events["one", "COMPLETE"]
    assert names(one["inputs"]) == pictures
    assert [re.sub(r"[^/]+$", "", name) for name in names(one["outputs"])] == [f"{emulator.url}/outputs/"]
    facet = one["run"]["facets"]["segmind_job"]
    assert facet.pop("seconds") > 0.5
    assert {key: value for key, value in facet.items() if key[0] != "_"} == {
        "requestId": ids[0],
        "workflow": "678b67a76426baad7e539337-v4",
        "status": "COMPLETED",
        "costUsd": 0.2687,
        "consentReference": "consent/7",
    }
    submit = events["submit", "COMPLETE"]
    assert (names(submit["inputs"]), submit["outputs"]) == (pictures, [])
    assert submit["run"]["facets"]["segmind_job"]["requestId"] == ids[1]
    for task in ("wait", "poke"):
        told = events[task, "COMPLETE"]
        assert (names(told["inputs"]), len(told["outputs"])) == (pictures, 1)
        facet = told["run"]["facets"]["segmind_job"]
        assert (facet["requestId"], facet["status"]) == (ids[1], "COMPLETED")
        assert facet["workflow"] == "678b67a76426baad7e539337-v4"
        assert facet["seconds"] > 0.5
        assert "costUsd" not in facet, "the task that ordered says what it cost"
    batch = events["batch", "COMPLETE"]
    assert (names(batch["inputs"]), names(batch["outputs"])) == (pictures, [f"file{tmp_path / 'results.jsonl'}"])
    facet = batch["run"]["facets"]["segmind_batch"]
    assert (facet["total"], facet["completed"], facet["failed"], facet["costUsd"]) == (2, 2, 0, 0.5374)


@pytest.mark.slow
def test_a_run_that_fails_after_its_deferral_says_which_request_and_why(
    airflow_db: None, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.set(job_seconds=1)
    emulator.script(Fault("will-fail"))
    code, events = traced(tmp_path, emulator)
    assert code != 0
    failed = events["one", "FAIL"]
    facet = failed["run"]["facets"]["segmind_job"]
    assert (facet["requestId"], facet["status"]) == (emulator.charges[0].request_id, "FAILED")
    assert facet["error"].startswith("JobFailedError: Segmind reports that the job FAILED.")
    assert "reports that the job FAILED" in failed["run"]["facets"]["errorMessage"]["message"]
    assert names(failed["inputs"]) == [emulator.sample("scene"), emulator.sample("person")]


@pytest.mark.slow
def test_an_order_that_is_refused_is_told_too(airflow_db: None, emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(Fault("406-credits"))
    code, events = traced(tmp_path, emulator)
    assert code != 0
    facet = events["one", "FAIL"]["run"]["facets"]["segmind_job"]
    assert facet["error"].startswith("CreditsError:")
    assert "requestId" not in facet
