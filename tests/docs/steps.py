"""What a page tells its reader to do, in order: files to save, commands to type, what is seen then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.docs.pages import BLOCK

_TERMINAL = re.compile(r"\*\*terminal (\d)\*\*")
_FILE = re.compile(r"Save this as `([^`]+)`")


@dataclass(frozen=True)
class Save:
    """
    A file to save.

    :param path: its name.
    :param text: what is in it.
    """

    path: str
    text: str


@dataclass(frozen=True)
class Type:
    """
    Commands to type.

    :param terminal: the number of the terminal.
    :param commands: the commands, one a line.
    :param seen: the lines that the page says one sees, if it says so.
    :param repeat: whether the last command is to be repeated until those are seen.
    """

    terminal: int
    commands: tuple[str, ...]
    seen: tuple[str, ...] = ()
    repeat: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """What is seen, as a regular expression: ``…`` is anything within a line, or lines that are left out."""
        return re.compile(r".*\n(?:.*\n)*?.*?".join(_line(line) for line in self.seen if line != "…"))


def _line(line: str) -> str:
    parts = re.split(r"(…|\s+)", line.strip("… "))
    return "".join(".*?" if part == "…" else r"[ \t]+" if part.isspace() else re.escape(part) for part in parts)


def read(page: str) -> Iterator[Save | Type]:
    """
    Yield the steps of a page.

    :param page: the page in Markdown.
    :raises ValueError: a block is none of these: a file, commands, or what is seen after commands.
    """
    terminal, end = 0, 0
    pending: Type | None = None
    for block in BLOCK.finditer(page):
        said, end = page[end : block.start()], block.end()
        language, text = block[1], block[2]
        if language == "text":
            if pending is None or said.strip():
                raise ValueError(f"This is seen after no command: {text!r}")
            yield replace(pending, seen=tuple(text.splitlines()))
            pending = None
            continue
        if pending:
            yield pending
            pending = None
        terminal = int(([str(terminal), *_TERMINAL.findall(said)])[-1])
        before = " ".join(said.rstrip().rpartition("\n\n")[2].split())
        file = _FILE.search(before)
        if file:
            yield Save(file[1], text)
        elif language == "bash":
            pending = Type(terminal, tuple(text.splitlines()), repeat="epeat this until" in before)
        else:
            raise ValueError(f"Nothing says what to do with this: {text!r}")
    if pending:
        yield pending
