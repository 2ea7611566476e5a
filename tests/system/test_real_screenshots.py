"""What a person sees of the example pipeline as it ships; the documentation's pictures are taken here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_segmind.emulator import Emulator, samples
from demo.bucket import ROOT, Bucket
from demo.local_airflow import LocalAirflow
from demo.pictures import drawn
from demo.pipeline import DAG_ID, GROUP, play, start
from tests.browsing import PICTURES_THERE, launched, take

pytestmark = pytest.mark.slow


def test_the_pipeline_shows_its_photographs_by_name_and_asks_about_each(
    airflow: LocalAirflow, bucket: Bucket, tmp_path: Path
) -> None:
    run_id = start(airflow, bucket, drawn())

    def asks() -> Any:
        states = [airflow.task_state(DAG_ID, run_id, f"{GROUP}.approve", index) for index in (0, 1)]
        return all(state in ("awaiting_input", "deferred") for state in states)

    airflow.wait_until("The approvals", asks, 240)
    run = f"{airflow.url}/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"
    with launched() as browser:
        page = browser.new_page()
        page.goto(f"{run}/tasks/{GROUP}.approve/mapped/0/required_actions")
        page.get_by_role("img", name="after", exact=True).wait_for(timeout=60_000)
        page.wait_for_function(PICTURES_THERE, arg="table img", timeout=30_000)
        assert page.get_by_text("Publish at-home.png?").first.is_visible()
        assert page.get_by_text("The checks found nothing.").is_visible()
        take(page, "approval", tmp_path)
        page.close()
        assert play(airflow, run_id, 240) == "success"
        for theme in ("light", "dark"):
            page = browser.new_page()
            page.emulate_media(color_scheme=theme)
            page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
            page.goto(f"{run}/plugin/body-swaps-run")
            page.get_by_test_id("swap").first.wait_for(timeout=60_000)
            page.wait_for_function(PICTURES_THERE, arg="[data-testid=segmind-gallery] img", timeout=30_000)
            shown = page.get_by_test_id("segmind-gallery")
            names = sorted(each.get_attribute("aria-label") or "" for each in shown.get_by_role("article").all())
            assert names == ["at-home.png", "in-the-park.png", "nobody-there.png"]
            assert "Nobody in the photograph" in shown.inner_text()
            take(page, f"gallery-{theme}", tmp_path)
            page.close()


def test_the_review_of_a_batch_is_by_name_and_what_people_say_is_published_or_ordered_again(
    airflow: LocalAirflow, emulator: Emulator, bucket: Bucket, tmp_path: Path
) -> None:
    dag_id, charged = "body_swap_review", len(emulator.charges)
    scenes = dict(zip(("monday", "tuesday", "wednesday"), (samples.draw("scene", n) for n in (2, 0, 1)), strict=True))
    scenes["thursday"] = drawn().scenes["Nobody there"]
    for name, picture in {**scenes, "person": samples.draw("person", 3)}.items():
        bucket.put(f"looks/{name}.png", picture)
    rows = [("character_image", "reference_character_image")]
    rows += [(f"{ROOT}/looks/{name}.png", f"{ROOT}/looks/person.png") for name in scenes]
    bucket.put("looks/swaps.csv", "".join(f"{scene},{person}\n" for scene, person in rows).encode())
    airflow.wait_for_dag(dag_id)
    airflow.unpause(dag_id)
    run_id = airflow.trigger(dag_id)
    waits = ("awaiting_input", "deferred")
    airflow.wait_until("The review", lambda: airflow.task_state(dag_id, run_id, "review") in waits, 240)
    with launched() as browser:
        page = browser.new_page()
        page.goto(f"{airflow.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/review/plugin/body-swaps-task")
        shown = page.get_by_test_id("segmind-review")
        shown.get_by_role("article").first.wait_for(timeout=60_000)
        assert [one.get_attribute("aria-label") for one in shown.get_by_role("article").all()] == [
            f"{name}.png" for name in scenes
        ]
        assert "nobody in the photograph" in shown.get_by_role("article", name="thursday.png").inner_text()
        for name, verdict in (("monday", "Again"), ("tuesday", "Keep"), ("thursday", "Reject")):
            shown.get_by_role("article", name=f"{name}.png").get_by_label(verdict).click()
        page.wait_for_function(PICTURES_THERE, arg="[data-testid=segmind-review] img", timeout=30_000)
        shown.get_by_text("by Anonymous").nth(2).wait_for(timeout=30_000)
        take(page, "review", tmp_path)
        shown.get_by_role("button", name="Finish the review").click()
        shown.get_by_text("This review is finished").wait_for(timeout=30_000)
    assert airflow.wait_for_run(dag_id, run_id, 240) == "success"
    assert airflow.xcom(dag_id, run_id, "again")["completed"] == 1
    published = re.findall(r"Published: .*", airflow.task_log(dag_id, run_id, "publish"))
    assert [name for name in scenes if any(f"{name}.png" in line for line in published)] == ["tuesday", "wednesday"]
    assert len(emulator.charges) == charged + len(scenes) + 1
