"""What docs/monitoring.md and the reference list is what the code tells, no more and no less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_segmind.observability import metrics
from tests.docs.pages import ROOT, made

PAGE = (ROOT / "docs" / "monitoring.md").read_text()
FACETS = json.loads(Path(metrics.__file__).with_name("facets.json").read_text())["$defs"]


def test_the_page_names_every_metric_and_no_other() -> None:
    names = {value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("segmind.")}
    assert len(names) == 7
    assert set(re.findall(r"`(segmind\.\w+)`", PAGE)) == names


@pytest.mark.parametrize("name", ["job", "batch"])
def test_every_field_of_a_facet_is_in_the_reference_and_no_other(name: str) -> None:
    fields = FACETS[f"Segmind{name.title()}RunFacet"]["allOf"][1]["properties"]
    table = made("reference/metrics.md").partition(f"\n## `segmind_{name}`\n")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)) == {
        field: about["description"] for field, about in fields.items()
    }
    assert f"`segmind_{name}`" in PAGE
