"""Links between the README, docs/ and other files of the repository lead somewhere, on GitHub and on the site."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.docs.pages import BLOCK, PAGES, ROOT, made
from tools import site_pages, site_reference

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CHECKED = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "results.md"]


@pytest.mark.parametrize("page", _CHECKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_are_there(page: Path) -> None:
    assert broken(page, page.read_text()) == []


@pytest.mark.parametrize("name", site_reference.PAGES)
def test_links_of_a_generated_page_are_there(name: str) -> None:
    """It is on the site only, where the README is a page beside the others."""
    text = made(name).replace("](../readme.md", "](../../README.md")
    assert broken(ROOT / "docs" / name, text) == []


def test_every_example_is_on_the_site_where_links_lead_to_it() -> None:
    examples = site_pages.examples()
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/approval.md"))
    names = [path.name for path in (ROOT / "example_dags").glob("*.py")]
    assert len(names) >= 4
    for name in names:
        assert (ROOT / "example_dags" / name).read_text() in examples
        linked = site_pages.on_page_markdown(f"[a](../../example_dags/{name})", page, None, None)
        path, _, anchor = linked.removeprefix("[a](").removesuffix(")").partition("#")
        assert path == "../examples.md"
        assert anchor in anchors(examples)


def test_the_site_shows_a_listing_whole_where_the_page_links_to_it_and_no_other_link() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/batches.md"))
    code = (ROOT / "example_dags" / "swaps_in_parts.py").read_text()
    link = "[`swaps_in_parts.py`](../../example_dags/swaps_in_parts.py)"
    assert f"```python\n{code}```" in site_pages.on_page_markdown(f"Text.\n\n{link}\n\nMore.", page, None, None)
    assert "```" not in site_pages.on_page_markdown(f"Text about {link}.", page, None, None)
    assert [name for name in ("batches", "money", "approval", "testing") if not listings(name)] == []


def listings(name: str) -> list[str]:
    """Return the files that a how-to shows."""
    return site_pages.LISTING.findall((ROOT / "docs" / "how-to" / f"{name}.md").read_text())


@pytest.mark.parametrize(("source", "made"), site_reference.SOURCES.items())
def test_a_link_to_data_leads_to_the_page_that_shows_them(source: str, made: str) -> None:
    """On GitHub it leads to the data."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/approval.md"))
    linking = [page for page in PAGES if re.search(rf"\]\([./]*{re.escape(source)}\)", page.read_text())]
    assert linking
    made_from_docstrings = (ROOT / "docs" / made).exists()
    assert made_from_docstrings or made.partition("#")[0] in site_reference.PAGES
    assert site_pages.on_page_markdown(f"[a](../../{source})", page, None, None) == f"[a](../{made})"


def test_a_broken_link_is_noticed() -> None:
    page = ROOT / "docs" / "index.md"
    text = "# Here\n[a](#here) [b](#there) [c](none.md) [d](design.md#money) [e](design.md#none) [f](https://a.example)"
    assert broken(page, text) == ["#there", "none.md", "design.md#none"]


def broken(page: Path, text: str) -> list[str]:
    """Return the links of a page that lead to no file or heading."""
    found = []
    for target in _LINK.findall(BLOCK.sub("", text)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        if any(target.endswith(source) for source in site_reference.SOURCES if "#" in source):
            anchor = ""  # of the page on the site
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked.read_text() if path else text)):
            found.append(target)
    return found


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and the site give to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("html", "linked"),
    [
        (
            "a :class:<code>~some.module.Name</code>, of",
            'a <autoref optional identifier="some.module.Name"><code>Name</code></autoref>, of',
        ),
        (
            '<h2 id="some.module.Name">x</h2> :meth:<code>Name</code>',
            '<h2 id="some.module.Name">x</h2> '
            '<autoref optional identifier="some.module.Name"><code>Name</code></autoref>',
        ),
        (
            '<i id="a.Name"></i><i id="b.Name"></i> :func:<code>Name</code>',
            '<i id="a.Name"></i><i id="b.Name"></i> <code>Name</code>',
        ),
        ("plain <code>Name</code>: a colon", "plain <code>Name</code>: a colon"),
    ],
    ids=["with its module", "alone, on this page", "alone, of several", "no role"],
)
def test_a_role_of_sphinx_becomes_a_link_or_code(html: str, linked: str) -> None:
    assert site_pages.on_page_content(html, None, None, None) == linked
