"""Each claim of the page about security is held by a test that exists."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def test_each_claim_names_a_test_that_exists() -> None:
    tests = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and "| Test |" not in row and "---" not in row]
    claims = [row for row in rows if "`test_" in row]
    named = {name for row in claims for name in re.findall(r"`(test_\w+)`", row)}
    assert claims
    assert named <= tests, f"there are no such tests: {sorted(named - tests)}"


def test_each_table_of_claims_names_a_test_in_each_row() -> None:
    for table in PAGE.split("| Claim | Test |")[1:]:
        for row in table.split("\n\n")[0].splitlines()[2:]:
            assert "`test_" in row, row
