"""What has a different place, or is missing, in one of the Airflow versions that are supported."""

from __future__ import annotations

import os
import sys
from typing import Any

from airflow.providers.common.compat.sdk import conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferralError, TaskDeferralTimeout  # type: ignore[no-redef]

__all__ = ["AIRFLOW_V_3_3_PLUS", "TaskDeferralError", "TaskDeferralTimeout", "ready_stats", "task_listeners"]

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


_METRICS_ON = ("statsd_on", "otel_on", "statsd_datadog_enabled")
_ready_in: int | None = None
"""The process whose metrics were looked at."""


def ready_stats() -> Any:
    """
    Return Airflow's metrics, ready to be used in this process, or ``None`` where they are off.

    From Airflow 3.2 on those of the task SDK are set up where a task runs. In a triggerer only the server's own are
    (``TriggererJobRunner._execute`` of 3.2.2 and 3.3.2), and the SDK's would drop everything without a word.
    """
    if not any(conf.getboolean("metrics", name, fallback=False) for name in _METRICS_ON):
        # Airflow 3.3 would read its whole list of metrics before it finds that nobody listens.
        return None
    global _ready_in
    from airflow.providers.common.compat.sdk import Stats

    if _ready_in != os.getpid():
        _ready_in = os.getpid()
        _set_up(Stats)
    return Stats


def _set_up(stats: Any) -> None:
    try:
        from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
    except ImportError:  # Airflow 3.1 does it itself
        return
    module = sys.modules[getattr(stats.incr, "__module__", "")] if AIRFLOW_V_3_3_PLUS else stats
    made = getattr(module, "_factory" if AIRFLOW_V_3_3_PLUS else "factory", None)
    if made is not None and made.__name__ != "NoStatsLogger":
        return
    if AIRFLOW_V_3_3_PLUS:
        legacy = conf.getboolean("metrics", "legacy_names_on", fallback=True)
        stats.initialize(factory=get_stats_factory(), export_legacy_names=legacy)
    else:
        stats.initialize(factory=get_stats_factory(stats))  # type: ignore[call-arg]
