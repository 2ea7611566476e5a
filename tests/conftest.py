"""
An Airflow home of the tests' own, set before anything imports Airflow, and one for each process of pytest-xdist.

Tests of one file run in one process, one after the other.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.metadata import SHARED

_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:
    os.environ[SHARED] = tempfile.mkdtemp(prefix="segmind-tests-")
_HOME = Path(tempfile.mkdtemp(prefix="home-", dir=os.environ[SHARED]))

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


_BEGUN_FIRST = ("one Airflow", "test_docs_tutorial.py", "test_plugin_browser.py")
"""The groups that take longest; whatever is begun last should be short."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, since they share its fixtures, and all that share a running Airflow."""
    for item in items:
        shares = "airflow" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group(_BEGUN_FIRST[0] if shares else item.path.name))
    places = {name: place for place, name in enumerate(_BEGUN_FIRST)}
    items.sort(key=lambda item: places.get(item.get_closest_marker("xdist_group").args[0], len(places)))


def pytest_unconfigure() -> None:
    """Leave nothing in the folder for temporary files."""
    if not _IS_WORKER:
        shutil.rmtree(os.environ[SHARED], ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Airflow 3.1 warns about deprecated names of its own, of SQLAlchemy and of universal_pathlib."""
    if version("apache-airflow").startswith("3.1."):
        for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning"):
            config.addinivalue_line("filterwarnings", f"ignore::{category}")
