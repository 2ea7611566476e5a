"""A listener, as a lineage plugin has one: it notes which tasks it saw succeed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


class Lineage:
    """Leaves a file for each task that succeeded."""

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Note the task."""
        Path(os.environ["AIRFLOW_HOME"], f"seen-{task_instance.task_id}").touch()


class LineagePlugin(AirflowPlugin):
    """Brings the listener."""

    name = "lineage"
    listeners = [Lineage()]  # noqa: RUF012 - Airflow's own way to declare it
