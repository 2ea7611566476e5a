"""The file of results, in which each benchmark renews a section of its own."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")


def write_section(name: str, text: str, path: Path = RESULTS) -> None:
    """
    Put a section into the results, in the place of an earlier one or at the end.

    :param name: the benchmark, as in ``make bench-NAME``.
    :param text: the section, ending in a newline.
    """
    begin, end = f"<!-- {name}: written by make bench-{name} -->", f"<!-- {name}: end -->"
    marked = f"{begin}\n{text}{end}\n"
    before = path.read_text() if path.exists() else "# Results\n\n"
    old = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n", re.DOTALL)
    after = old.sub(lambda _: marked, before) if old.search(before) else f"{before.rstrip()}\n\n{marked}"
    path.write_text(after)
