"""What was done to a picture before it was ordered is in results, rows and sidecars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.quality.inspect import check_input
from airflow_provider_segmind.transfers.object_storage import (
    SegmindToObjectStorageOperator,
)
from tests.provider.batches import Batch, at_once, swaps  # noqa: F401 - a fixture for every test
from tests.provider.odd_host import own_host
from tests.provider.running import TaskInstance, context
from tests.provider.test_provider_decorator import pictures as samples
from tests.provider.tries import Task
from tests.quality import profiles
from tests.quality.drawing import encoded
from tests.quality.phones import exif, flipped, house


def turned(folder: Path) -> str:
    (folder / "turned.jpg").write_bytes(encoded(house(), "JPEG", exif=exif(6), icc_profile=profiles.DISPLAY_P3))
    return str(folder / "turned.jpg")


WORDS = ["upright", "sRGB"]


def sidecar(results: Any, folder: Path, **more: Any) -> dict[str, Any]:
    task = SegmindToObjectStorageOperator(task_id="s", results=results, destination=str(folder / "out"), **more)
    task.execute(context())
    (file,) = (folder / "out").rglob("*.json")
    return dict(json.loads(file.read_text()))


def test_the_sidecar_of_a_swap_says_how_its_pictures_were_prepared(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    result = Task(emulator, character_image=turned(tmp_path)).attempt()
    assert result["prepared"] == {"character_image": WORDS}
    assert sidecar(result, tmp_path)["prepared"] == {"character_image": WORDS}


def test_a_retry_still_knows_how_the_pictures_were_prepared(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    task = Task(emulator, character_image=turned(tmp_path))
    first = task.attempt()
    assert task.attempt()["prepared"] == first["prepared"] == {"character_image": WORDS}
    assert len(emulator.charges) == 1


def test_the_sidecar_has_what_a_submit_says_in_details(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    swap = {"character_image": turned(tmp_path), "reference_character_image": emulator.sample("person")}
    handle = SubmitBodySwapOperator(task_id="t", **swap).execute(context())
    result = BodySwapOperator(task_id="t", deferrable=False, poll_interval=0.05, **swap).execute(
        context(TaskInstance())
    )
    assert handle["prepared"] == {"character_image": WORDS}
    assert sidecar({**result, "prepared": None}, tmp_path, details=handle)["prepared"] == handle["prepared"]


def test_the_sidecar_of_a_batch_says_it_of_each_swap(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    plain, other = swaps(emulator, 2)
    other["character_image"] = turned(tmp_path)
    batch = Batch(emulator, tmp_path, swaps=[plain, other])
    summary = batch.attempt()
    assert [row.get("prepared") for row in batch.rows()] == [None, {"character_image": WORDS}]
    SegmindToObjectStorageOperator(
        task_id="s", results=summary, destination=str(tmp_path / "out"), name="{row}"
    ).execute(context())
    found = [json.loads((tmp_path / "out" / f"{row}.json").read_text()).get("prepared") for row in (0, 1)]
    assert found == [None, {"character_image": WORDS}]


def test_what_another_task_says_of_preparing_is_bounded(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    result = Task(emulator, **samples(emulator)).attempt()
    assert "prepared" not in result
    wild = {"character_image": ["x" * 10_000, 3, None] * 1000, "else": ["y"], "reference_character_image": "text"}
    said = sidecar({**result, "prepared": wild}, tmp_path)["prepared"]
    assert list(said) == ["character_image"]
    assert len(json.dumps(said)) < 5000


def test_a_result_with_a_wrong_checksum_is_stored_and_fails_its_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = flipped(encoded(house()))
    with own_host(monkeypatch) as host:
        host.pictures["/r.png"] = broken
        outputs = [{"keyname": "k", "type": "image", "url": f"{host.url}/r.png"}]
        assert sidecar({"request_id": "r", "status": "COMPLETED", "outputs": outputs}, tmp_path)
    stored = [file for file in (tmp_path / "out").rglob("*.png") if "thumb" not in file.name]
    assert [file.read_bytes() for file in stored] == [broken]
    assert check_input(broken, qa=False).checks[0].verdict == "fail"
