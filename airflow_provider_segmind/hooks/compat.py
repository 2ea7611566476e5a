"""What has a different place, or is missing, in one of the Airflow versions that are supported."""

from __future__ import annotations

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferralError, TaskDeferralTimeout  # type: ignore[no-redef]

__all__ = ["TaskDeferralError", "TaskDeferralTimeout"]
