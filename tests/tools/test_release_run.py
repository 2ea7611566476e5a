"""A release check that fails says so, ends with 1 and leaves nothing to upload."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.environment import ROOT


def test_what_cannot_be_built_is_not_released_and_nothing_older_is_left_to_upload(tmp_path: Path) -> None:
    for folder in ("tools", "demo"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").write_text("[project\n")
    (tmp_path / ".gitignore").write_text("dist/\n__pycache__/\n")
    git = ("git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "Broken")):
        subprocess.run([*git, *command], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "older.whl").write_text("")
    (tmp_path / "pyproject.toml").write_text("")

    env = {**os.environ, "TMPDIR": str(tmp_path.parent)}
    command = (sys.executable, "-m", "tools.release")
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1, done.stderr
    assert "not committed, so not checked: pyproject.toml" in done.stdout
    assert "FAILED  `python" in done.stdout
    assert "Run `python -m build` in a clean clone" in done.stdout
    assert "Not to be released; nothing is left in dist/." in done.stdout
    assert not (tmp_path / "dist").exists()
    assert list(tmp_path.parent.glob("release-check-*")) == []


def test_a_folder_without_git_is_no_release(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copytree(ROOT / "demo", tmp_path / "demo")
    command = (sys.executable, "-m", "tools.release")
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert "FAILED  `git status" in done.stdout
    assert "Run it in a git checkout" in done.stdout
