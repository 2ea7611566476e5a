"""What depends on Airflow: on its version, and on its own settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from airflow import __version__
from airflow.sdk import BaseHook, Connection
from packaging.version import Version

try:
    from airflow.sdk.bases.decorator import determine_kwargs
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
        TaskDeferred,
        XComNotFound,
    )
except ImportError:  # Airflow 3.1
    from airflow.configuration import conf
    from airflow.exceptions import (  # type: ignore[attr-defined,no-redef]
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
        TaskDeferred,
        XComNotFound,
    )
    from airflow.utils.operator_helpers import determine_kwargs  # type: ignore[attr-defined]

__all__ = [
    "AIRFLOW_V_3_3_PLUS",
    "ALIAS_EXTRAS_NEST",
    "THREADS_MAY_ASK_AIRFLOW",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskDeferred",
    "XComNotFound",
    "async_connection",
    "conf",
    "determine_kwargs",
    "live_stats",
    "task_listeners",
]

_RELEASE = Version(__version__).release  # (3, 4, 0) for 3.4.0b2: a beta has the features of its release
AIRFLOW_V_3_3_PLUS = _RELEASE >= (3, 3)
THREADS_MAY_ASK_AIRFLOW = _RELEASE >= (3, 2)
"""Whether several threads of a task may ask its supervisor at the same time; before, one can get the other's answer."""
ALIAS_EXTRAS_NEST = _RELEASE >= (3, 1, 3)
"""Whether an alias' event may contain a dict; before, the API server fails when the task reports success."""

_OPERATORS = "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"
_METRICS_ON = ("statsd_on", "otel_on", "statsd_datadog_enabled")
_TASK_HOOKS = ("success", "failed", "skipped", "running")


async def async_connection(
    conn_id: str, source: type[BaseHook] = BaseHook, *, in_loop: bool = hasattr(Connection, "aextra_dejson")
) -> tuple[Connection, dict[str, Any]]:
    """
    Return a connection and its extras without blocking the event loop.

    :param source: the class that looks it up.
    :param in_loop: whether this Airflow can look it up in the event loop.
    """
    if in_loop:
        connection = await source.aget_connection(conn_id)
        return connection, await connection.aextra_dejson()

    from asgiref.sync import sync_to_async

    # Before Airflow 3.3.2, both calls mask secrets with a blocking call, which fails in the loop during another call.
    # Only from asgiref's thread can Airflow pass that call back to the loop.
    def look_up() -> tuple[Connection, dict[str, Any]]:
        connection = source.get_connection(conn_id)
        return connection, connection.extra_dejson

    return await sync_to_async(look_up)()


def task_listeners() -> list[str]:
    """Return the names of plugins that listen to task events, which Airflow calls only on workers."""
    try:
        from airflow.sdk.listener import get_listener_manager
    except ImportError:  # before Airflow 3.3
        return []
    hook = get_listener_manager().hook
    impls = [impl for name in _TASK_HOOKS for impl in getattr(hook, f"on_task_instance_{name}").get_hookimpls()]
    return sorted({impl.plugin_name for impl in impls})


def live_stats() -> Any:
    """Return Airflow's metrics, or ``None`` if they are off."""
    # A triggerer sets up only the server's own metrics. The import of the task SDK's serialization
    # (``airflow.sdk.serde``, Airflow 3.2 and 3.3) sets up the task SDK's metrics, which triggers may use, before any
    # trigger runs.
    if not any(conf.getboolean("metrics", name, fallback=False) for name in _METRICS_ON):
        # Otherwise Airflow 3.3 reads its whole list of metrics before it notices that metrics are off.
        return None
    try:
        from airflow.sdk.observability.stats import Stats
    except ImportError:  # Airflow 3.1
        from airflow.stats import Stats

    return Stats


def default_args_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merged ``default_args`` for a task created here: from its DAG, its task groups, and its own."""
    from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext

    dag = given.get("dag") or DagContext.get_current()
    group = given.get("task_group") or (TaskGroupContext.get_current(dag) if dag else None)
    merged = dict((dag.default_args if dag else None) or {})
    return {**merged, **((group.default_args if group else None) or {}), **(given.get("default_args") or {})}


def waits_deferred(deferrable: bool | None) -> bool:
    """
    Return whether a task waits in a triggerer.

    :param deferrable: the DAG author's choice; ``None`` for the administrator's, by default ``True``.
    """
    # Airflow ships ``[operators] default_deferrable = False`` in every new airflow.cfg, so the option in that file
    # shows no intention. As an environment variable, somebody set it on purpose.
    if deferrable is not None:
        return deferrable
    section = "operators" if _OPERATORS in os.environ else ""
    if conf.get("segmind", "default_deferrable", fallback=""):
        section = "segmind"
    return not section or bool(conf.getboolean(section, "default_deferrable"))


def task_id_of(poll_url: object) -> str | None:
    """Return the id of the task whose output ``poll_url`` is, or ``None`` for plain text."""
    operator = getattr(poll_url, "operator", None)
    return None if operator is None else str(operator.task_id)
