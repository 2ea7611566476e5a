"""How an error of Segmind ends an Airflow task: for good, or as its retries say."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_segmind.api.errors import JobFailedError, JobTimeoutError, SegmindError


def task_error(error: SegmindError) -> Exception:
    """
    Return what a submitting task raises.

    Where a retry cannot help, or would bill, the task fails for good; otherwise its own ``retries`` decide.
    """
    return error if error.retryable else AirflowFailException(f"{type(error).__name__}: {error}")


def sensor_error(error: SegmindError) -> Exception:
    """
    Return what a waiting task raises.

    Waiting again for a job that FAILED cannot help either; a timeout is Airflow's own kind, so that ``soft_fail``
    applies.
    """
    if isinstance(error, JobTimeoutError):
        return AirflowSensorTimeout(f"{type(error).__name__}: {error}")
    return AirflowFailException(f"{type(error).__name__}: {error}") if ends_a_sensor_for_good(error) else error


def ends_a_sensor_for_good(error: SegmindError) -> bool:
    """Whether a waiting task that is tried again would fail again; Airflow, too, does not retry a sensor's timeout."""
    return isinstance(error, JobTimeoutError | JobFailedError) or not error.retryable
