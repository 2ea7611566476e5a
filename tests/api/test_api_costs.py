"""What was paid for, what reuse saved and what was in vain, by day and DAG."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from airflow_provider_segmind.api.costs import REUSED, Facts, Row, costs_of, day_of, facts_of, only, read_facts
from airflow_provider_segmind.api.memory import KEPT
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import CLAIMED, DONE, FAILED, LOST, ORDERED, REJECTED, RELEASED, SwapRecord

NOON = 1_800_000_000.0
DAY = day_of(NOON)


def facts(state: str, dag_id: str = "looks", at: float = NOON, **changes: Any) -> Facts:
    return Facts(at, dag_id, state, **{"dollars": 0.25, **changes})


def shown(row: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if value}


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        (DONE, {"ordered": 1, "spent": 0.25}),
        (ORDERED, {"ordered": 1, "spent": 0.25}),
        (FAILED, {"ordered": 1, "spent": 0.25, "failed": 1, "wasted": 0.25}),
        (REJECTED, {"ordered": 1, "spent": 0.25, "replaced": 1, "wasted": 0.25}),
        (LOST, {"ordered": 1, "spent": 0.25, "lost": 1, "wasted": 0.25}),
        (CLAIMED, {"unknown": 1}),
        (REUSED, {"reused": 1, "saved": 0.25}),
        ("of a later version", {}),
    ],
)
def test_each_state_has_its_column(state: str, counted: dict[str, Any]) -> None:
    assert shown(costs_of([facts(state)], now=NOON, since="").total) == counted


def test_an_order_whose_picture_segmind_has_deleted_by_now_is_lost() -> None:
    late = costs_of([facts(ORDERED)], now=NOON + KEPT + 1, since="").total
    assert (late.lost, late.wasted) == (1, 0.25)


def test_rows_are_by_day_and_dag_newest_first_and_older_days_are_left_out() -> None:
    said = costs_of(
        [
            facts(DONE, "b"),
            facts(DONE, "a"),
            facts(DONE, "a"),
            facts(REUSED, "a", NOON - 86400, swaps=40, dollars=10.0),
            facts(DONE, "a", NOON - 3 * 86400),
        ],
        now=NOON,
        since=day_of(NOON - 86400),
        read=5,
        there=6,
    )
    assert [(row.day, row.dag_id, row.ordered, row.reused) for row in said.rows] == [
        (DAY, "a", 2, 0),
        (DAY, "b", 1, 0),
        (day_of(NOON - 86400), "a", 0, 40),
    ]
    assert (said.total.ordered, said.total.saved, said.read, said.there) == (3, 10.0, 5, 6)


def test_the_costs_of_some_dags_have_a_total_of_their_own() -> None:
    every = costs_of([facts(DONE, "a"), facts(FAILED, "b"), facts(FAILED, "c")], now=NOON, since="", read=3, there=3)
    some = only(every, {"a", "b", "d"})
    assert [row.dag_id for row in some.rows] == ["a", "b"]
    assert shown(some.total) == {"ordered": 2, "spent": 0.5, "failed": 1, "wasted": 0.25}
    assert (some.read, some.there) == (3, 3)


def test_an_order_says_its_dag_and_what_it_cost_and_one_that_was_refused_says_nothing() -> None:
    order = OrderRecord(NOON)
    record = SwapRecord("a" * 64, 1, order, DONE, {"dag_id": "looks"}, cost=0.3)
    assert facts_of(record) == Facts(NOON, "looks", DONE, 1, 0.3)
    assert facts_of(SwapRecord("a" * 64, 1, order, RELEASED)) is None


def test_an_order_that_was_given_up_without_a_request_is_unknown_and_in_no_sum() -> None:
    """A person cleared its task; it may never have been sent."""
    given_up = SwapRecord("a" * 64, 1, OrderRecord(NOON), LOST, cost=0.25)
    lost = SwapRecord("a" * 64, 2, OrderRecord(NOON, request_id="r1"), LOST, cost=0.25)
    said = [one for one in map(facts_of, (given_up, lost)) if one is not None]
    assert shown(costs_of(said, now=NOON, since="").total) == {
        "ordered": 1,
        "spent": 0.25,
        "lost": 1,
        "wasted": 0.25,
        "unknown": 1,
    }


def test_what_is_noted_is_read_again() -> None:
    noted = facts(REUSED, swaps=3)
    assert read_facts(noted.to_bytes()) == noted


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"version": 2}', b'{"version": 1}', b'{"version": 1, "at": [], "dag_id": 1, "state": 1}']
)
def test_what_cannot_be_read_is_no_fact(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_facts(data)
    broken = facts(DONE, at=1).to_bytes().replace(b'"at": 1', b'"at": []')
    with pytest.raises(ValueError):
        read_facts(broken)


@pytest.mark.parametrize("at", [-1.0, 1e300])
def test_a_time_that_cannot_be_one_is_the_first_day(at: float) -> None:
    assert day_of(at) == "1970-01-01"
