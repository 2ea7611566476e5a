"""An Airflow home of the tests' own, set before anything imports Airflow."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

_HOME = Path(tempfile.mkdtemp(prefix="segmind-tests-"))

os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).resolve().parents[1] / "example_dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
)


def pytest_configure(config: pytest.Config) -> None:
    """Airflow 3.1 warns about deprecated names of its own, of SQLAlchemy and of universal_pathlib."""
    if version("apache-airflow").startswith("3.1."):
        for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning"):
            config.addinivalue_line("filterwarnings", f"ignore::{category}")
