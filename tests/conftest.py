"""
An Airflow home of the tests' own, set before anything imports Airflow, and one for each process of pytest-xdist.

Tests of one file run in one process, one after the other.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
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
        # Of several threads that write, one may wait long for its turn on a busy machine.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}?timeout=60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
)


_OUTDATED = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
_OUTDATED = _OUTDATED if version("apache-airflow").startswith("3.1.") else ()
for _category in _OUTDATED:
    warnings.simplefilter("ignore", _category)  # for the conftest.py of a folder that is named on the command line

_ONE_AIRFLOW = "tests/system/"
_SECOND_AIRFLOW = tuple(f"tests/system/test_real_{name}.py" for name in ("logs", "pipeline", "screenshots"))
"""About half of what needs a running Airflow, by time, in another process and with an Airflow of its own."""
_FORKED = (
    "tests/plugin/test_plugin_browser.py",
    "tests/system/test_real_listener.py",
    "tests/docs/test_docs_readme.py",
    *(
        f"tests/provider/test_provider_{name}.py"
        for name in ("assets", "dag_run", "lineage", "metrics", "rules", "sensor_skips")
    ),
)
"""What else forks Airflow's commands: their parent imports Airflow for ten seconds, once in a process of pytest."""
_ONE_API = "tests/plugin/"
"""Importing Airflow's API takes a process six seconds."""
_ALONE = "tests/system/test_real_monitoring.py"
_BEGUN_FIRST = (
    _ONE_AIRFLOW,
    _SECOND_AIRFLOW[0],
    _FORKED[0],
    "tests/docs/test_docs_tutorial.py",
    "tests/emulator/test_emulator_browser.py",  # short: it waits behind the one long test of the tutorial
    _ONE_API,
    "tests/tools/test_release_built.py",
    "tests/system/test_real_monitoring.py",
    "tests/quality/test_quality_whole.py",
)
"""
The groups that take longest; whatever is begun last should be short.

A process gets its next group when it has two tests left, so what follows a group of one or two waits for it.
"""


class Groups(LoadScopeScheduling):
    """Keeps the tests of a file in one process, since they share its fixtures, and all that share a running Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """Return what a test belongs to."""
    path = nodeid.partition("::")[0]
    for files in (_SECOND_AIRFLOW, _FORKED):
        if path in files:
            return files[0]
    shared = (folder for folder in (_ONE_AIRFLOW, _ONE_API) if path.startswith(folder) and path != _ALONE)
    return next(shared, path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Share groups out; the groups of pytest-xdist 3.8 itself are lost on pytest 9.2."""
    return Groups(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two processes more than cores: many tests wait for processes of their own."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    places = {name: place for place, name in enumerate(_BEGUN_FIRST)}
    items.sort(key=lambda item: places.get(group(item.nodeid), len(places)))


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of each further search for garbage; it is half of what there is to search."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def masks_forgotten() -> Iterator[None]:
    """
    Let Airflow forget the secrets of a test.

    It compiles all secrets of a process into one pattern, anew with each. A task has a few, the tests have thousands.
    """
    yield
    for name in ("airflow.sdk._shared.secrets_masker", "airflow._shared.secrets_masker"):
        if masker := sys.modules.get(name):
            masker.reset_secrets_masker()


def pytest_unconfigure() -> None:
    """Leave nothing in the folder for temporary files."""
    if not _IS_WORKER:
        shutil.rmtree(os.environ[SHARED], ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Let Airflow 3.1 warn about deprecated names of its own, of SQLAlchemy and of universal_pathlib."""
    for category in _OUTDATED:
        config.addinivalue_line("filterwarnings", f"ignore::{category.__name__}")
