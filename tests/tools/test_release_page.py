"""What docs/releasing.md says of commands, files and numbers is so."""

from __future__ import annotations

import re

import pytest

from tools.release import contents
from tools.release.sources import ROOT

PAGE = (ROOT / "docs" / "releasing.md").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_target_that_it_names_is_in_the_makefile() -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.split() for line in block.strip().splitlines()]
    assert [line[0] for line in lines] == ["make", "make"]
    named = {target for line in lines for target in line[1:]} | set(re.findall(r"`make ([a-z-]+)", PAGE))
    assert named - TARGETS == set()


NAMED = set(re.findall(r"`([\w./-]+(?:/|\.md|\.py|\.toml))`", PAGE))


@pytest.mark.parametrize("name", sorted(NAMED - {"dist/", *contents.NOT_SHIPPED}))
def test_every_file_and_folder_that_it_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_limits_are_those_of_the_check() -> None:
    wheel, sdist = (f"{contents.LIMITS[kind] / 1e6:.1f} MB for the {kind}" for kind in ("wheel", "sdist"))
    assert wheel in PAGE
    assert sdist in PAGE


def test_every_step_has_a_line() -> None:
    titles = re.findall(r'report\.check\(\s*f"\{title\}: ([^"]+)"', (ROOT / "tools/release/__main__.py").read_text())
    assert len(titles) >= 10
    rows = " ".join(re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)).lower()
    assert [title for title in titles if title.removeprefix("no ").lower() not in rows] == []
