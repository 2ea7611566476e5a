"""All results of a batch are checked in one task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.compat import AirflowFailException, AirflowSkipException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.quality import many
from tests.provider.running import TaskInstance, context, run


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check in one process; that several give the same reports is for tests/quality/test_quality_many.py."""
    monkeypatch.setattr(many, "worker_count", lambda: 1)


def scene(emulator: Emulator, number: int = 0) -> str:
    return emulator.sample("scene", number)


def person(emulator: Emulator, number: int = 0) -> str:
    return emulator.sample("person", number)


def swapped(emulator: Emulator, number: int = 0) -> dict[str, Any]:
    task = BodySwapOperator(
        task_id="swap",
        character_image=scene(emulator, number),
        reference_character_image=person(emulator, number),
        poll_interval=0.05,
    )
    result: dict[str, Any] = run(task)
    return result


def batch(emulator: Emulator, folder: Path, swaps: int = 3, **options: Any) -> dict[str, Any]:
    """Order a batch, and return what the operator returns."""
    rows = [
        {"id": f"look-{number}", "character_image": scene(emulator, number), "reference_character_image": who}
        for number, who in enumerate(person(emulator, number) for number in range(swaps))
    ]
    results = str(folder / "results.jsonl")
    task = BodySwapBatchOperator(task_id="batch", swaps=rows, results_uri=results, poll_interval=0.05, **options)
    summary: dict[str, Any] = run(task)
    return summary


def change(manifest: str, index: int, **changes: Any) -> None:
    """Rewrite one row of a manifest."""
    rows = [json.loads(line) for line in Path(manifest).read_text().splitlines()]
    rows[index] |= changes
    Path(manifest).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_whole_batch_is_checked_with_the_inputs_that_its_manifest_names(emulator: Emulator, tmp_path: Path) -> None:
    summary, ti = batch(emulator, tmp_path), TaskInstance()
    charges = len(emulator.charges)
    report = CheckSwapOperator(task_id="check", results=summary).execute(context(ti))
    lines = [json.loads(line) for line in Path(report.pop("reports_uri")).read_text().splitlines()]
    assert report == {
        "verdict": "pass",
        "checked": 3,
        "passed": 3,
        "warned": 0,
        "doubtful": 0,
        "failed": 0,
        "not_checked": 0,
        "reports": [],
    }
    assert [(line["index"], line["id"], line["verdict"]) for line in lines] == [
        (0, "look-0", "pass"),
        (1, "look-1", "pass"),
        (2, "look-2", "pass"),
    ]
    # The reference was fetched too: the check that needs it was made.
    checks = {check["name"]: check["verdict"] for check in lines[0]["report"]["checks"]}
    assert checks["reference_returned"] == "pass"
    assert ti.xcoms["report"].items() >= report.items()
    assert len(emulator.charges) == charges


def test_one_bad_result_fails_the_task_after_all_are_checked_and_is_named(emulator: Emulator, tmp_path: Path) -> None:
    summary, ti = batch(emulator, tmp_path), TaskInstance()
    change(summary["results_uri"], 1, image_url=scene(emulator, 1))
    # The URI of the manifest does as well as the summary.
    task = CheckSwapOperator(task_id="check", results=summary["results_uri"])
    with pytest.raises(AirflowFailException, match=r"1 failed.*\n.*look-1: changed_area_fraction: .*unchanged"):
        task.execute(context(ti))
    report = ti.xcoms["report"]
    assert (report["checked"], report["passed"], report["failed"]) == (3, 2, 1)
    assert [(one["index"], one["verdict"]) for one in report["reports"]] == [(1, "fail")]
    assert len(Path(report["reports_uri"]).read_text().splitlines()) == 3
    with pytest.raises(AirflowSkipException):
        CheckSwapOperator(task_id="check", results=summary, on_failure="skip").execute(context())


def test_swaps_without_a_picture_are_counted_and_are_no_failure_of_a_check(emulator: Emulator, tmp_path: Path) -> None:
    summary = batch(emulator, tmp_path)
    change(summary["results_uri"], 2, status="FAILED", image_url=None, error="JobFailedError: no person")
    report = CheckSwapOperator(task_id="check", results=summary).execute(context())
    assert (report["verdict"], report["checked"], report["not_checked"]) == ("pass", 2, 1)
    assert report["reports"] == [
        {"index": 2, "id": "look-2", "verdict": "not checked", "reasons": ["JobFailedError: no person"]}
    ]


def test_stored_pictures_are_checked_where_they_are_stored(emulator: Emulator, tmp_path: Path) -> None:
    summary = batch(emulator, tmp_path, swaps=2)
    rows = [json.loads(line) for line in Path(summary["results_uri"]).read_text().splitlines()]
    stored = Path(f"{summary['results_uri']}.stored.jsonl")
    lines = []
    for row in rows:
        copy = tmp_path / f"{row['index']}.png"
        copy.write_bytes(requests.get(row["image_url"], timeout=10).content)
        lines.append(json.dumps({"request_id": row["request_id"], "uri": str(copy), "files": []}))
    stored.write_text("\n".join(lines))
    change(summary["results_uri"], 0, image_url="https://127.0.0.1:9/gone.png")
    for result in ({"stored_uri": str(stored), "total": 2}, str(stored)):
        report = CheckSwapOperator(task_id="check", results=result).execute(context())
        assert (report["checked"], report["passed"]) == (2, 2)
        assert report["reports_uri"] == f"{summary['results_uri']}.checks.jsonl"


def test_a_list_of_results_is_checked_beside_one_scene_or_one_for_each(emulator: Emulator) -> None:
    results = [swapped(emulator, 0), swapped(emulator, 1)]
    task = CheckSwapOperator(
        task_id="check",
        results=results,
        character_image=[scene(emulator, 0), scene(emulator, 1)],
        reference_character_image=[person(emulator, 0), person(emulator, 1)],
    )
    report = task.execute(context())
    assert (report["verdict"], report["checked"], report["passed"]) == ("pass", 2, 2)
    assert "reports_uri" not in report
    again = [results[0]["image_url"], {"uri": scene(emulator, 0)}]
    task = CheckSwapOperator(task_id="check", results=again, character_image=scene(emulator), on_failure="report")
    report = task.execute(context())
    assert (report["verdict"], report["failed"], report["reports"][0]["index"]) == ("fail", 1, 1)


def test_a_picture_that_cannot_be_had_fails_the_task_unless_it_only_reports(emulator: Emulator, tmp_path: Path) -> None:
    result, ti = swapped(emulator), TaskInstance()
    missing = str(tmp_path / "missing.png")
    given = {"task_id": "check", "results": [result, missing], "character_image": scene(emulator)}
    with pytest.raises(AirflowFailException, match=r"1 of the results could not be checked.*missing\.png"):
        CheckSwapOperator(**given).execute(context(ti))
    assert (ti.xcoms["report"]["checked"], ti.xcoms["report"]["not_checked"]) == (1, 1)
    report = CheckSwapOperator(**given, on_failure="report").execute(context())
    assert [one["verdict"] for one in report["reports"]] == ["not checked"]
    closed = "http://127.0.0.1:9/a.png"
    with pytest.raises((SegmindError, AirflowFailException), match="is not fetched"):
        CheckSwapOperator(**{**given, "results": [result, closed]}).execute(context())


def test_the_xcom_stays_small_however_many_fail(emulator: Emulator, tmp_path: Path) -> None:
    source = tmp_path / "scene.png"
    source.write_bytes(b"<html>" + b"not a picture " * 100)
    task = CheckSwapOperator(
        task_id="check", results=[str(source)] * 60, character_image=str(source), on_failure="report"
    )
    report = task.execute(context())
    assert report["failed"] == 60
    assert [one["index"] for one in report["reports"]] == list(range(50))
    assert len(json.dumps(report)) < 50 * 600


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"results": []}, "results is empty, so nothing would be checked"),
        ({"character_image": ["a", "b", "c"]}, "character_image has 3 entries and results has 2"),
        ({"character_image": None}, "Nothing says which scene result 0 was made from"),
        ({"thresholds": {"min_size": 1}}, "There is no threshold 'min_size'"),
        ({"results": "nowhere.jsonl"}, "'nowhere.jsonl' cannot be read"),
    ],
)
def test_what_does_not_fit_together_is_named_before_anything_is_fetched(
    emulator: Emulator, changes: dict[str, Any], words: str
) -> None:
    given = {"task_id": "check", "results": ["one.png", "two.png"], "character_image": "scene.png"}
    with pytest.raises(AirflowFailException, match=words):
        CheckSwapOperator(**{**given, **changes}).execute(context())


def test_a_line_that_is_no_row_is_named(emulator: Emulator, tmp_path: Path) -> None:
    manifest = tmp_path / "results.jsonl"
    manifest.write_text('{"index": 0}\nnonsense\n')
    with pytest.raises(AirflowFailException, match=r"Line 2 of results '.*results\.jsonl' is no JSON object"):
        CheckSwapOperator(task_id="check", results=str(manifest)).execute(context())
