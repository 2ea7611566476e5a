"""The README and the pages below docs/, and the blocks of code in them."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple

from tools import site_reference
from tools.site_pages import LISTING, with_listings

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
SAID = "\n".join(with_listings(page.read_text(), page.parent) for page in PAGES)

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(f"{BLOCK.pattern}|{LISTING.pattern}", re.MULTILINE | re.DOTALL)


@functools.cache
def made(name: str) -> str:
    """Return a page that the site makes from the code."""
    return site_reference.PAGES[name]()


class Block(NamedTuple):
    """A fenced block of code, or the file that the site shows there, with the line at which it starts."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def dag_id(self) -> str | None:
        """The id of the DAG that it makes, if it makes one."""
        found = re.search(r"dag_id=\"(\w+)\"", self.code)
        return found[1] if found else None

    @property
    def is_test(self) -> bool:
        """Whether it is a module for pytest."""
        return "\ndef test_" in self.code


def blocks(language: str) -> list[Block]:
    """Return all blocks in a language, page by page."""
    return [
        Block(page, text.count("\n", 0, match.start()) + 2, match[1] or "python", match[2] or _listing(page, match[3]))
        for page, text in ((page, page.read_text()) for page in PAGES)
        for match in _CODE.finditer(text)
        if (match[1] or "python") == language
    ]


def _listing(page: Path, target: str) -> str:
    return (page.parent / target).read_text()


def shell_lines() -> list[tuple[str, str]]:
    """Return the commands in all blocks for a shell, each with where it stands; a line that goes on is one command."""
    return [
        (str(block), line)
        for block in blocks("bash")
        for line in block.code.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]
