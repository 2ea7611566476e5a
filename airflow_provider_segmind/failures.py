"""How a Segmind error ends an Airflow task: permanently, or according to its ``retries``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    OutcomeUnknownError,
    SegmindError,
)
from airflow_provider_segmind.compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)


class WrongSettingsError(AirflowFailException):
    """A person must correct a setting, so the task fails permanently and ``soft_fail`` does not hide it."""


class ChangedError(InvalidRequestError):
    """The inputs have changed since an earlier attempt ordered; every further attempt would meet the same error."""


def task_error(error: SegmindError) -> Exception:
    """Return the exception for a task that orders: permanent if a retry cannot help or would be billed."""
    # Its message says what to do; the frames of this package above it would only hide that. Raise it from None.
    return error.with_traceback(None) if error.retryable else AirflowFailException(f"{type(error).__name__}: {error}")


def paid_error(error: Exception, *, kept: bool, how: str) -> Exception:
    """
    Return the exception for a task that has placed an order: retryable if a retry can resume it, else permanent.

    :param kept: whether a retry knows the order, or may order again at any cost.
    :param how: what a person should do instead of a retry, as a sentence.
    """
    # After a payment, only errors of the order itself are permanent: its job is gone, its outcome is unknown, or the
    # inputs have changed. A wrong key, connection, balance or file can be corrected before the retries end, and a retry
    # costs nothing.
    of_the_order = isinstance(error, JobExpiredError | OutcomeUnknownError | ChangedError)
    if kept and isinstance(error, SegmindError) and not of_the_order:
        return error.with_traceback(None)
    ends = task_error(error) if isinstance(error, SegmindError) else error
    if kept or isinstance(ends, AirflowFailException):
        return ends
    said = f"{type(error).__name__}: {error}".rstrip(".")
    return AirflowFailException(
        f"{said}. What is ordered is paid for, and this Airflow keeps no record of it (3.3 and later do, and so does "
        f"[segmind] memory), so a retry would pay again. {how}"
    )


def sensor_error(error: SegmindError) -> Exception:
    """Return the exception for a task that waits."""
    # Permanent for a job that FAILED, because waiting again cannot help. A timeout becomes Airflow's own exception, so
    # that ``soft_fail`` applies.
    if isinstance(error, JobTimeoutError):
        return AirflowSensorTimeout(f"{type(error).__name__}: {error}")
    if not ends_a_sensor_for_good(error):
        return error.with_traceback(None)
    kind = AirflowFailException if is_of_the_job(error) else WrongSettingsError
    return kind(f"{type(error).__name__}: {error}")


def ends_a_sensor_for_good(error: SegmindError) -> bool:
    """Return whether a retry of a waiting task would fail again; Airflow does not retry a sensor's timeout either."""
    # A refused key is not permanent: it was valid for the order, and can be corrected before the retries end.
    if isinstance(error, AuthenticationError) and error.status is not None:
        return False
    return isinstance(error, JobTimeoutError | JobFailedError) or not error.retryable


def is_of_the_job(error: SegmindError) -> bool:
    """Return whether the job itself has no result, which ``soft_fail`` may skip."""
    # Any other permanent failure is a wrong key, connection or setting, or an account that cannot pay.
    return isinstance(error, JobTimeoutError | JobFailedError | JobExpiredError)


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
            raise _skip(error) from error
        raise


@contextmanager
def failing(task: Any) -> Iterator[None]:
    """
    Correct what Airflow's own loop skips.

    It skips every permanent failure, also a wrong setting; with ``never_fail`` all but a timeout that it sees itself.
    """
    try:
        yield
    except AirflowSensorTimeout as late:
        if task.never_fail:
            raise _skip(late) from late
        raise
    except AirflowSkipException as skip:
        error = skip.__cause__
        if isinstance(error, WrongSettingsError) and not task.never_fail:
            raise error from error.__cause__
        raise


def _skip(error: Exception) -> AirflowSkipException:
    return AirflowSkipException(f"Skipped instead of failed, as the task asks: {error}")
