"""What is checked: the files that are committed, in a folder of their own."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tools.release.commands import run
from tools.release.findings import Finding

ROOT = Path(__file__).resolve().parents[2]
_NEEDS_GIT = "Run it in a git checkout, with git installed."


@dataclass(frozen=True)
class Sources:
    """
    A copy of the project without anything that is not part of it.

    :param folder: where it is.
    :param files: the paths in it, with slashes.
    """

    folder: Path
    files: frozenset[str]

    def read(self, name: str) -> str:
        """
        Return the text of a file.

        :param name: its path.
        :raises FileNotFoundError: there is none.
        """
        return (self.folder / name).read_text(encoding="utf-8")


def commit_of(root: Path) -> str:
    """
    Return the short id of the commit that is checked out.

    :param root: the checkout.
    :raises ReleaseError: it is none.
    """
    return run("git", "rev-parse", "--short", "HEAD", cwd=root, remedy=_NEEDS_GIT).strip()


def uncommitted(root: Path) -> list[Finding]:
    """
    Warn of changes that are not committed, since they are not checked.

    :param root: the checkout.
    :returns: one warning, or none.
    :raises ReleaseError: it is no checkout.
    """
    lines = run("git", "status", "--porcelain", cwd=root, remedy=_NEEDS_GIT).splitlines()
    if not lines:
        return []
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    what = f"not committed, so not checked: {', '.join(line[3:] for line in lines[:5])}{more}"
    return [Finding(what, "Commit what belongs to the release, and run this again.", blocks=False)]


def export(root: Path, folder: Path) -> Sources:
    """
    Copy what is committed, whatever else lies in the work tree.

    :param root: the checkout.
    :param folder: where to; it must not exist.
    :returns: the copy.
    :raises ReleaseError: git cannot do it.
    """
    archive = folder.with_suffix(".zip")
    run("git", "archive", "--format=zip", f"--output={archive}", "HEAD", cwd=root, remedy=_NEEDS_GIT)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    archive.unlink()
    files = (path for path in folder.rglob("*") if path.is_file())
    return Sources(folder, frozenset(path.relative_to(folder).as_posix() for path in files))


def listed(root: Path) -> list[str]:
    """
    Return the files of the project as they lie in a folder, without what git ignores.

    :param root: a checkout, or an unpacked sdist, which is none.
    :returns: paths with slashes; what is new and not ignored is among them.
    :raises ReleaseError: git cannot be run.
    """
    command = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if (root / ".git").exists():
        named = run("git", *command, cwd=root, remedy=_NEEDS_GIT)
    else:
        with tempfile.TemporaryDirectory() as empty:  # an index that knows no file yet
            run("git", "init", "--quiet", "--bare", empty, cwd=root, remedy=_NEEDS_GIT)
            named = run("git", f"--git-dir={empty}", "--work-tree=.", *command, cwd=root, remedy=_NEEDS_GIT)
    return sorted(name for name in named.split("\0") if name and (root / name).is_file())


def copied(root: Path, folder: Path) -> Sources:
    """
    Copy what :func:`listed` names, committed or not.

    :param root: a checkout or an unpacked sdist.
    :param folder: where to.
    :returns: the copy.
    """
    names = listed(root)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name)
    return Sources(folder, frozenset(names))
