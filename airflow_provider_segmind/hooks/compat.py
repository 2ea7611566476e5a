"""What has a different place, or is missing, in one of the Airflow versions that are supported."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout, XComNotFound
except ImportError:  # Airflow 3.1
    from airflow.exceptions import (  # type: ignore[no-redef]
        TaskDeferralError,
        TaskDeferralTimeout,
        XComNotFound,
    )

__all__ = [
    "AIRFLOW_V_3_3_PLUS",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "XComNotFound",
    "live_stats",
    "task_listeners",
]

_METRICS_ON = ("statsd_on", "otel_on", "statsd_datadog_enabled")
_TASK_HOOKS = ("success", "failed", "skipped", "running")


def task_listeners() -> list[str]:
    """Return the names of the plugins that listen to tasks, which Airflow calls on workers only."""
    try:
        from airflow.sdk.listener import get_listener_manager
    except ImportError:  # before Airflow 3.3
        return []
    hook = get_listener_manager().hook
    impls = [impl for name in _TASK_HOOKS for impl in getattr(hook, f"on_task_instance_{name}").get_hookimpls()]
    return sorted({impl.plugin_name for impl in impls})


def live_stats() -> Any:
    """
    Return Airflow's metrics, or ``None`` where they are off.

    A triggerer sets up the server's own metrics only. Those of the task SDK, which triggers may use, are set up there
    by the import of its serialization (``airflow.sdk.serde``, Airflow 3.2 and 3.3), before any trigger runs.
    """
    if not any(conf.getboolean("metrics", name, fallback=False) for name in _METRICS_ON):
        # Airflow 3.3 would read its whole list of metrics before it finds that nobody listens.
        return None
    from airflow.providers.common.compat.sdk import Stats

    return Stats
