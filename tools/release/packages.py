"""The wheel and the sdist, and what is in them."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from tools.release.commands import run
from tools.release.findings import Finding, ReleaseError


@dataclass(frozen=True)
class Package:
    """
    A built file, read whole.

    :param kind: ``wheel`` or ``sdist``.
    :param path: the file.
    :param files: what is in it, by path; an sdist's without the folder that all of it is in.
    """

    kind: str
    path: Path
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def about(self) -> str:
        """The folder with what is said about a wheel, with a slash at its end; empty for an sdist."""
        folders = {name.partition("/")[0] for name in self.files if ".dist-info/" in name}
        return f"{min(folders)}/" if self.kind == "wheel" and folders else ""

    @property
    def metadata(self) -> Message:
        """Its metadata, which lacks everything if the file with it does."""
        name = f"{self.about}METADATA" if self.kind == "wheel" else "PKG-INFO"
        return BytesParser().parsebytes(self.files.get(name, b""))


def build(folder: Path, out: Path) -> tuple[Package, Package]:
    """
    Build the sdist, and the wheel from the sdist.

    :param folder: the sources.
    :param out: where the files go.
    :returns: the wheel and the sdist.
    :raises ReleaseError: it cannot be built.
    """
    remedy = "Run `python -m build` in a clean clone and put right what it says; pyproject.toml has [build-system]."
    run(sys.executable, "-m", "build", "--outdir", out, folder, cwd=out.parent, remedy=remedy)
    found = {kind: sorted(out.glob(pattern)) for kind, pattern in (("wheel", "*.whl"), ("sdist", "*.tar.gz"))}
    for kind, paths in found.items():
        if len(paths) != 1:
            names = ", ".join(path.name for path in paths) or "none"
            raise ReleaseError(f"not one {kind} was built: {names}", "Look at [tool.hatch.build] in pyproject.toml.")
    (wheel,), (sdist,) = found["wheel"], found["sdist"]
    return read(wheel), read(sdist)


def read(path: Path) -> Package:
    """
    Read a built file.

    :param path: a ``.whl`` or ``.tar.gz``.
    :returns: the wheel or the sdist.
    """
    if path.suffix == ".whl":
        return Package("wheel", path, _unzip(path))
    return Package("sdist", path, _untar(path))


def check_with_twine(packages: tuple[Package, ...]) -> list[Finding]:
    """
    Let twine say whether a package index would take the files, and render the README.

    :param packages: what was built.
    :returns: nothing; what twine objects to is raised.
    :raises ReleaseError: twine objects.
    """
    paths = [package.path for package in packages]
    remedy = "Put right [project] in pyproject.toml, or README.md, as twine says."
    run(sys.executable, "-m", "twine", "check", "--strict", *paths, cwd=paths[0].parent, remedy=remedy)
    return []


def _unzip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {entry.filename: packed.read(entry) for entry in packed.infolist() if not entry.is_dir()}


def _untar(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(path) as packed:
        for entry in packed.getmembers():
            content = packed.extractfile(entry) if entry.isfile() else None
            if content is not None:
                files[entry.name.partition("/")[2]] = content.read()
    return files
