"""The page of the service says what the doctor expects, and the hook does what the command does."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_segmind.doctor.expectations import beliefs, page
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.hooks.segmind import SegmindHook

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_service_is_made_of_the_expectations() -> None:
    text = (ROOT / "docs" / "service.md").read_text()
    assert text == page(), "run: python -m airflow_provider_segmind.doctor.expectations > docs/service.md"
    assert [one.name for one in beliefs() if f"| `{one.name}`: {one.says} |" not in text] == []


def test_the_hook_gives_the_page_and_orders_only_if_told(tmp_path, monkeypatch) -> None:
    with Emulator() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(emulator.airflow_connection()))
        said = SegmindHook().examine(str(tmp_path))
        assert said == (tmp_path / "report.md").read_text()
        assert "Versions: airflow-provider-segmind" in said
        assert emulator.charges == ()
        SegmindHook().examine(str(tmp_path), order=True)
        assert "COMPLETED" in SegmindHook().examine(str(tmp_path), order=True)
        assert len(emulator.charges) == 1
