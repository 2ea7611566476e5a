"""What is built from these files can be released, and installs into an empty environment where Airflow finds it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from tools.release import contents, environments, packages
from tools.release.__main__ import check_package
from tools.release.findings import Report
from tools.release.packages import Package
from tools.release.sources import ROOT, Sources, copied

pytestmark = pytest.mark.slow

AIRFLOW = ".".join(version("apache-airflow").split(".")[:2])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return copied(ROOT, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def built(project: Sources, tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    return packages.build(project.folder, tmp_path_factory.mktemp("dist"))


def test_nothing_in_the_wheel_or_the_sdist_stops_a_release(built: tuple[Package, Package], project: Sources) -> None:
    report = Report()
    report.check("twine check --strict", lambda: packages.check_with_twine(built))
    for package in built:
        check_package(report, package, project)
    assert [finding.what for finding in report.blocking] == []


def test_a_module_that_a_built_wheel_lacks_is_named(built: tuple[Package, Package], project: Sources) -> None:
    files = {name: content for name, content in built[0].files.items() if not name.endswith("operators/batch.py")}
    (finding,) = contents.check_files(Package("wheel", built[0].path, files), project)
    assert finding.what.endswith(" lacks airflow_provider_segmind/operators/batch.py")


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_installs_into_an_empty_environment(
    kind: str, built: tuple[Package, Package], project: Sources, tmp_path: Path
) -> None:
    (package,) = [package for package in built if package.kind == kind]
    installed = environments.install(package, AIRFLOW, project, tmp_path / "empty")
    assert environments.check_requirements(installed) == []
    assert environments.check_imports(installed) == []
    assert environments.check_commands(installed) == []
