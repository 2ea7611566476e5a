"""
MkDocs hook: the README, the changelog, the results and the example DAGs become pages, to which links are rewritten.

What docstrings write as Sphinx's roles becomes a link, since mkdocstrings knows only Markdown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tools import site_reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "readme.md", "CHANGELOG.md": "changelog.md", "benchmarks/results.md": "results.md"}
"""Files outside ``docs/`` by the page that each becomes."""
EXAMPLES = "examples.md"
LISTING = re.compile(r"^\[`[^`\n]+`\]\((\S+\.py)\)$", re.MULTILINE)
"""A line that is only a link to a Python file: the site shows the file there."""
_LINK = re.compile(r"\]\(([^)\s#]*)(#[^)\s]*)?\)")
# In a page's content, Markdown has left a role as its name and a <code>.
_ROLE = re.compile(r":[a-z]+:<code>(~?)([^<]*)</code>")
_ID = re.compile(r'\bid="([\w.]+)"')


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are kept elsewhere, or made from the code."""
    from mkdocs.structure.files import File  # tests of what is below need no MkDocs

    pages = {page: (ROOT / source).read_text() for source, page in PAGES.items()} | {EXAMPLES: examples()}
    pages |= {page: make() for page, make in site_reference.PAGES.items()}
    for page, content in pages.items():
        files.append(File.generated(config, page, content=content))
    return files


def examples() -> str:
    """Return a page with the code of all example DAGs, each under a heading."""
    files = sorted((ROOT / "example_dags").glob("*.py"))
    shown = [f"## `{file.name}`\n\n```python\n{file.read_text()}```\n" for file in files]
    said = "# Example DAGs\n\nWhat each is for, and needs, is said at its beginning. All are run by tests.\n"
    return "\n".join([said, *shown])


def with_listings(markdown: str, folder: Path) -> str:
    """Return a page of this folder with the code of each listing below its link."""
    return LISTING.sub(lambda found: f"{found[0]}\n\n```python\n{(folder / found[1]).read_text()}```", markdown)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Show listings, and rewrite links between the files of the repository to links between pages."""
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
        if named + anchor in site_reference.SOURCES:
            return f"]({up}{site_reference.SOURCES[named + anchor]})"
        if named.startswith("docs/"):
            return f"]({up}{named.removeprefix('docs/')}{anchor})"
        if named.startswith("example_dags"):
            heading = f"#{Path(named).name.replace('.', '')}" if named.endswith(".py") else ""
            return f"]({up}{EXAMPLES}{heading})"
        return f"]({up}readme.md)"  # other code and the licence are in the repository, not on the site

    return _LINK.sub(link, with_listings(markdown, (ROOT / kept).parent))


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Replace each role of Sphinx by the name that it holds, linked by mkdocs-autorefs where the site describes it."""
    anchors = _ID.findall(html)

    def reference(found: re.Match[str]) -> str:
        short, name = found[1], found[2]
        here = sorted({anchor for anchor in anchors if anchor.endswith(f".{name}")})
        target = here[0] if len(here) == 1 else name
        code = f"<code>{name.rpartition('.')[2] if short else name}</code>"
        return f'<autoref optional identifier="{target}">{code}</autoref>' if "." in target else code

    return _ROLE.sub(reference, html)
