"""Sensor failures that become skips: ``soft_fail`` hides a job without a result, but never a wrong setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_segmind.compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_segmind.failures import WrongSettingsError


@contextmanager
def skipping(task: Any) -> Iterator[None]:
    """Turn failures of a deferrable sensor into skips, as Airflow's own loop does in poke and reschedule mode."""
    try:
        yield
    except AirflowSkipException:
        raise
    except Exception as error:
        ended = isinstance(error, (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException))
        hidden = task.soft_fail and ended and not isinstance(error, WrongSettingsError)
        if task.never_fail or hidden:
            raise AirflowSkipException(f"Skipped instead of failed, as the task asks: {error}") from error
        raise


@contextmanager
def failing(task: Any) -> Iterator[None]:
    """Fail for a wrong setting that Airflow's own loop has skipped; it skips every permanent failure."""
    try:
        yield
    except AirflowSkipException as skip:
        error = skip.__cause__
        if isinstance(error, WrongSettingsError) and not task.never_fail:
            raise error from error.__cause__
        raise
