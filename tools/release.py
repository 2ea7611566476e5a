"""``make release-check``: whether what is committed can be released. Only what was tried is left in ``dist/``."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from tools.environment import ROOT, CheckError, build, run, working_folder
from tools.pins import install
from tools.smoke import PACKAGE

DIST = ROOT / "dist"
NOT_SHIPPED = (".ci/",)
"""What is committed and needs not be in the sdist: it only checks commits."""
LIMITS = {".whl": 3_900_000, ".gz": 6_000_000}
"""
Bytes, a little above what 0.1.0 has: 3.8 MB and 5.8 MB, of which the three models are 3.0 MB. Every component of every
Airflow installs the wheel, so more is to be decided and not to slip in.
"""
DOCUMENTED_KEY = b"SG_0123456789abcdef"
"""The emulator's key, which opens nothing."""
_SECRETS = {
    "a key of Segmind": re.compile(rb"\bSG_[0-9a-f]{16,}\b"),
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{40})"),
    "a token of PyPI": re.compile(rb"\bpypi-[0-9A-Za-z_-]{40}"),
}
_SECTION = re.compile(r"^## (?P<version>\S+)(?: \((?P<date>[^)]*)\))?$", re.MULTILINE)


def main() -> int:
    """Check what is committed, keep the built files if nothing is wrong, and return the exit code."""
    started = time.monotonic()
    shutil.rmtree(DIST, ignore_errors=True)  # what was checked earlier is not what is checked now
    try:
        with working_folder("release-check-") as folder:
            built = _check(folder)
            DIST.mkdir()
            print(f"\n{time.monotonic() - started:.0f} s. dist/ has exactly what was checked:")
            for path in built:
                shutil.copy2(path, DIST)
                content = path.read_bytes()
                print(f"  {path.name}  {len(content):,} bytes  sha256 {hashlib.sha256(content).hexdigest()}")
    except CheckError as problem:
        print(f"FAILED  {problem}\n\nNot to be released; nothing is left in dist/.")
        return 1
    return 0


def _check(folder: Path) -> tuple[Path, Path]:
    source = folder / "source"
    if changed := _git("status", "--porcelain").splitlines():
        print(f"Warning: not committed, so not checked: {_some([line[3:] for line in changed])}")
    _git("archive", "--format=zip", f"--output={folder / 'source.zip'}", "HEAD")
    shutil.unpack_archive(folder / "source.zip", source)
    say(f"build of {_git('rev-parse', '--short', 'HEAD').strip()}")
    built = build(source, folder / "dist")
    say("metadata and contents")
    check_tools(built, source, folder)
    if problems := [*project_problems(source), *(found for path in built for found in file_problems(path, source))]:
        raise CheckError("\n        ".join(problems))
    airflows = supported_airflows(source)
    for airflow in dict.fromkeys((airflows[0], airflows[-1])):
        for path in built:
            say(f"{path.name} with Airflow {airflow}: install, pip check, imports, Airflow's commands, a swap")
            place, pins = folder / f"{path.suffix[1:]}-{airflow}", source / "constraints" / f"airflow-{airflow}.txt"
            say(install(place, sys.executable, pins, path))
    return built


def _git(*arguments: str) -> str:
    return run("git", *arguments, cwd=ROOT, remedy="Run it in a git checkout, with git installed.")


def check_tools(built: tuple[Path, Path], source: Path, folder: Path) -> None:
    """Let ``validate-pyproject``, ``twine`` and ``check-wheel-contents`` say what is wrong with built files."""
    remedy = "Correct pyproject.toml, README.md or .gitignore as it says."
    package = folder / "expected" / PACKAGE  # the wheel's tree: the package, with the example DAGs in it
    shutil.copytree(source / PACKAGE, package)
    shutil.copytree(source / "example_dags", package / "example_dags")
    for command in (
        ("validate_pyproject", source / "pyproject.toml"),
        ("twine", "check", "--strict", *built),
        ("check_wheel_contents", "--no-config", "--package", package, built[0]),
    ):
        run(sys.executable, "-m", *command, cwd=folder, remedy=remedy)


def project_problems(source: Path) -> Iterator[str]:
    """Compare the version with the newest section of the changelog; warn if that has no day yet."""
    version = re.findall(r'^__version__ = "(.+)"$', (source / PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    section = _SECTION.search((source / "CHANGELOG.md").read_text())
    if section is None or [section["version"]] != version:
        newest = section["version"] if section else "none"
        yield f"__version__ is {version}, but CHANGELOG.md begins with {newest}: write the same version there."
    elif not re.fullmatch(r"\d{4}-\d{2}-\d{2}", section["date"] or ""):
        print(f"Warning: CHANGELOG.md says `{section[0][3:]}`; a release needs its day there: `(2026-01-31)`.")


def file_problems(path: Path, source: Path) -> Iterator[str]:
    """Name what an sdist lacks or should not have, and what looks like a key in it or in a wheel."""
    files = contents(path)
    if path.suffix != ".whl":  # what is in a wheel is looked at by check-wheel-contents
        committed = {found.relative_to(source).as_posix() for found in source.rglob("*") if found.is_file()}
        shipped = {name for name in committed if not name.startswith(NOT_SHIPPED)}
        for verb, names in (("lacks", shipped - files.keys()), ("has", files.keys() - shipped - {"PKG-INFO"})):
            if names:
                yield f"{path.name} {verb} {_some(names)}: look at [tool.hatch.build] in pyproject.toml."
    for licence in ("LICENSE", "NOTICE"):
        if not {licence, f"licenses/{licence}"} & {name.partition(".dist-info/")[2] or name for name in files}:
            yield f"{path.name} lacks {licence}: keep it in the root of the project, and in license-files."
    for name, content in files.items():
        for sort, pattern in _SECRETS.items():
            if set(pattern.findall(content)) - {DOCUMENTED_KEY}:
                yield f"{path.name}: {name} has what looks like {sort}: take it out, and revoke it."
    if (size := path.stat().st_size) > (limit := LIMITS[path.suffix]):
        yield f"{path.name} has {size:,} bytes, and {limit:,} are allowed: take something out, or raise LIMITS."


def contents(path: Path) -> Mapping[str, bytes]:
    """Return all files of a wheel, or of an sdist without the folder that all of it is in."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {entry.filename: wheel.read(entry) for entry in wheel.infolist() if not entry.is_dir()}
    with tarfile.open(path) as sdist:
        entries = ((entry.name.partition("/")[2], sdist.extractfile(entry)) for entry in sdist if entry.isfile())
        return {name: file.read() for name, file in entries if file}


def supported_airflows(source: Path) -> list[str]:
    """Return the versions of Airflow that there are constraints for, such as ``3.1``, oldest first."""
    found = [path.stem.removeprefix("airflow-") for path in (source / "constraints").glob("airflow-*.txt")]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def say(step: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {step}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
