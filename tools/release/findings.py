"""What the checks find, and the report of all steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Finding:
    """
    Something that is wrong with a release.

    :param what: what is wrong; it names the file, the option or the value.
    :param remedy: what to do about it.
    :param blocks: whether it must be put right before a release; otherwise it is a warning.
    """

    what: str
    remedy: str
    blocks: bool = True


class ReleaseError(Exception):
    """
    A step could not be carried out.

    :param what: what happened.
    :param remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.finding = Finding(what, remedy)


class Report:
    """All steps of a check: each is printed as it ends, and what they found once more at the end."""

    def __init__(self) -> None:
        self._found: list[tuple[str, Finding]] = []

    @property
    def blocking(self) -> list[Finding]:
        """What was found that stops a release."""
        return [finding for _, finding in self._found if finding.blocks]

    @property
    def blocked(self) -> bool:
        """Whether anything was found that stops a release."""
        return bool(self.blocking)

    def check(self, title: str, check: Callable[[], Sequence[Finding]]) -> None:
        """
        Carry out a step that looks for something wrong.

        :param title: what is checked.
        :param check: returns what is wrong.
        """
        started = time.monotonic()
        try:
            found = check()
        except ReleaseError as problem:
            found = [problem.finding]
        self._say(title, found, time.monotonic() - started)

    def make(self, title: str, make: Callable[[], _Made]) -> _Made | None:
        """
        Carry out a step that makes what later steps need.

        :param title: what is made.
        :param make: makes it.
        :returns: what it made; ``None`` if it could not.
        """
        started = time.monotonic()
        made, found = None, []
        try:
            made = make()
        except ReleaseError as problem:
            found = [problem.finding]
        self._say(title, found, time.monotonic() - started)
        return made

    def skip(self, title: str, reason: str) -> None:
        """
        Say that steps are not carried out; what stopped them is among the findings.

        :param title: what is left out.
        :param reason: why.
        """
        print(f"{'not run':>8}  {title}: {reason}", flush=True)

    def conclude(self) -> None:
        """Print everything that was found, with what to do about it."""
        for heading, blocks in (("Warnings, which stop nothing", False), ("To be put right before a release", True)):
            found = [(title, finding) for title, finding in self._found if finding.blocks is blocks]
            if found:
                print(f"\n{heading}:")
            for title, finding in found:
                print(f"\n* {title}: {finding.what}\n  -> {finding.remedy}")

    def _say(self, title: str, found: Sequence[Finding], seconds: float) -> None:
        result = "FAILED" if any(finding.blocks for finding in found) else "warning" if found else "ok"
        print(f"{result:>8}  {title} ({seconds:.1f} s)", flush=True)
        for finding in found:
            print(f"{'':10}{finding.what.partition(chr(10))[0]}", flush=True)
        self._found += [(title, finding) for finding in found]
