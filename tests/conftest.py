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
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

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


_ONE_AIRFLOW = "tests/system/"
_OWN_AIRFLOW = ("tests/system/test_real_listener.py", "tests/system/test_real_monitoring.py")
_BEGUN_FIRST = (_ONE_AIRFLOW, "tests/docs/test_docs_tutorial.py", "tests/plugin/test_plugin_browser.py")
"""The groups that take longest; whatever is begun last should be short."""


class Groups(LoadScopeScheduling):
    """Keeps the tests of a file in one process, since they share its fixtures, and all that share a running Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """Return what a test belongs to."""
    path = nodeid.partition("::")[0]
    return _ONE_AIRFLOW if path.startswith(_ONE_AIRFLOW) and path not in _OWN_AIRFLOW else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Share groups out; the groups of pytest-xdist 3.8 itself are lost on pytest 9.2."""
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    places = {name: place for place, name in enumerate(_BEGUN_FIRST)}
    items.sort(key=lambda item: places.get(group(item.nodeid), len(places)))


def pytest_unconfigure() -> None:
    """Leave nothing in the folder for temporary files."""
    if not _IS_WORKER:
        shutil.rmtree(os.environ[SHARED], ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Airflow 3.1 warns about deprecated names of its own, of SQLAlchemy and of universal_pathlib."""
    if version("apache-airflow").startswith("3.1."):
        for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning"):
            config.addinivalue_line("filterwarnings", f"ignore::{category}")
