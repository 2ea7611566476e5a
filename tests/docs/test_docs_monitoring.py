"""What docs/monitoring.md lists is what the code tells, no more and no less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_segmind.observability import metrics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "monitoring.md").read_text()
FACETS = json.loads(Path(metrics.__file__).with_name("facets.json").read_text())["$defs"]


def rows(heading: str) -> set[str]:
    """Return the names in the first column of the first table after a heading or a sentence."""
    table = re.search(r"\n\n(\|.*?)\n\n", PAGE[PAGE.index(heading) :], re.DOTALL)
    assert table is not None
    lines = table[1].splitlines()[2:]
    return {name for line in lines for name in re.findall(r"`([\w.]+)`", line.split("|")[1])}


def test_every_metric_is_in_the_table_and_no_other() -> None:
    names = {value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("segmind.")}
    assert len(names) == 7
    assert rows("## Metrics") == names


@pytest.mark.parametrize("name", ["job", "batch"])
def test_every_field_of_a_facet_is_in_its_table_and_no_other(name: str) -> None:
    fields = set(FACETS[f"Segmind{name.title()}RunFacet"]["allOf"][1]["properties"])
    assert rows(f"The run facet `segmind_{name}`") == fields
