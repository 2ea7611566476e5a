"""What docs/releasing.md says of commands, files and numbers is so."""

from __future__ import annotations

import re

import pytest

from tools.environment import ROOT
from tools.release import LIMITS, NOT_SHIPPED

PAGE = (ROOT / "docs" / "releasing.md").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_target_that_it_names_is_in_the_makefile() -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.split() for line in block.strip().splitlines()]
    assert [line[0] for line in lines] == ["make", "make"]
    named = {target for line in lines for target in line[1:]} | set(re.findall(r"`make ([a-z-]+)", PAGE))
    assert named - TARGETS == set()


NAMED = set(re.findall(r"`([\w./-]+(?:/|\.md|\.py|\.toml))`", PAGE))


@pytest.mark.parametrize("name", sorted(NAMED - {"dist/", *NOT_SHIPPED}))
def test_every_file_and_folder_that_it_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_limits_are_those_of_the_check() -> None:
    wheel, sdist = (
        f"{LIMITS[suffix] / 1e6:.1f} MB for the {kind}" for suffix, kind in ((".whl", "wheel"), (".gz", "sdist"))
    )
    assert wheel in PAGE
    assert sdist in PAGE


def test_every_tool_that_is_used_has_a_line() -> None:
    used = re.findall(r'^        \("(\w+)"', (ROOT / "tools" / "release.py").read_text(), re.MULTILINE)
    assert len(used) == 3
    assert [tool for tool in used if not re.search(rf"^\* .*`{tool.replace('_', '-')}\b", PAGE, re.MULTILINE)] == []
