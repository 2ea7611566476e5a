"""``benchmarks/results.md``: one marked section for each benchmark, so that each is renewed without the others."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")
HEAD = "# Results\n\nWritten by `make bench`. Read the ratios: they were measured side by side.\n"
PACKAGES = ("apache-airflow", "apache-airflow-providers-http", "aiohttp", "requests", "segmind", "uvloop")


@dataclass(frozen=True)
class Goal:
    """
    One goal, and what became of it.

    :param what: what is measured.
    :param goal: what was aimed for.
    :param measured: what came out.
    :param met: whether that is enough; ``None`` if it was not measured.
    """

    what: str
    goal: str
    measured: str
    met: bool | None


def machine() -> str:
    """Return one line about where the figures come from."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    cpu = model[1] if model else platform.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{cpu}, {os.cpu_count()} cores, Linux, Python {platform.python_version()}; {packages}."


def load() -> str:
    """Return how many processes wanted a core in the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def goals_table(goals: Iterable[Goal]) -> str:
    """Return goals as a table in Markdown."""
    return table(
        ("what", "goal", "measured", "met"),
        [(goal.what, goal.goal, goal.measured, {True: "yes", False: "**no**", None: "-"}[goal.met]) for goal in goals],
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return a median with the least and the greatest value."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def write(name: str, text: str, path: Path = RESULTS) -> None:
    """Put a section in place of the one of the same name, or at the end."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    old = path.read_text(encoding="utf-8") if path.exists() else HEAD
    if begin in old:
        head, rest = old.split(begin, 1)
        new = head + section + rest.split(end, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{section}\n"
    path.write_text(new, encoding="utf-8")
