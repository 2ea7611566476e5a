"""The page of costs: of the DAGs that a user may read, made from the memory within seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.costs import REUSED, Facts, day_of
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import CLAIMED, DONE, FAILED, SwapRecord, swap_key
from airflow_provider_segmind.gallery import costs as page
from airflow_provider_segmind.memory import costs
from tests.plugin.world import World, swaps

Api = Callable[..., Any]


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configure a memory, and return its folder."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", f"{tmp_path}/memory")
    return tmp_path / "memory"


def order(memory: Path, dag_id: str, number: int = 0, state: str = DONE, age: float = 0.0) -> None:
    """Write an order of a DAG."""
    key = swap_key("s", "w", {"dag": dag_id, "number": number}, {})
    record = SwapRecord(key, 1, OrderRecord(time.time() - age), state, {"dag_id": dag_id}, cost=0.25)
    write(memory / record.name, record.to_bytes())


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def table(client: Any, **wanted: Any) -> list[list[str]]:
    """Return the cells of the page's table, without the head."""
    answer = client.get("/segmind/costs", params=wanted)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    lines = re.findall(r"<tr>(.*?)</tr>", answer.text)[1:]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in lines]


def test_a_user_sees_the_costs_of_the_dags_whose_data_it_may_read(api: Api, world: World, memory: Path) -> None:
    for dag_id in ("open_one", "closed_one"):
        world.swap({"request_id": "q"}, dag_id)
        order(memory, dag_id, 0)
        order(memory, dag_id, 1, FAILED)
        order(memory, dag_id, 2, CLAIMED)
    now = time.time()
    note = Facts(now, "open_one", REUSED, 3, 0.75)
    write(memory / f"reuses/{day_of(now)}/a.json", note.to_bytes())
    hers = ["2", "$0.50", "3", "$0.75", "1", "0", "0", "$0.25", "1"]
    for user in ("vera", "xena"):
        assert table(api(user)) == [[day_of(now), "open_one", *hers, ""], ["All", "", *hers, ""]]
    rows = table(api("admin"))
    assert [row[1] for row in rows] == ["closed_one", "open_one", ""]
    assert rows[-1][2:4] == ["4", "$1.00"]


@pytest.mark.skipif(version("apache-airflow").startswith("3.1."), reason="it logs no clear of a DAG without code")
def test_who_cleared_tasks_is_said_to_those_who_may_read_the_audit_log(api: Api, world: World, memory: Path) -> None:
    world.swap({"request_id": "q"}, "open_one")
    world.swap({"request_id": "q"}, "closed_one")
    order(memory, "open_one")
    order(memory, "closed_one")
    for dag_id in ("open_one", "open_one", "closed_one", "missing"):
        body = {"dry_run": False, "dag_run_id": "r1", "task_ids": ["swap"]}
        api("admin").post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)
        api("admin").post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json={**body, "dry_run": True})
    assert {row[1]: row[-1] for row in table(api("admin"))} == {"open_one": "admin 2", "closed_one": "admin 1", "": ""}
    assert [row[-1] for row in table(api("xena"))] == ["", ""]


def test_days_are_chosen(vera: Any, world: World, memory: Path) -> None:
    world.swap({"request_id": "q"}, "open_one")
    order(memory, "open_one", 0)
    order(memory, "open_one", 1, age=10 * 86400)
    assert table(vera, days=7)[-1][2] == "1"
    assert table(vera, days=30)[-1][2] == "2"
    for days in ("0", "9999", "many"):
        assert vera.get("/segmind/costs", params={"days": days}).status_code == 422


def test_without_orders_the_page_says_so(vera: Any, memory: Path) -> None:
    assert "Nothing was ordered or reused on these days" in vera.get("/segmind/costs").text


def test_without_a_memory_the_page_says_what_to_do(
    vera: Any, world: World, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert swaps(vera)["has_costs"] is True
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", "")
    answer = vera.get("/segmind/costs")
    assert answer.status_code == 503
    assert "[segmind] memory is empty. Ask your Airflow administrator" in answer.text
    assert swaps(vera)["has_costs"] is False


def test_what_cannot_be_read_in_time_is_said_and_is_there_later(
    vera: Any, world: World, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.swap({"request_id": "q"}, "open_one")
    for number in range(50):
        order(memory, "open_one", number)
    monkeypatch.setattr(costs, "READERS", 1)
    monkeypatch.setattr(costs, "MAX_KNOWN", 20)
    said = vera.get("/segmind/costs").text
    assert "These are not all orders yet" in said
    monkeypatch.setattr(costs, "MAX_KNOWN", 1000)
    assert table(vera)[-1][2] == "50"
    assert "These are not all" not in vera.get("/segmind/costs").text


def test_markup_in_the_memory_is_only_text(api: Api, world: World, memory: Path) -> None:
    write(
        memory / f"reuses/{day_of(time.time())}/a.json",
        Facts(time.time(), "<img src=x onerror=alert(1)>", REUSED, 1, 0.25).to_bytes(),
    )
    answer = api("admin").get("/segmind/costs")
    assert "<img" not in answer.text
    assert "script" not in answer.text.lower()
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_table_of_very_many_lines_is_cut_and_says_so(
    vera: Any, world: World, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_ROWS", 3)
    world.swap({"request_id": "q"}, "open_one")
    for day in range(5):
        order(memory, "open_one", day, age=day * 86400)
    rows = table(vera)
    assert (len(rows), rows[-1][2]) == (4, "5")
    assert "The newest 3 lines are shown; the sum is of all." in vera.get("/segmind/costs").text
