"""What is built from these files can be released, and installs into an empty environment where Airflow finds it."""

from __future__ import annotations

import shutil
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.listed import listed
from tools.environment import ROOT, CheckError, build
from tools.pins import install
from tools.release import check_tools, file_problems, project_problems

pytestmark = pytest.mark.slow

AIRFLOW = ".".join(version("apache-airflow").split(".")[:2])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files as they are here, committed or not."""
    folder = tmp_path_factory.mktemp("source")
    for name in listed(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(source, tmp_path_factory.mktemp("built") / "dist")


def test_nothing_in_the_wheel_or_the_sdist_stops_a_release(
    built: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    check_tools(built, source, tmp_path)
    assert [*project_problems(source), *(found for path in built for found in file_problems(path, source))] == []


def test_a_module_that_a_built_wheel_lacks_is_named(built: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    lacking = tmp_path / built[0].name
    with zipfile.ZipFile(built[0]) as whole, zipfile.ZipFile(lacking, "w") as packed:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith(".dist-info/RECORD"):  # the build would leave it out there, too
                content = b"".join(line for line in content.splitlines(True) if b"operators/batch.py" not in line)
            if not name.endswith("operators/batch.py"):
                packed.writestr(name, content)
    with pytest.raises(CheckError, match=r"airflow_provider_segmind/operators/batch\.py"):
        check_tools((lacking, built[1]), source, tmp_path)


def test_it_installs_into_an_empty_environment(built: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    """The wheel was built from the sdist, so that works, too."""
    pins = source / "constraints" / f"airflow-{AIRFLOW}.txt"
    assert f"apache-airflow {AIRFLOW}." in install(tmp_path / "empty", sys.executable, pins, built[0])
