"""What an administrator or an author can set or meet is named somewhere in the README or in docs/."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_segmind.api.errors import BY_NAME
from airflow_provider_segmind.decorators.body_swap import _BodySwapDecoratedOperator
from airflow_provider_segmind.get_provider_info import get_provider_info
from airflow_provider_segmind.hooks import metrics

ROOT = Path(__file__).resolve().parents[2]
SAID = "\n".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def _names() -> Iterator[str]:
    info = get_provider_info()
    for connection in info["connection-types"]:
        yield from connection["conn-fields"]
    for section in info["config"].values():
        yield from section["options"]
    yield from BY_NAME
    yield from (value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("segmind."))
    yield from (f"@task.{decorator['name']}" for decorator in info["task-decorators"])
    own = {"python_callable", "op_args", "op_kwargs"}  # what @task itself fills in
    for name, parameter in inspect.signature(_BodySwapDecoratedOperator.__init__).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and name not in own:
            yield name


@pytest.mark.parametrize("name", sorted(set(_names())))
def test_a_name_is_documented(name: str) -> None:
    assert re.search(rf"`(?:\[segmind\] )?{re.escape(name)}\b", SAID)


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages - set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)) == set()
