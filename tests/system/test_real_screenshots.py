"""What a person sees of the example pipeline as it ships; the documentation's pictures are taken here."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from demo.bucket import Bucket
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
        page = browser.new_page(viewport={"width": 1400, "height": 960})
        page.goto(f"{run}/tasks/{GROUP}.approve/mapped/0/required_actions")
        page.get_by_role("img", name="after", exact=True).wait_for(timeout=60_000)
        page.wait_for_function(PICTURES_THERE, arg="table img", timeout=30_000)
        assert page.get_by_text("Publish at-home.png?").first.is_visible()
        assert page.get_by_text("The checks found nothing.").is_visible()
        take(page, "approval", tmp_path)
        page.close()
        assert play(airflow, run_id, 240) == "success"
        for theme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1400, "height": 960}, color_scheme=theme)
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
