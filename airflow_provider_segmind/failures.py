"""How an error of Segmind ends an Airflow task: for good, or as its retries say."""

from __future__ import annotations

from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    OutcomeUnknownError,
    SegmindError,
)
from airflow_provider_segmind.compat import AirflowFailException, AirflowSensorTimeout


class WrongSettingsError(AirflowFailException):
    """A person must set something right, so the task fails for good and ``soft_fail`` does not hide it."""


class ChangedError(InvalidRequestError):
    """What a task is to order has changed since an earlier attempt ordered: another attempt meets the same."""


def task_error(error: SegmindError) -> Exception:
    """
    Return what a submitting task raises.

    Where a retry cannot help, or would bill, the task fails for good; otherwise its own ``retries`` decide.
    """
    return error if error.retryable else AirflowFailException(f"{type(error).__name__}: {error}")


def paid_error(error: Exception, *, kept: bool, how: str) -> Exception:
    """
    Return what a task raises that has ordered: a retry goes on with what is ordered, or there is none.

    Once something is paid for, only what concerns that itself ends the task for good: its job is gone, nobody knows
    whether there is one, or something else is wanted now. A key, a connection, a balance or a file that is wrong now
    can be set right while retries last, and a retry costs nothing.

    :param error: what went wrong since.
    :param kept: whether a retry knows what is ordered, or may order again whatever it costs.
    :param how: what a person does instead of a retry, in a sentence.
    """
    of_the_order = isinstance(error, JobExpiredError | OutcomeUnknownError | ChangedError)
    if kept and isinstance(error, SegmindError) and not of_the_order:
        return error
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
    if not ends_a_sensor_for_good(error):
        return error
    kind = AirflowFailException if is_of_the_job(error) else WrongSettingsError
    return kind(f"{type(error).__name__}: {error}")


def ends_a_sensor_for_good(error: SegmindError) -> bool:
    """
    Whether a waiting task that is tried again would fail again; Airflow, too, does not retry a sensor's timeout.

    A key that is refused now was right when the order was placed, and can be set right while retries last.
    """
    if isinstance(error, AuthenticationError) and error.status is not None:
        return False
    return isinstance(error, JobTimeoutError | JobFailedError) or not error.retryable


def is_of_the_job(error: SegmindError) -> bool:
    """
    Whether the job itself has no result, which ``soft_fail`` may skip.

    Any other failure for good is a wrong key, connection or setting, or an account that cannot pay.
    """
    return isinstance(error, JobTimeoutError | JobFailedError | JobExpiredError)
