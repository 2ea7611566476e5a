"""The files of the project, whether the tests run in a checkout or in an unpacked sdist."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path


def listed(root: Path) -> list[str]:
    """Return the paths of the files in a folder without those that git ignores; what is new is among them."""
    command = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    with tempfile.TemporaryDirectory() as empty:
        where: tuple[str, ...] = ()
        if not (root / ".git").exists():  # then an index that knows no file yet
            subprocess.run(["git", "init", "--quiet", "--bare", empty], check=True)
            where = (f"--git-dir={empty}", "--work-tree=.")
        done = subprocess.run(["git", *where, *command], cwd=root, check=True, capture_output=True, text=True)
    return sorted(name for name in done.stdout.split("\0") if name and (root / name).is_file())
