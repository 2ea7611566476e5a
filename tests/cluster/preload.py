"""What docs/scaling.md advises: let the processes of tasks be forked from one that has imported the provider."""

from __future__ import annotations

from pathlib import Path

MODULES = tuple(f"airflow_provider_segmind.tasks.{name}" for name in ("batch", "swap", "wait"))


def preload(home: Path) -> None:
    """
    Let every component of an Airflow import the provider when it starts.

    :param home: the Airflow home.
    """
    config = home / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "airflow_local_settings.py").write_text("".join(f"import {module}\n" for module in MODULES))
