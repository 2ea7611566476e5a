"""A stored picture's name has the day of its run, also of a run that has no logical date."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_segmind.tasks.store import _times

RUN_AFTER = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "times"),
    [
        ({"dag_run": SimpleNamespace(run_after=RUN_AFTER)}, {"ds": "2031-05-06", "ts_nodash": "20310506T070809"}),
        (
            {"dag_run": SimpleNamespace(run_after=RUN_AFTER), "ds": "2031-01-01", "ts_nodash": "20310101T000000"},
            {"ds": "2031-01-01", "ts_nodash": "20310101T000000"},
        ),
        ({}, {"ds": None, "ts_nodash": None}),
    ],
    ids=["by hand", "by schedule", "outside of a run"],
)
def test_the_time_of_a_run_is_its_logical_date_or_when_it_was_to_run(
    more: dict[str, Any], times: dict[str, str | None]
) -> None:
    context: Any = {"ti": None, **more}
    assert _times(context) == times
