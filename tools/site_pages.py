"""MkDocs hook: the README, the changelog and the results become pages, and links out of ``docs/`` lead to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "readme.md", "CHANGELOG.md": "changelog.md", "benchmarks/results.md": "results.md"}
"""Files outside ``docs/`` by the page that each becomes."""
_LINK = re.compile(r"\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are kept elsewhere."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite links between the files of the repository to links between pages."""
    uri = page.file.src_uri
    kept = next((source for source, name in PAGES.items() if name == uri), f"docs/{uri}")
    up = "../" * uri.count("/")

    def link(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        if not target or ":" in target:
            return found[0]
        named = ((ROOT / kept).parent / target).resolve().relative_to(ROOT).as_posix()
        if named in PAGES:
            return f"]({up}{PAGES[named]}{anchor})"
        if named.startswith("docs/"):
            return f"]({up}{named.removeprefix('docs/')}{anchor})"
        return f"]({up}readme.md)"  # code and licence are in the repository, not on the site

    return _LINK.sub(link, markdown)
