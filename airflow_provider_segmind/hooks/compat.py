"""What has a different place, or is missing, in one of the Airflow versions that are supported."""

from __future__ import annotations

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferralError, TaskDeferralTimeout  # type: ignore[no-redef]

__all__ = ["AIRFLOW_V_3_3_PLUS", "TaskDeferralError", "TaskDeferralTimeout", "task_listeners"]

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
