"""What must not be taken from the memory: another order's end, a result without a picture, one without a consent."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import rescue as needs
from airflow_provider_segmind.api.errors import OutcomeUnknownError
from airflow_provider_segmind.api.remembered import DONE, REJECTED
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault, samples
from airflow_provider_segmind.emulator.state import Asset
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory import swaps
from airflow_provider_segmind.memory.costs import CostsReader
from airflow_provider_segmind.memory.forget import digests_of, forget
from airflow_provider_segmind.memory.rescue import rescue_all
from airflow_provider_segmind.memory.store import the_memory
from airflow_provider_segmind.memory.swaps import reject
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.operators.pixelflow import SubmitPixelFlowOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.sensors.pixelflow import PixelFlowSensor
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from tests.provider.odd_host import PICTURE, own_host
from tests.provider.remembering import in_run, memory, pictures, records, states, swap, task_of
from tests.provider.running import context, first_event, run
from tests.provider.s3 import s3_bucket

__all__ = ["memory"]

OTHER = "0123456789abcdef01234567-v1"
"""A workflow that is no body swap."""


def test_what_is_deleted_as_its_error_says_leaves_nothing_to_the_order_that_follows(
    emulator: Emulator, memory: Path
) -> None:
    reject(in_run(swap(emulator), "a")["request_id"], "dag", "bad")
    (path,) = (memory / "swaps").rglob("*.json")
    path.write_bytes(b"{")
    with pytest.raises((OutcomeUnknownError, AirflowFailException), match="if it is worthless, delete it: then the"):
        in_run(swap(emulator), "b")
    path.unlink()
    made = in_run(swap(emulator), "c")
    assert in_run(swap(emulator), "d")["request_id"] == made["request_id"]
    assert len(emulator.charges) == 2
    assert (states(memory), records(memory)[0]["order"]["request_id"]) == ({DONE}, made["request_id"])


def test_a_body_swap_without_a_picture_is_ordered_again_by_the_next_run(emulator: Emulator, memory: Path) -> None:
    text = [{"keyname": "said", "value": {"type": "text", "data": "no face"}}]
    emulator.script(Fault("completed-bad-output", body=json.dumps(text)))
    with pytest.raises(Exception, match="none of its outputs is an image"):
        in_run(swap(emulator), "a")
    assert in_run(swap(emulator), "b")["image_url"]
    assert len(emulator.charges) == 2
    assert sorted(record["state"] for record in records(memory)) == [DONE, REJECTED]


def test_a_refresh_that_makes_no_picture_leaves_the_one_that_is_there(emulator: Emulator, memory: Path) -> None:
    first = in_run(swap(emulator), "a")
    text = [{"keyname": "said", "value": {"type": "text", "data": "no face"}}]
    emulator.script(Fault("completed-bad-output", body=json.dumps(text)))
    with pytest.raises(Exception, match="none of its outputs is an image"):
        in_run(swap(emulator, reuse="refresh"), "b")
    assert in_run(swap(emulator), "c")["request_id"] == first["request_id"]
    assert len(emulator.charges) == 2


def test_a_paid_picture_is_given_to_nobody_without_the_consent_that_an_order_needs(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_run(swap(emulator), "a")
    monkeypatch.setenv("AIRFLOW__SEGMIND__REQUIRE_CONSENT", "True")
    with pytest.raises(AirflowFailException, match="require_consent is on, so nothing is ordered"):
        in_run(swap(emulator), "b")
    assert in_run(swap(emulator, consent_reference="consents/1"), "c")["reused"]


def listed(inputs: Any, run_id: str) -> dict[str, Any]:
    task = SubmitPixelFlowOperator(task_id="submit", workflow=OTHER, inputs=inputs)
    handle: dict[str, Any] = run(task, context(task_of("submit", run_id)))
    return handle


@pytest.mark.parametrize("inputs", [lambda url: {"images": [url]}, lambda url: {"scene": {"image": url}}])
def test_a_picture_whose_url_is_in_a_list_or_an_object_is_known_by_its_bytes(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, inputs: Any
) -> None:
    url = SegmindHook().upload(samples.draw("scene", 0), media_type="image/png")
    first = listed(inputs(url), "a")
    assert listed(inputs(url), "b")["request_id"] == first["request_id"]
    name = url.rpartition("/")[2]
    emulator._state.assets[name] = Asset(samples.draw("scene", 1), "image/png")
    assert listed(inputs(url), "c")["request_id"] != first["request_id"]
    assert len(emulator.charges) == 2
    monkeypatch.setattr(needs, "OLD", 0.0)
    assert len(forget(the_memory(), digests_of(SegmindHook(), url)).orders) == 1


def test_what_was_ordered_by_url_and_etag_is_forgotten_by_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_host(monkeypatch) as host:
        host.answers["/a.png"] = (200, PICTURE, {"ETag": '"1"'})
        noted = swaps.digests_of(SegmindHook(), "scene", f"{host.url}/a.png?X-Amz-Signature=1", by_etag=True)
        host.answers["/a.png"] = (200, PICTURE, {"ETag": '"2"'})
        assert digests_of(SegmindHook(), f"{host.url}/a.png") & set(noted)


def test_an_object_that_is_empty_is_named_also_on_s3_and_stops_only_its_own_swap(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_bucket(monkeypatch) as bucket:
        monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", f"s3://{bucket.name}/memory")
        in_run(swap(emulator), "a")
        in_run(swap(emulator, **pictures(emulator, 1)), "other")
        empty = next(iter(bucket.objects.filter(Prefix="memory/swaps/")))
        empty.put(Body=b"")
        said = []
        for scene in (0, 1):
            try:
                in_run(swap(emulator, **pictures(emulator, scene)), f"b{scene}")
            except (OutcomeUnknownError, AirflowFailException) as error:
                said.append(str(error))
        assert len(said) == 1
        assert f"object {empty.key.removeprefix('memory/')} is damaged" in said[0]
        assert rescue_all(the_memory(), "segmind_default", every=True).unknown == []
        assert CostsReader(the_memory()).costs(1).total.ordered == 1


@pytest.mark.parametrize("deferrable", [True, False])
def test_each_way_to_wait_says_that_a_running_job_is_reused(emulator: Emulator, memory: Path, deferrable: bool) -> None:
    given = pictures(emulator)
    handles = [
        run(SubmitBodySwapOperator(task_id="submit", **given), context(task_of("submit", run_id))) for run_id in "ab"
    ]
    task = BodySwapSensor(task_id="wait", poll_url=handles[1], poke_interval=0.05, deferrable=deferrable)
    result = run(task, context(task_of("wait", "b")))
    assert (result["reused"], result["cost"]) == (True, 0)
    assert len(emulator.charges) == 1


def test_a_long_text_that_only_the_memory_still_has_is_delivered(emulator: Emulator, memory: Path) -> None:
    """It is too long for a trigger's event, so a worker asks for it again."""
    text = "long " * 4000
    outputs = json.dumps([{"keyname": "said", "value": {"type": "text", "data": text}}])
    emulator.script(Fault("completed-bad-output", body=outputs))
    task = SubmitPixelFlowOperator(task_id="submit", workflow=OTHER, inputs={"a": 1})
    handle = run(task, context(task_of("submit", "a")))
    run(PixelFlowSensor(task_id="wait", poll_url=handle, poke_interval=0.05), context(task_of("wait", "a")))
    emulator.script(Fault("expired", on="poll", times=None))
    old = PixelFlowTrigger(handle["poll_url"], "segmind_default", time.time() + 60, submitted_at=time.time() - 7200)
    event = asyncio.run(first_event(old))
    assert event["job"]["outputs"] is None
    sensor = PixelFlowSensor(task_id="wait", poll_url=handle, poke_interval=0.05)
    assert sensor.execute_complete(context(task_of("wait", "b")), event)["outputs"][0]["url"] == text
