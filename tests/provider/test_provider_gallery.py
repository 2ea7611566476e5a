"""What tasks keep for the gallery in Airflow's UI, from the order of a swap to the storing of its result."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_segmind.api.gallery import GalleryRecord, read_record
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.emulator.samples import draw
from airflow_provider_segmind.hooks.gallery import show
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.running import TaskInstance, context


def test_without_roots_nothing_is_kept_for_the_gallery() -> None:
    ti = TaskInstance()
    show(context(ti), GalleryRecord())
    assert ti.xcoms == {}


def test_a_swap_is_shown_from_its_order_to_its_storing(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", tmp_path.as_uri())
    scene = tmp_path / "scene.png"
    scene.write_bytes(draw("scene", 0))
    inputs = {"character_image": scene.as_uri(), "reference_character_image": emulator.sample("person", 0)}
    ti = TaskInstance()
    operator = SubmitBodySwapOperator(task_id="order", **inputs)
    handle = operator.execute(context(ti))
    waiting = read_record(ti.xcoms["body_swap"])
    assert waiting is not None
    assert (waiting.state, waiting.before, waiting.request_id) == ("waiting", scene.as_uri(), handle["request_id"])

    result = BodySwapSensor(task_id="wait", poll_url=handle, mode="poke", deferrable=False, poke_interval=0.1)
    ti = TaskInstance()
    store = SegmindToObjectStorageOperator(
        task_id="store",
        results=result.execute(context()),
        destination=tmp_path.as_uri(),
        details={"inputs": inputs},
    )
    stored_row = store.execute(context(ti))
    done = read_record(ti.xcoms["body_swap"])
    assert done is not None
    assert (done.state, done.before, done.after) == ("completed", scene.as_uri(), stored_row["uri"])
