"""What tasks keep for the gallery in Airflow's UI, from the order of a swap to the storing of its result."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.gallery import FailedCheck, GalleryRecord, read_record, read_records
from airflow_provider_segmind.compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.emulator.samples import draw
from airflow_provider_segmind.gallery.recording import file_name, show
from airflow_provider_segmind.operators.body_swap import (
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator, CheckSwapOperator
from airflow_provider_segmind.quality.report import Check, Report
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.tasks.check import CheckRun
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.running import TaskInstance, context, run


def test_without_a_page_and_folders_nothing_is_kept_for_the_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    ti = TaskInstance()
    show(context(ti), GalleryRecord())
    assert ti.xcoms == {}
    monkeypatch.delenv("AIRFLOW__SEGMIND__UI_TABS")  # the default: what is ordered counts, with pictures or without
    show(context(ti), GalleryRecord())
    assert "body_swap" in ti.xcoms


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://cdn.example/looks/silk%2C%20summer.jpg?X-Amz-Signature=abc#d", "silk, summer.jpg"),
        ("https://ann:secret@cdn.example/?id=5", None),
        ("https://ann:secret@cdn.example", None),
        ("s3://bucket/looks/50%20off.png", "50%20off.png"),
        ("/data/\u0635\u0648\u0631\u0629 \U0001f457.png", "\u0635\u0648\u0631\u0629 \U0001f457.png"),
        (None, None),
    ],
)
def test_a_card_is_named_by_the_file_and_shows_nothing_else_of_a_url(uri: str | None, name: str | None) -> None:
    assert file_name(uri) == name


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


def test_the_name_of_a_photograph_has_nothing_of_what_signs_its_url(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__SEGMIND__UI_TABS")
    scene = f"{emulator.sample('scene')}?signature=s3cr3t"
    given = {"character_image": scene, "reference_character_image": emulator.sample("person")}
    single, many = TaskInstance(), TaskInstance()
    SubmitBodySwapOperator(task_id="order", **given).execute(context(single))
    SubmitBodySwapBatchOperator(task_id="order", swaps=[given]).execute(context(many))
    for ti in (single, many):
        (record,) = read_records(ti.xcoms["body_swap"])
        assert record is not None
        assert record.label == "0.png"


@pytest.fixture
def pictures(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the inputs of a swap, with a scene in a folder that the gallery may show."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", tmp_path.as_uri())
    scene = tmp_path / "scene.png"
    scene.write_bytes(draw("scene", 0))
    return {"character_image": scene.as_uri(), "reference_character_image": emulator.sample("person", 0)}


def test_each_result_of_a_list_that_one_task_stores_is_shown(pictures: dict[str, str], tmp_path: Path) -> None:
    results = [run(BodySwapOperator(task_id="swap", **pictures, poll_interval=0.05)) for _ in range(2)]
    ti = TaskInstance()
    store = SegmindToObjectStorageOperator(task_id="store", results=results, destination=tmp_path.as_uri())
    rows = store.execute(context(ti))
    shown = read_records(ti.xcoms["body_swap"])
    assert [(record.request_id, record.after) for record in shown if record] == [
        (row["request_id"], row["uri"]) for row in rows
    ]


def test_what_is_wrong_with_a_result_is_shown_with_its_swap_and_what_is_well_is_not(
    pictures: dict[str, str], tmp_path: Path
) -> None:
    result = run(BodySwapOperator(task_id="swap", **pictures, poll_interval=0.05))
    stored = SegmindToObjectStorageOperator(task_id="keep", results=result, destination=tmp_path.as_uri()).execute(
        context()
    )
    ti = TaskInstance()
    CheckSwapOperator(task_id="check", **pictures, results=stored).execute(context(ti))
    assert "body_swap" not in ti.xcoms
    unchanged = {**stored, "uri": pictures["character_image"]}
    CheckSwapOperator(task_id="check", **pictures, results=unchanged, on_failure="report").execute(context(ti))
    record = read_record(ti.xcoms["body_swap"])
    assert record is not None
    assert (record.state, record.request_id) == ("completed", result["request_id"])
    assert "changed_area_fraction" in [check.name for check in record.checks]


def test_a_photograph_that_is_not_worth_its_price_is_shown_as_not_ordered(
    emulator: Emulator, pictures: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "scene.png").write_bytes(b"<html>not a picture</html>")
    ti = TaskInstance()
    CheckSwapInputOperator(task_id="check", **pictures, on_failure="report").execute(context(ti))
    assert "body_swap" not in ti.xcoms  # what is only reported may be ordered all the same
    with pytest.raises(AirflowSkipException):
        CheckSwapInputOperator(task_id="check", **pictures, on_failure="skip").execute(context(ti))
    record = read_record(ti.xcoms["body_swap"])
    assert record is not None
    assert (record.state, record.before, record.request_id) == ("rejected", pictures["character_image"], None)
    assert record.checks
    assert all(isinstance(check, FailedCheck) and check.why for check in record.checks)
    assert not emulator.charges


class Tilted(CheckRun):
    """Finds that a person has to look."""

    def check(self, hook: object, thresholds: object) -> Report:
        return Report("input", (Check("upright", "review", 70, 50, "the person is turned by 70 degrees"),), (), 0.0)


@pytest.mark.parametrize(("on_review", "state"), [("report", None), ("skip", "rejected"), ("fail", "rejected")])
def test_a_doubtful_photograph_is_not_ordered_only_if_the_author_stops_there(
    monkeypatch: pytest.MonkeyPatch, on_review: str, state: str | None
) -> None:
    monkeypatch.delenv("AIRFLOW__SEGMIND__UI_TABS")
    ti = TaskInstance()
    with suppress(AirflowFailException, AirflowSkipException):
        task = CheckSwapInputOperator(task_id="check", character_image="s3://b/a.png", on_review=on_review)
        Tilted(task, context(ti)).run()
    record = read_record(ti.xcoms.get("body_swap"))
    assert (record.state if record else None) == state


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_sensor_says_how_the_swap_ended_that_it_waited_for(
    emulator: Emulator, pictures: dict[str, str], deferrable: bool
) -> None:
    emulator.script(Fault("will-fail", on="submit", times=1))
    failing, good = (SubmitBodySwapOperator(task_id="order", **pictures).execute(context()) for _ in range(2))
    how: dict[str, Any] = {"deferrable": deferrable, "mode": "poke", "poke_interval": 0.1}
    ti = TaskInstance()
    run(BodySwapSensor(task_id="wait", poll_url=good["poll_url"], **how), context(ti))
    assert read_record(ti.xcoms["body_swap_end"]) == GalleryRecord(request_id=good["request_id"])
    ti = TaskInstance()
    with pytest.raises(AirflowFailException):
        run(BodySwapSensor(task_id="wait", poll_url=failing["poll_url"], **how), context(ti))
    record = read_record(ti.xcoms["body_swap_end"])
    assert record is not None
    assert (record.state, record.request_id) == ("failed", failing["request_id"])
    assert "FAILED" in record.checks[0].why


def test_a_wait_that_only_timed_out_says_that_the_swap_can_still_be_fetched(
    emulator: Emulator, pictures: dict[str, str]
) -> None:
    emulator.set(job_polls=1000)
    ti = TaskInstance()
    handle = SubmitBodySwapOperator(task_id="order", **pictures).execute(context())
    sensor = BodySwapSensor(
        task_id="wait", poll_url=handle, deferrable=False, mode="poke", poke_interval=0.1, timeout=0.3
    )
    with pytest.raises(AirflowSensorTimeout):
        sensor.execute(context(ti))
    record = read_record(ti.xcoms["body_swap_end"])
    assert record is not None
    assert (record.state, record.request_id) == ("open", handle["request_id"])
    assert "clear this sensor" in record.checks[0].why
