"""A small project of its own, with the wheel and sdist that would be built from it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.release import file_problems
from tools.smoke import PACKAGE

WHEEL, SDIST = f"{PACKAGE}-1.2.0-py3-none-any.whl", f"{PACKAGE}-1.2.0.tar.gz"
PROJECT = {
    f"{PACKAGE}/__init__.py": '__version__ = "1.2.0"\n',
    ".ci/run": "make test\n",
    "CHANGELOG.md": "# Changelog\n\n## 1.2.0 (2026-01-31)\n\n## 1.1.0 (2025-12-01)\n",
    "LICENSE": "Apache\n",
    "Makefile": "test:\n",
    "NOTICE": "",
    "tests/test_it.py": "",
}
ABOUT = f"{PACKAGE}-1.2.0.dist-info"
SHIPPED = {f"{PACKAGE}/__init__.py": "", f"{ABOUT}/licenses/LICENSE": "", f"{ABOUT}/licenses/NOTICE": ""}
Changes = Mapping[str, str | None]
"""What files have instead, or ``None`` for those that are left out."""


def project(folder: Path, changes: Changes | None = None) -> Path:
    """Write the project into a folder and return it."""
    for name, text in (PROJECT | dict(changes or {})).items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


def wheel_problems(folder: Path, changes: Changes | None = None) -> list[str]:
    """Return what is wrong with a wheel."""
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in (SHIPPED | dict(changes or {})).items():
            if text is not None:
                packed.writestr(name, text)
    return list(file_problems(path, project(folder / "source")))


def sdist_problems(folder: Path, changes: Changes | None = None) -> list[str]:
    """Return what is wrong with an sdist."""
    path = folder / SDIST
    files = {**PROJECT, ".ci/run": None, "PKG-INFO": "Metadata-Version: 2.4\n", **(changes or {})}
    with tarfile.open(path, "w:gz") as packed:
        for name, text in files.items():
            if text is not None:
                entry = tarfile.TarInfo(f"{PACKAGE}-1.2.0/{name}")
                entry.size = len(text.encode())
                packed.addfile(entry, io.BytesIO(text.encode()))
    return list(file_problems(path, project(folder / "source")))


BOTH = pytest.mark.parametrize(("name", "problems"), [(WHEEL, wheel_problems), (SDIST, sdist_problems)])
