"""The page of the service says what the doctor expects, and the hook does what the command does."""

from __future__ import annotations

import json
import re

from airflow.sdk.execution_time.context import set_current_context

from airflow_provider_segmind.api.models import KNOWN_EXTRAS
from airflow_provider_segmind.doctor.report import beliefs
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.get_provider_info import get_provider_info
from airflow_provider_segmind.hooks.segmind import SegmindHook
from tests.provider.running import TaskInstance, context
from tools import site_reference


def test_the_page_of_the_service_is_made_of_the_expectations() -> None:
    text = site_reference.PAGES["service.md"]()
    assert [one.name for one in beliefs() if f"| `{one.name}`: {one.says} |" not in text] == []


def test_each_setting_that_is_advised_exists() -> None:
    said = " ".join(text for one in beliefs() for text in (one.otherwise, *one.follows.values()))
    options = get_provider_info()["config"]["segmind"]["options"]
    assert set(re.findall(r"\[segmind\] (\w+)", said)) <= options.keys()
    named = set(re.findall(r"`(\w+)`(?: \([\w ]+\))?(?: to `?[\w{}-]+`?)? in the connection", said))
    assert named == {"auth_scheme", "requests_per_minute", "timeout", "trusted_hosts"} <= KNOWN_EXTRAS


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


def test_a_retry_without_the_record_of_its_first_try_orders_nothing(tmp_path, monkeypatch) -> None:
    with Emulator() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(emulator.airflow_connection()))
        with set_current_context(context(TaskInstance(try_number=2))):
            assert "Nothing was ordered" in SegmindHook().examine(str(tmp_path / "elsewhere"), order=True)
        assert emulator.charges == ()
        with set_current_context(context(TaskInstance(try_number=1))):
            SegmindHook().examine(str(tmp_path / "shared"), order=True)
        with set_current_context(context(TaskInstance(try_number=2))):
            assert "COMPLETED" in SegmindHook().examine(str(tmp_path / "shared"), order=True)
        assert len(emulator.charges) == 1
