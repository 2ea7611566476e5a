"""
What a DAG author may write for a parameter, checked when the DAG is parsed.

Scheduler and workers parse DAG files again and again, so this module imports nothing but the errors.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_provider_segmind.api.errors import InvalidRequestError

CONN_ID = "segmind_default"
"""Id of the Airflow connection that tasks use unless they name another."""
POLL_INTERVAL, TIMEOUT = 7.0, 3600.0
"""Default seconds between polls, and seconds that the wait for one job takes at most."""
MOST_SECONDS = 1e9
"""Largest seconds in a setting: some 30 years, which can still be added to a date."""
REUSE = ("auto", "etag", "never", "refresh")
PREPARE = ("auto", "never")
SHARES = ("upload", "sign")
UNKNOWN = ("fail", "resubmit")
REACTIONS = ("fail", "skip", "report")
"""What a check that did not pass does to its task."""


def check_one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    """
    Return a value that is one of a few.

    :raises InvalidRequestError: if the value is anything else.
    """
    if value in choices:
        return str(value)
    *first, last = map(repr, choices)
    raise InvalidRequestError(f"{name} is {value!r}: set it to {', '.join(first)} or {last}.")


def check_interval(name: str, value: object) -> float:
    """
    Return the seconds of a number or ``timedelta`` above 0.

    :raises InvalidRequestError: if the value is anything else.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= MOST_SECONDS:
        return float(seconds)
    raise InvalidRequestError(
        f"{name} is {value!r}: give seconds above 0, at most {MOST_SECONDS:.0f}, as a number or a timedelta."
    )


def check_outage(value: object) -> float | None:
    """
    Return ``max_outage`` in seconds; ``None`` means until the timeout.

    :raises InvalidRequestError: if the value is anything else.
    """
    return None if value is None else check_interval("max_outage", value)


def check_max_age(value: object) -> float | None:
    """Return ``reuse_max_age`` in seconds, or raise."""
    return None if value is None else check_interval("reuse_max_age", value)


def check_mode(mode: object) -> str | bool:
    """Return the value of ``end_in_trigger``, or raise if it is invalid."""
    if mode == "auto" or isinstance(mode, bool):
        return mode
    raise InvalidRequestError(f"end_in_trigger is {mode!r}: it must be 'auto', True or False.")


def check_failures(value: Any) -> float:
    """Return the value of ``max_failures`` as a float, or raise if it is neither a count nor a share."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and (0 <= value < 1 or (value >= 1 and float(value).is_integer())):
        return float(value)
    raise InvalidRequestError(
        f"max_failures is {value!r}: it must be a whole number of swaps, or a share of them below 1."
    )
