"""Whether the wheel and the sdist hold what they should, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.release.findings import Finding
from tools.release.packages import Package
from tools.release.sources import Sources

PACKAGE = "airflow_provider_segmind"
LICENCES = ("LICENSE", "NOTICE")
NOT_SHIPPED = (".ci/",)
"""What is committed and needs not be in the sdist: it only checks commits."""
NEEDED = tuple(
    f"{PACKAGE}/{name}"
    for name in ("__init__.py", "py.typed", "get_provider_info.py", "plugin/__init__.py", "plugin/static/gallery.js")
)
"""What no wheel may lack, whatever is committed."""
LIMITS = {"wheel": 3_600_000, "sdist": 4_500_000}
"""
Bytes, a little above what 0.1.0 has: 3.4 MB and 4.1 MB, of which the three models are 3.0 MB. Every component of every
Airflow installs the wheel, so more is to be decided and not to slip in.
"""

_WHEEL_ABOUT = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", *(f"licenses/{name}" for name in LICENCES)}
_MODEL = re.compile(r"\.(tflite|onnx|task|pt|pth|pb|h5|safetensors|bin)$")
_LEFTOVER = re.compile(r"(^|/)(__pycache__|\.env|\.venv|\.git|\.DS_Store|[^/]+\.(py[cod]|egg-info|orig|rej|swp))(/|$)")
_TEST = re.compile(r"(^|/)(tests?|conftest\.py|test_[^/]+\.py)(/|$)")
_SHOWN_FILES = 5

DOCUMENTED_KEY = b"SG_0123456789abcdef"
"""The emulator's key, which opens nothing."""
_SECRETS: Mapping[str, re.Pattern[bytes]] = {
    "a key of Segmind": re.compile(rb"\bSG_[0-9a-f]{16,}\b"),
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{40})"),
    "a token of PyPI": re.compile(rb"\bpypi-[0-9A-Za-z_-]{40}"),
}


def check_files(package: Package, sources: Sources) -> list[Finding]:
    """
    Compare a built file with what is committed.

    :param package: the wheel or the sdist.
    :param sources: what it was built from.
    :returns: what is missing, additional or different.
    """
    wanted = _wanted(package, sources)
    own = {f"{package.about}{name}" for name in _WHEEL_ABOUT} if package.kind == "wheel" else {"PKG-INFO"}
    there = set(package.files)
    place = f"[tool.hatch.build.targets.{package.kind}] in pyproject.toml, and .gitignore"
    needed = set(NEEDED) if package.kind == "wheel" else set()
    missing = (wanted.keys() | own | needed) - there
    differing = [name for name in wanted if package.files.get(name) not in (None, wanted[name].read_bytes())]
    return [
        *_about(package, "lacks", missing, f"Commit it if it is new; look at {place}."),
        *_about(package, "has, though it is not committed,", there - wanted.keys() - own, f"Look at {place}."),
        *_about(package, "has with another content than is committed", differing, f"Look at {place}."),
    ]


def check_leftovers(package: Package) -> list[Finding]:
    """
    Look for what nobody wants in a release, even if it is committed.

    :param package: the wheel or the sdist.
    :returns: caches and remains of tools, and tests in a wheel.
    """
    remedy = "Delete it with `git rm`."
    found = _about(package, "has remains of tools:", filter(_LEFTOVER.search, package.files), remedy)
    if package.kind == "wheel":
        found += _about(package, "has tests:", filter(_TEST.search, package.files), "Move them to tests/.")
    return found


def check_secrets(package: Package) -> list[Finding]:
    """
    Look for what looks like a key or a token.

    :param package: the wheel or the sdist.
    :returns: one for each file and sort of secret; the secret itself is not repeated.
    """
    remedy = "Take it out, and withdraw it where it was issued: it is in the history of the repository."
    return [
        Finding(f"{package.path.name}: {name} has what looks like {sort}", remedy)
        for name, content in sorted(package.files.items())
        for sort, pattern in _SECRETS.items()
        if set(pattern.findall(content)) - {DOCUMENTED_KEY}
    ]


def check_licences(package: Package, sources: Sources) -> list[Finding]:
    """
    Look for the licence, the notice, and those of the models of others.

    :param package: the wheel or the sdist.
    :param sources: what it was built from.
    :returns: what is missing, or is not as committed.
    """
    folder = f"{package.about}licenses/" if package.kind == "wheel" else ""
    declared = package.metadata.get_all("License-File") or []
    found = []
    for name in LICENCES:
        if package.files.get(f"{folder}{name}") != (sources.folder / name).read_bytes():
            found.append(f"{folder}{name} is missing, or another one")
        if name not in declared:
            found.append(f"its metadata does not name License-File: {name}")
    remedy = "Keep the file in the root of the project, and in [project] license-files in pyproject.toml."
    return [
        *(Finding(f"{package.path.name}: {what}", remedy) for what in found),
        *_unlicensed_models(package, sources.read("NOTICE")),
    ]


def _unlicensed_models(package: Package, notice: str) -> list[Finding]:
    found = []
    for name in sorted(filter(_MODEL.search, package.files)):
        folder, _, model = name.rpartition("/")
        if model not in notice:
            found.append(Finding(f"{package.path.name}: {name} is not named in NOTICE", "Say there whose it is."))
        if f"{folder}/LICENSE" not in package.files:
            what = f"{package.path.name}: {name} has no LICENSE beside it"
            found.append(Finding(what, "Put the text of its licence into its folder."))
    return found


def check_size(package: Package) -> list[Finding]:
    """
    Compare a file's size with what was decided.

    :param package: the wheel or the sdist.
    :returns: that it is too large.
    """
    size, limit = package.path.stat().st_size, LIMITS[package.kind]
    if size <= limit:
        return []
    largest = sorted(package.files, key=lambda name: len(package.files[name]), reverse=True)[:3]
    what = f"{package.path.name} has {size:,} bytes, and {limit:,} are allowed; largest: {', '.join(largest)}"
    return [Finding(what, "Take out what nobody needs, or raise LIMITS in tools/release/contents.py and say why.")]


def _wanted(package: Package, sources: Sources) -> dict[str, Path]:
    """Return what should be in a built file, and which committed file it is."""
    if package.kind == "sdist":
        return {name: sources.folder / name for name in sources.files if not name.startswith(NOT_SHIPPED)}
    wanted = {name: sources.folder / name for name in sources.files if name.startswith(f"{PACKAGE}/")}
    examples = (name for name in sources.files if name.startswith("example_dags/"))
    return wanted | {f"{PACKAGE}/{name}": sources.folder / name for name in examples}


def _about(package: Package, verb: str, names: Iterable[str], remedy: str) -> list[Finding]:
    listed = sorted(names)
    if not listed:
        return []
    more = f" and {len(listed) - _SHOWN_FILES} more" if len(listed) > _SHOWN_FILES else ""
    return [Finding(f"{package.path.name} {verb} {', '.join(listed[:_SHOWN_FILES])}{more}", remedy)]
