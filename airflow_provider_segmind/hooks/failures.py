"""How an error of Segmind ends an Airflow task: for good, or as its retries say."""

from __future__ import annotations

from airflow_provider_segmind.api.errors import JobFailedError, JobTimeoutError, SegmindError
from airflow_provider_segmind.hooks.compat import AirflowFailException, AirflowSensorTimeout


def task_error(error: SegmindError) -> Exception:
    """
    Return what a submitting task raises.

    Where a retry cannot help, or would bill, the task fails for good; otherwise its own ``retries`` decide.
    """
    return error if error.retryable else AirflowFailException(f"{type(error).__name__}: {error}")


def paid_error(error: Exception, *, kept: bool, how: str) -> Exception:
    """
    Return what a task raises that has ordered: a retry goes on with what is ordered, or there is none.

    :param error: what went wrong since.
    :param kept: whether a retry knows what is ordered, or may order again whatever it costs.
    :param how: what a person does instead of a retry, in a sentence.
    """
    ends = task_error(error) if isinstance(error, SegmindError) else error
    if kept or isinstance(ends, AirflowFailException):
        return ends
    said = f"{type(error).__name__}: {error}".rstrip(".")
    return AirflowFailException(
        f"{said}. What is ordered is paid for, and this Airflow keeps no record of it (3.3 and later do), so a retry "
        f"would pay again. {how}"
    )


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
