"""Pictures are checked before they are paid for, and results afterwards, as tasks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from airflow_provider_segmind.compat import AirflowFailException, AirflowSkipException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator, CheckSwapOperator
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.running import TaskInstance, context, run


def inputs(emulator: Emulator) -> dict[str, Any]:
    return {
        "task_id": "task",
        "character_image": emulator.sample("scene", 0),
        "reference_character_image": emulator.sample("person", 0),
    }


def test_good_pictures_pass_and_nothing_is_ordered(emulator: Emulator) -> None:
    ti = TaskInstance()
    report = CheckSwapInputOperator(**inputs(emulator)).execute(context(ti))
    assert report["kind"] == "input"
    assert report["verdict"] == "pass"
    assert ti.xcoms["report"] == report
    assert not emulator.charges


def test_a_real_result_of_a_swap_passes_beside_its_inputs(emulator: Emulator) -> None:
    result = run(BodySwapOperator(**inputs(emulator), poll_interval=0.05))
    report = CheckSwapOperator(**inputs(emulator), results=result).execute(context())
    assert report["kind"] == "swap"
    assert report["verdict"] == "pass", report


def test_a_result_that_is_the_source_again_fails_for_good_and_says_why(emulator: Emulator) -> None:
    ti = TaskInstance()
    task = CheckSwapOperator(**inputs(emulator), results=emulator.sample("scene", 0))
    with pytest.raises(AirflowFailException, match=r"changed_area_fraction: .*came back unchanged"):
        task.execute(context(ti))
    assert ti.xcoms["report"]["verdict"] == "fail"


def test_a_stored_result_is_read_from_where_it_is_stored(emulator: Emulator, tmp_path: Path) -> None:
    result = run(BodySwapOperator(**inputs(emulator), poll_interval=0.05))
    stored = tmp_path / "result.png"
    stored.write_bytes(requests.get(result["image_url"], timeout=10).content)
    report = CheckSwapOperator(**inputs(emulator), results={**result, "uri": str(stored)}).execute(context())
    assert report["verdict"] == "pass"


def test_the_report_of_a_stored_picture_is_in_its_sidecar_too(emulator: Emulator, tmp_path: Path) -> None:
    result = run(BodySwapOperator(**inputs(emulator), poll_interval=0.05))
    keep = SegmindToObjectStorageOperator(task_id="keep", results=result, destination=str(tmp_path))
    stored = keep.execute(context())
    report = CheckSwapOperator(**inputs(emulator), results=stored).execute(context())
    sidecar = json.loads(Path(stored["files"][0]["sidecar"].removeprefix("file://")).read_text())
    assert sidecar["checks"] == report
    assert sidecar["request_id"] == result["request_id"]
    assert keep.execute(context())["files"][0]["skipped"]


@pytest.mark.parametrize(("qa", "layers"), [(None, ["core", "qa"]), (True, ["core", "qa"]), (False, ["core"])])
def test_the_author_says_whether_models_are_used(emulator: Emulator, qa: bool | None, layers: list[str]) -> None:
    assert CheckSwapInputOperator(**inputs(emulator), qa=qa).execute(context())["layers"] == layers


def test_a_failed_check_skips_or_only_reports_where_the_author_says_so(emulator: Emulator, tmp_path: Path) -> None:
    broken = tmp_path / "scene.png"
    broken.write_bytes(b"<html>not a picture</html>")
    given = {**inputs(emulator), "character_image": str(broken)}
    with pytest.raises(AirflowSkipException, match="readable: the source cannot be read"):
        CheckSwapInputOperator(**given, on_failure="skip").execute(context())
    assert CheckSwapInputOperator(**given, on_failure="report").execute(context())["verdict"] == "fail"


def test_a_doubtful_result_goes_on_to_a_person_unless_the_author_says_otherwise(
    emulator: Emulator, tmp_path: Path
) -> None:
    result = run(BodySwapOperator(**inputs(emulator), poll_interval=0.05))
    wider = tmp_path / "wider.png"
    with Image.open(io.BytesIO(requests.get(result["image_url"], timeout=10).content)) as image:
        image.resize((round(image.width * 1.08), image.height)).save(wider)
    given, ti = {**inputs(emulator), "results": str(wider), "qa": False}, TaskInstance()
    report = CheckSwapOperator(**given).execute(context(ti))
    assert report["verdict"] == ti.xcoms["report"]["verdict"] == "review"
    with pytest.raises(AirflowSkipException, match=r"swap review \(aspect_ratio_delta: width to height changed by"):
        CheckSwapOperator(**given, on_review="skip").execute(context())
    with pytest.raises(AirflowFailException, match="swap review"):
        CheckSwapOperator(**given, on_review="fail", on_failure="report").execute(context())
    with pytest.raises(ValueError, match="on_review is 'look'"):
        CheckSwapOperator(**given, on_review="look")


def test_thresholds_are_the_authors_and_a_wrong_one_is_named(emulator: Emulator) -> None:
    given = inputs(emulator)
    with pytest.raises(AirflowFailException, match=r"min_side: .* at least 5000 are wanted"):
        CheckSwapInputOperator(**given, thresholds={"min_side": 5000}).execute(context())
    with pytest.raises(AirflowFailException, match="There is no threshold 'min_size'"):
        CheckSwapInputOperator(**given, thresholds={"min_size": 5000}).execute(context())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"character_image": None}, "character_image is empty"),
        ({"character_image": "nowhere.png"}, "'nowhere.png' cannot be read"),
        ({"character_image": "https://127.0.0.1:9/a.png"}, "is not fetched"),
        ({"character_image": "http://pictures.example.com/a.png"}, "is not fetched"),
    ],
)
def test_a_picture_that_cannot_be_had_is_named(emulator: Emulator, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(AirflowFailException, match=words):
        CheckSwapInputOperator(**{**inputs(emulator), **changes}).execute(context())


def test_an_unknown_reaction_is_refused_when_the_dag_is_read(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="on_failure is 'ignore'"):
        CheckSwapInputOperator(**inputs(emulator), on_failure="ignore")
