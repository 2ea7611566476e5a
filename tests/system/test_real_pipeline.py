"""The pipeline of the example, from the photographs in a bucket to what is published and what is in quarantine."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from airflow_provider_segmind.emulator import Emulator, Fault, samples
from airflow_provider_segmind.provenance.label import AI_COMPOSITE, source_type
from demo.bucket import Bucket
from demo.local_airflow import LocalAirflow
from demo.pictures import Order, drawn
from demo.pipeline import DAG_ID, GROUP, play, start

pytestmark = pytest.mark.slow

ANSWERS = {0: "Approve", 1: "Reject"}
"""Of a person who likes the first picture and not the second."""


def test_each_photograph_is_published_or_in_quarantine_with_the_reason_and_all_of_it_is_in_the_gallery(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    before, had = len(emulator.charges), set(bucket.keys())
    order = drawn()
    run_id = start(airflow, bucket, order)
    assert play(airflow, run_id, 240, ANSWERS.__getitem__) == "success"
    assert len(emulator.charges) - before == 2

    keys = set(bucket.keys()) - had
    assert not {key for key in keys if key.startswith("inbox/")}
    folder = re.sub(r"[^\w.-]", "-", run_id)
    assert {key.removeprefix(f"photographs/{folder}/") for key in keys if key.startswith("photographs/")} == {
        "at-home.png",
        "in-the-park.png",
        "nobody-there.png",
    }
    assert {key.removeprefix(f"quarantine/{folder}/") for key in keys if key.startswith("quarantine/")} == {
        "in-the-park.png",
        "in-the-park.png.json",
        "nobody-there.png",
        "nobody-there.png.json",
    }
    (published,) = [key for key in keys if key.startswith("published/")]
    assert source_type(bucket.get(f"s3://x/{published}"), "image/png") == AI_COMPOSITE

    def reason(name: str) -> Any:
        return json.loads(bucket.get(f"s3://x/quarantine/{folder}/{name}.json"))

    assert reason("in-the-park.png")["rejected_by"] == ["approve"]
    hopeless = reason("nobody-there.png")
    assert hopeless["rejected_by"] == ["check"]
    assert [found["name"] for found in hopeless["reports"]["check"]["checks"] if found["verdict"] == "fail"] == [
        "person_count"
    ]

    # What is paid for is kept, whatever a person thinks of it, and says where it came from.
    sidecars = [json.loads(bucket.get(f"s3://x/{key}")) for key in keys if key.endswith("-0.json")]
    assert len(sidecars) == 2
    for sidecar in sidecars:
        # Not where the photograph was, but where it is.
        assert bucket.get(sidecar["inputs"]["character_image"]).startswith(b"\x89PNG")
        assert sidecar["labelled"]
        assert sidecar["consent_reference"] == "consents/2026-11"
        assert sidecar["cost"] == pytest.approx(0.2687)

    told = {event["uri"]: event["extra"] for event in airflow.call("GET", "assets/events")["asset_events"]}
    for sidecar in sidecars:
        extra = told[sidecar["uri"].replace("aws_default@", "")]
        assert {name: extra[name] for name in ("request_id", "cost", "sha256")} == {
            name: sidecar[name] for name in ("request_id", "cost", "sha256")
        }

    _look_at_the_gallery(airflow, run_id, [sidecar["request_id"] for sidecar in sidecars])


def _look_at_the_gallery(airflow: LocalAirflow, run_id: str, request_ids: list[str]) -> None:
    """Open what a person sees of the run in Airflow's UI, whose pictures come out of the bucket."""
    said = airflow.page("segmind/swaps", params={"dag_id": DAG_ID, "run_id": run_id}).json()
    assert {name: said[name] for name in ("total", "completed", "failed", "waiting", "rejected")} == {
        "total": 3,
        "completed": 2,
        "failed": 0,
        "waiting": 0,
        "rejected": 1,
    }
    assert said["spent"] == pytest.approx(2 * 0.2687, abs=0.001)
    done = [swap for swap in said["swaps"] if swap["state"] == "completed"]
    assert sorted(swap["request_id"] for swap in done) == sorted(request_ids)
    for swap in done:
        assert swap["seconds"] > 0
        for slot in ("before", "reference", "after"):
            for size in ("full", "small"):
                _is_picture(airflow, f"segmind/{swap['pictures'][slot][size]}")
    (hopeless,) = [swap for swap in said["swaps"] if swap["state"] == "rejected"]
    assert [check["name"] for check in hopeless["checks"]] == ["person_count"]
    _is_picture(airflow, f"segmind/{hopeless['pictures']['before']['full']}")

    for index in {swap["map_index"] for swap in done}:
        links = airflow.links(DAG_ID, run_id, f"{GROUP}.store", index)
        assert f"/tasks/{GROUP}.store/mapped/{index}/plugin/" in (links["Before / after"] or "")
        _is_picture(airflow, links["Result picture"] or "")
        instance = f"dags/{DAG_ID}/dagRuns/{quote(run_id)}/taskInstances/{GROUP}.approve/{index}"
        body = airflow.call("GET", f"{instance}/hitlDetails")["body"]
        pictures = re.findall(r"!\[\w+\]\((\S+)\)", body)
        assert len(pictures) == 3
        for picture in pictures:
            _is_picture(airflow, picture)


def _is_picture(airflow: LocalAirflow, path: str) -> None:
    with Image.open(io.BytesIO(airflow.page(path).content)) as picture:
        assert min(picture.size) > 100


def test_without_photographs_nothing_is_ordered_and_the_run_succeeds(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    before = len(emulator.charges)
    bucket.put("inbox/notes.txt", b"not a picture")
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    assert airflow.wait_for_run(DAG_ID, airflow.trigger(DAG_ID), 120) == "success"
    assert len(emulator.charges) == before


def test_a_photograph_that_cannot_be_read_stays_where_it_is_and_fails_the_run(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    before = len(emulator.charges)
    bucket.put("person.png", samples.draw("person", 0))
    run_id = start(
        airflow,
        bucket,
        Order({"Gone": "s3://aws_default@catalogue/inbox/gone.png"}, "s3://aws_default@catalogue/person.png"),
    )
    assert airflow.wait_for_run(DAG_ID, run_id, 180) == "failed"
    assert len(emulator.charges) == before
    log = airflow.task_log(DAG_ID, run_id, f"{GROUP}.settle", map_index=0)
    assert "gone.png is not published, but nobody rejected it: clear what failed" in log


def test_a_photograph_whose_order_failed_is_not_taken_by_the_next_run_and_goes_on_once_it_is_cleared(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket
) -> None:
    before = len(emulator.charges)
    bucket.put("inbox/late.png", samples.draw("scene", 1))
    bucket.put("person.png", samples.draw("person", 0))
    emulator.script(Fault("400", on="submit", times=1))
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    run_id = airflow.trigger(DAG_ID)
    assert airflow.wait_for_run(DAG_ID, run_id, 180) == "failed"
    assert airflow.wait_for_run(DAG_ID, airflow.trigger(DAG_ID), 180) == "success"
    assert len(emulator.charges) == before

    airflow.clear_task(DAG_ID, run_id, f"{GROUP}.swap")
    assert play(airflow, run_id, 240, ANSWERS.__getitem__) == "success"
    assert len(emulator.charges) == before + 1
