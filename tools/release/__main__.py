"""All steps of ``make release-check``, in turn."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from tools.release import contents, environments, metadata, packages, smoke, sources
from tools.release.environments import Installed
from tools.release.findings import Report
from tools.release.packages import Package
from tools.release.sources import ROOT, Sources

DIST = ROOT / "dist"


def main() -> int:
    """
    Check what is committed, and keep the built files if nothing is wrong.

    :returns: the exit code: 1 if anything stops a release.
    """
    started = time.monotonic()
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="release-check-"))
    try:
        built = _check(report, folder)
        report.conclude()
        print(f"\n{time.monotonic() - started:.0f} s.", end=" ")
        if report.blocked or built is None:
            print("Not to be released; nothing is left in dist/.")
            return 1
        _keep(built)
        return 0
    finally:
        if os.environ.get("KEEP") == "1":
            print(f"Left there, as KEEP=1 asks: {folder}")
        else:
            shutil.rmtree(folder)


def _check(report: Report, folder: Path) -> tuple[Package, ...] | None:
    shutil.rmtree(DIST, ignore_errors=True)  # what was checked earlier is not what is checked now
    commit = report.make("a commit", lambda: sources.commit_of(ROOT))
    if commit is None:
        return None
    report.check("nothing but what is committed", lambda: sources.uncommitted(ROOT))
    project = report.make(f"a copy of {commit}", lambda: sources.export(ROOT, folder / "source"))
    if project is None:
        return None
    built = report.make("wheel and sdist", lambda: packages.build(project.folder, folder / "dist"))
    if built is None:
        report.skip("everything else", "there is nothing to look at")
        return None
    report.check("twine check --strict", lambda: packages.check_with_twine(built))
    report.check("changelog: a date", lambda: metadata.check_date(project))
    for package in built:
        check_package(report, package, project)
    for airflow in dict.fromkeys(metadata.supported_airflows(project)):
        for package in built:
            _check_installed(report, package, airflow, project, folder / f"{package.kind}-{airflow}")
    return built


def check_package(report: Report, package: Package, project: Sources) -> None:
    """
    Carry out all checks of a built file that need no installation.

    :param report: where what they find goes.
    :param package: the wheel or the sdist.
    :param project: what it was built from.
    """
    title = package.kind
    report.check(f"{title}: files", lambda: contents.check_files(package, project))
    report.check(f"{title}: no leftovers", lambda: contents.check_leftovers(package))
    report.check(f"{title}: no secrets", lambda: contents.check_secrets(package))
    report.check(f"{title}: licences", lambda: contents.check_licences(package, project))
    report.check(f"{title}: size", lambda: contents.check_size(package))
    report.check(f"{title}: version", lambda: metadata.check_version(package, project))
    report.check(f"{title}: Python", lambda: metadata.check_python(package, project))
    report.check(f"{title}: Airflow", lambda: metadata.check_airflow(package, project))
    if package.kind == "wheel":
        report.check(f"{title}: entry points", lambda: metadata.check_entry_points(package, project))


def _check_installed(report: Report, package: Package, airflow: str, project: Sources, folder: Path) -> None:
    title = f"{package.kind}, Airflow {airflow}"
    made = report.make(f"{title}: install", lambda: environments.install(package, airflow, project, folder))
    if made is None:
        report.skip(f"{title}: everything else", "it is not installed")
        return
    installed: Installed = made
    report.check(f"{title}: pip check", lambda: environments.check_requirements(installed))
    report.check(f"{title}: imports", lambda: environments.check_imports(installed))
    report.check(f"{title}: Airflow's commands", lambda: environments.check_commands(installed))
    report.check(f"{title}: a swap", lambda: smoke.check_smoke(installed, project))


def _keep(built: tuple[Package, ...]) -> None:
    DIST.mkdir()
    print("dist/ has exactly what was checked:")
    for package in built:
        shutil.copy2(package.path, DIST)
        digest = hashlib.sha256(package.path.read_bytes()).hexdigest()
        print(f"  {package.path.name}  {package.path.stat().st_size:,} bytes  sha256 {digest}")


if __name__ == "__main__":
    raise SystemExit(main())
