"""What a job has made is kept whole or not at all, also if its picture cannot be copied now or the memory is moved."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import rescue as needs
from airflow_provider_segmind.api.errors import TransportError
from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.api.remembered import CLAIMED, DONE, LOST, ORDERED, REJECTED
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.files import download
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory import swaps
from airflow_provider_segmind.memory.rescue import rescue_all
from airflow_provider_segmind.memory.store import the_memory
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.operators.pixelflow import SubmitPixelFlowOperator
from airflow_provider_segmind.sensors.pixelflow import PixelFlowSensor
from tests.api.clock import Clock
from tests.provider.remembering import in_run, memory, swap, task_of
from tests.provider.running import context, run

__all__ = ["memory"]

DAY = 86400.0


@pytest.fixture(autouse=True)
def old_orders(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "OLD", 0.0)
    monkeypatch.setattr(download, "Limits", partial(download.Limits, pauses=()))  # ask a host that fails only once


def ctx(run_id: str) -> Any:
    return context(task_of(run_id=run_id))


def swapped(emulator: Emulator, run_id: str, **changes: Any) -> dict[str, Any]:
    return in_run(swap(emulator, **changes), run_id)


def record(memory: Path) -> dict[str, Any]:
    (path,) = (memory / "swaps").rglob("*.json")
    said: dict[str, Any] = json.loads(path.read_bytes())
    return said


def later(memory: Path, seconds: float) -> None:
    """Let time pass for what is on record."""
    for path in (*(memory / "swaps").rglob("*.json"), *(memory / "ends").rglob("*.json")):
        said = json.loads(path.read_bytes())
        said["ended_at"] -= seconds
        said["order"]["at"] -= seconds
        path.write_text(json.dumps(said))


def unstored(emulator: Emulator, fault: str = "500") -> dict[str, Any]:
    """Make a swap whose picture cannot be fetched when it is done."""
    emulator.script(Fault(fault, on="file", times=None, after=2))  # the two inputs
    result = swapped(emulator, "a")
    emulator.clear_faults()
    return result


@pytest.mark.parametrize("fault", ["500", "404"])
def test_a_picture_that_cannot_be_copied_now_is_fetched_after_its_job_is_forgotten(
    emulator: Emulator, memory: Path, clock: Clock, fault: str
) -> None:
    emulator.set(record_seconds=3600)
    url = unstored(emulator, fault)["image_url"]
    said = record(memory)
    assert (said["state"], said["outputs"][0]["url"], said["outputs"][0]["uri"]) == (DONE, url, "")
    clock.ahead += 2 * 3600
    assert rescue_all(the_memory(), "segmind_default").fetched == 1
    reused = swapped(emulator, "b")
    assert (reused["reused"], Path(reused["image_url"]).exists()) == (True, True)
    assert len(emulator.charges) == 1
    ends = [json.loads(path.read_bytes()) for path in (memory / "ends").rglob("*.json")]
    assert ends == [record(memory)]


def test_a_picture_without_a_copy_is_reused_by_its_url_as_long_as_segmind_keeps_it(
    emulator: Emulator, memory: Path
) -> None:
    result = unstored(emulator)
    emulator.script(Fault("500", on="file", times=None, after=2))
    assert swapped(emulator, "b")["image_url"] == result["image_url"]
    emulator.clear_faults()
    later(memory, 7 * DAY)
    assert "reused" not in swapped(emulator, "c")
    assert len(emulator.charges) == 2


def test_a_later_task_that_sees_the_same_end_makes_the_copy_that_is_missing(emulator: Emulator, memory: Path) -> None:
    handle = submit(emulator)
    emulator.script(Fault("500", on="file", times=None))
    hook = SegmindHook()
    swaps.keep(hook, hook.get_job(handle["poll_url"]))
    assert record(memory)["outputs"][0]["uri"] == ""
    emulator.clear_faults()
    swaps.keep(hook, hook.get_job(handle["poll_url"]))
    assert record(memory)["outputs"][0]["uri"]


def submit(emulator: Emulator) -> dict[str, Any]:
    emulator.set(job_seconds=0)
    pictures = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    handle: dict[str, Any] = run(SubmitBodySwapOperator(task_id="task", **pictures), ctx("a"))
    return handle


def test_a_signed_url_is_not_noted_and_its_job_is_asked_again(emulator: Emulator, memory: Path) -> None:
    handle = submit(emulator)
    hook = SegmindHook()
    job = hook.get_job(handle["poll_url"])
    emulator.script(Fault("500", on="file", times=None))
    signed = Output("image", "image", job.outputs[0].url + "?X-Amz-Signature=deadbeef")
    swaps.keep(hook, Job(job.request_id, job.poll_url, "COMPLETED", outputs=(signed,)))
    assert record(memory)["state"] == ORDERED
    emulator.clear_faults()
    assert rescue_all(the_memory(), "segmind_default").fetched == 1
    assert record(memory)["state"] == DONE


def test_a_picture_that_is_never_to_be_had_is_given_up_after_segmind_has_deleted_it(
    emulator: Emulator, memory: Path
) -> None:
    unstored(emulator)
    emulator.script(Fault("500", on="file", times=None))
    said = rescue_all(the_memory(), "segmind_default")
    assert (len(said.unknown), said.lost) == (1, [])
    later(memory, 9 * DAY)
    assert len(rescue_all(the_memory(), "segmind_default").lost) == 1
    (end,) = (memory / "ends").rglob("*.json")
    assert record(memory)["state"] == json.loads(end.read_bytes())["state"] == LOST
    assert rescue_all(the_memory(), "segmind_default").looked_at == 0


def flow(emulator: Emulator, run_id: str) -> dict[str, Any]:
    emulator.set(job_seconds=0)
    task = SubmitPixelFlowOperator(task_id="task", workflow="aaaabbbbccccddddeeeeffff-v1", inputs={"prompt": "x"})
    handle: dict[str, Any] = run(task, ctx(run_id))
    return handle


def made(handle: dict[str, Any], *outputs: Output) -> None:
    """Keep the end of a job that has made something."""
    swaps.keep(SegmindHook(), Job(handle["request_id"], handle["poll_url"], "COMPLETED", outputs=outputs))


def waited(handle: dict[str, Any]) -> list[str]:
    result = run(PixelFlowSensor(task_id="wait", poll_url=handle, poke_interval=0.05), ctx("wait"))
    return [output["url"] for output in result["outputs"]]


def test_a_long_text_is_returned_whole(emulator: Emulator, memory: Path) -> None:
    text = "wörd\n" * 5000
    made(flow(emulator, "a"), Output("text", "text", text))
    again = flow(emulator, "b")
    assert again["reused"]
    assert waited(again) == [text]


@pytest.mark.parametrize(
    "output",
    [
        Output("text", "text", "word " * 100_000),
        Output("video", "video", "https://b.s3.amazonaws.com/v.mp4?X-Amz-Credential=AKIA1&X-Amz-Signature=deadbeef"),
        Output("text", "text", "Look at https://b.s3.amazonaws.com/v.mp4?X-Amz-Signature=deadbeef there."),
    ],
)
def test_what_cannot_be_kept_whole_is_neither_stored_nor_reused_nor_cut(
    emulator: Emulator, memory: Path, output: Output
) -> None:
    first = flow(emulator, "a")
    made(first, output)
    said = b"".join(path.read_bytes() for path in memory.rglob("*.json"))
    assert b"deadbeef" not in said
    assert len(said) < 10_000
    assert waited(first) == [one.url for one in SegmindHook().get_job(first["poll_url"]).outputs]
    assert "reused" not in flow(emulator, "b")
    assert len(emulator.charges) == 2


def test_a_url_that_is_no_picture_is_reused_as_long_as_segmind_keeps_it(emulator: Emulator, memory: Path) -> None:
    made(flow(emulator, "a"), Output("video", "video", "https://images.segmind.com/v.mp4"))
    assert waited(flow(emulator, "b")) == ["https://images.segmind.com/v.mp4"]
    later(memory, 7 * DAY)
    assert "reused" not in flow(emulator, "c")


def test_the_words_of_an_error_have_no_signature_in_them(emulator: Emulator, memory: Path) -> None:
    handle = flow(emulator, "a")
    error = "cannot read https://b.s3.amazonaws.com/x.png?X-Amz-Signature=deadbeef"
    swaps.keep(SegmindHook(), Job(handle["request_id"], handle["poll_url"], "FAILED", error=error))
    assert record(memory)["error"] == "cannot read https://b.s3.amazonaws.com/x.png"


def test_a_sensor_does_not_return_a_picture_that_was_deleted(emulator: Emulator, memory: Path) -> None:
    swapped(emulator, "a")
    handle = submit(emulator)
    assert Path(waited(handle)[0]).exists()
    shutil.rmtree(memory / "pictures")
    assert waited(handle)[0].startswith("http")


@pytest.mark.parametrize("spelled", ["{}", "file://{}"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_memory_that_was_moved_has_all_its_pictures(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, spelled: str, absolute: bool
) -> None:
    swapped(emulator, "a")
    if absolute:  # as earlier versions wrote it
        for path in (*(memory / "swaps").rglob("*.json"), *(memory / "ends").rglob("*.json")):
            path.write_text(path.read_text().replace('"pictures/', f'"{memory}/pictures/'))
    moved = memory.rename(memory.with_name("moved"))
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", spelled.format(moved))
    reused = swapped(emulator, "b")
    assert reused["reused"]
    assert Path(reused["image_url"].removeprefix("file://")).is_relative_to(moved)
    assert len(emulator.charges) == 1


@pytest.mark.parametrize("state", [ORDERED, CLAIMED])
def test_a_picture_is_rejected_although_its_end_could_not_be_noted(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    def fails(*_: Any) -> None:
        raise TransportError("the storage cannot be reached")

    keep_end = swaps.keep_end
    monkeypatch.setattr(swaps, "keep_end", fails)
    result = swapped(emulator, "a")
    monkeypatch.setattr(swaps, "keep_end", keep_end)
    if state == CLAIMED:  # the order could not be noted either, but for what leads to it
        (path,) = (memory / "swaps").rglob("*.json")
        order = {**record(memory)["order"], "request_id": "", "poll_url": ""}
        path.write_text(json.dumps({**record(memory), "state": CLAIMED, "order": order}))
    swaps.reject(result["request_id"], "dag", "It shows another person.")
    assert (record(memory)["state"], record(memory)["error"]) == (REJECTED, "It shows another person.")
    hook = SegmindHook()
    swaps.keep(hook, hook.get_job(result["poll_url"]))
    assert record(memory)["state"] == REJECTED, "who sees its end later does not bring it back"
    assert not (memory / "pictures").exists()
    assert "reused" not in swapped(emulator, "b")
