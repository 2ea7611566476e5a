"""Whatever a service answers, the triggerer lives, every wait ends, and the job beside it is not disturbed."""

from __future__ import annotations

import pytest

from airflow_provider_segmind.emulator import Emulator
from demo.local_airflow import LocalAirflow
from tests import hostile

pytestmark = pytest.mark.slow


def test_no_answer_ends_the_triggerer_or_leaves_a_task_behind(airflow: LocalAirflow, emulator: Emulator) -> None:
    before = emulator.settings
    try:
        hostile.play(airflow, emulator, airflow.metadata)
    finally:
        emulator.clear_faults()
        emulator.set(job_seconds=before.job_seconds, job_polls=before.job_polls)
