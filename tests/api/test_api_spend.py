"""What a day may cost is never passed, however many tasks reserve at once, and what was not sent is given back."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from airflow_provider_segmind.api import spend
from airflow_provider_segmind.api.errors import CreditsError, InvalidRequestError
from airflow_provider_segmind.api.memory import Create
from airflow_provider_segmind.api.spend import Budget, OnRecord, Spender
from tests.api.objects import Objects

TODAY, TOMORROW = "2026-11-29", "2026-11-30"
ACCOUNT = Budget("connection 'segmind_default'", "max_spend_per_day", 10.0)
DAG = Budget("DAG 'looks'", "max_spend_per_day_and_dag", 6.0)
NOTHING = OnRecord()


def task(name: str = "a", attempt: int = 1) -> Spender:
    return Spender({"task_id": name}, attempt)


def reserve(
    who: Spender, more: int, known: OnRecord = NOTHING, *, day: str = TODAY, budgets: Any = (ACCOUNT,), **how: Any
) -> Any:
    return spend.reserve(who, budgets, known, more=more, price=1.0, day=day, **how)


def spent(objects: Objects, budget: Budget = ACCOUNT, day: str = TODAY) -> float:
    total: float = objects.run(spend.spent(budget, day))
    return total


def test_an_order_that_the_day_cannot_pay_for_is_refused_and_reserves_nothing() -> None:
    objects = Objects()
    assert spent(objects) == 0
    objects.run(reserve(task("a"), 8))
    with pytest.raises(CreditsError) as refused:
        objects.run(reserve(task("b"), 3))
    assert str(refused.value) == (
        "3 swaps at $1 cost $3.00. On 2026-11-29 (UTC), $8.00 are spent or reserved for connection 'segmind_default', "
        "and [segmind] max_spend_per_day is $10.00. Nothing was ordered now. Wait for the next day, order fewer swaps, "
        "or ask your Airflow administrator to raise the limit. Then clear the task."
    )
    objects.run(reserve(task("b"), 2))
    assert spent(objects) == 10


def test_each_day_begins_at_nothing() -> None:
    objects = Objects()
    objects.run(reserve(task("a"), 10))
    objects.run(reserve(task("b"), 10, day=TOMORROW))
    assert spent(objects) == spent(objects, day=TOMORROW) == 10


def test_of_two_budgets_none_is_charged_if_one_refuses() -> None:
    objects = Objects()
    both = (ACCOUNT, DAG)
    objects.run(reserve(task("a"), 4, budgets=both))
    with pytest.raises(CreditsError, match=r"for DAG 'looks', and \[segmind\] max_spend_per_day_and_dag is \$6\.00"):
        objects.run(reserve(task("b"), 3, budgets=both))
    assert (spent(objects, ACCOUNT), spent(objects, DAG)) == (4, 4)


@pytest.mark.parametrize("seed", range(50))
def test_twenty_tasks_at_once_never_pass_the_limit_and_use_all_of_it(seed: int) -> None:
    objects = Objects()
    said = objects.interleave((reserve(task(str(n)), 1, budgets=(ACCOUNT, DAG)) for n in range(20)), seed)
    # One that met an entry of another, who was refused by the second budget, may be refused as well.
    passed = said.count(None)
    assert passed == spent(objects, DAG) <= 6
    assert spent(objects, ACCOUNT) == passed
    alone = Objects()
    said = alone.interleave((reserve(task(str(n)), 1) for n in range(20)), seed)
    assert said.count(None) == spent(alone) == 10
    log = [name for name in alone if "held" not in name and "newest" not in name]
    assert sorted(int(name.rpartition("/")[2].split(".")[0]) for name in log) == list(range(1, 11))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_given_back_while_others_reserve_is_counted_once(seed: int) -> None:
    objects = Objects()
    for number in range(5):
        objects.run(reserve(task(f"refused {number}"), 2))
    back = [spend.give_back(task(f"refused {number}"), NOTHING) for number in range(5)]
    said = objects.interleave([*back, *(reserve(task(str(n)), 1) for n in range(12))], seed)
    assert spent(objects) == said[5:].count(None) <= 10


def test_a_retry_goes_on_with_what_a_killed_worker_reserved() -> None:
    objects = Objects()
    objects.run(reserve(task(), 9))
    objects.run(reserve(task(attempt=2), 6, OnRecord(orders=3)))
    assert spent(objects) == 9
    objects.run(reserve(task(attempt=3), 1, OnRecord(orders=9)))  # one of its jobs FAILED
    assert spent(objects) == 10


def test_a_limit_that_was_lowered_stops_a_retry_as_well() -> None:
    objects = Objects()
    objects.run(reserve(task(), 9))
    lower = Budget(ACCOUNT.of, ACCOUNT.setting, 5.0)
    with pytest.raises(CreditsError, match=r"\$3\.00 are spent.*let the task retry"):
        objects.run(reserve(task(attempt=2), 6, OnRecord(orders=3), budgets=(lower,)))
    objects.run(spend.give_back(task(attempt=2), OnRecord(orders=3)))
    assert spent(objects) == 3


def test_what_a_retry_orders_on_the_next_day_counts_there() -> None:
    objects = Objects()
    objects.run(reserve(task(), 9))
    objects.run(reserve(task(attempt=2), 6, OnRecord(orders=3), day=TOMORROW))
    assert (spent(objects), spent(objects, day=TOMORROW)) == (3, 6)
    objects.run(reserve(task(attempt=3), 1, OnRecord(orders=9), day="2026-12-01"))
    assert (spent(objects), spent(objects, day=TOMORROW)) == (3, 6)


def test_a_cleared_batch_goes_on_with_the_money_of_the_batch_before() -> None:
    objects = Objects()
    objects.run(reserve(task(), 9, OnRecord("first")))
    objects.run(reserve(task(attempt=2), 6, OnRecord("second", 0, ("first", 3))))
    assert spent(objects) == 9
    objects.run(reserve(task(attempt=3), 1, OnRecord("fourth", 0, ("third", 0))))  # of which nobody knows what it sent
    assert spent(objects) == 10


def test_what_was_not_sent_is_given_back_once() -> None:
    objects = Objects()
    objects.run(spend.give_back(task(), NOTHING))
    assert not objects
    objects.run(reserve(task(), 5, budgets=(ACCOUNT, DAG)))
    for _ in range(2):
        objects.run(spend.give_back(task(), OnRecord(orders=2)))
        assert (spent(objects, ACCOUNT), spent(objects, DAG)) == (2, 2)


def test_an_attempt_gives_nothing_back_that_a_later_one_goes_on_with() -> None:
    objects = Objects()
    objects.run(reserve(task(), 5))
    objects.run(reserve(task(attempt=2), 5))
    objects.run(spend.give_back(task(attempt=1), NOTHING))
    assert spent(objects) == 5


@pytest.mark.parametrize("crash", range(1, 16))
def test_a_crash_leaves_too_much_reserved_and_never_too_little(crash: int) -> None:
    objects = Objects()
    objects.run(reserve(task(), 3, budgets=(ACCOUNT, DAG)), crash=crash)
    objects.run(reserve(task(attempt=2), 3, budgets=(ACCOUNT, DAG)))
    assert spent(objects, ACCOUNT) in (3, 6)
    assert spent(objects, DAG) in (3, 6)
    objects.run(spend.give_back(task(attempt=3), OnRecord(orders=1)), crash=crash)
    assert spent(objects, ACCOUNT) >= 1
    assert spent(objects, DAG) >= 1


@pytest.mark.parametrize("crash", range(1, 16))
def test_an_attempt_that_is_killed_again_and_again_gives_nothing_back_twice(crash: int) -> None:
    """Another has spent 6 of the day's 10; a batch of 4 finds 3 of its swaps in the memory meanwhile."""
    objects = Objects()
    other = Budget("DAG 'other'", "max_spend_per_day_and_dag", 6.0)
    objects.run(reserve(task("other"), 6, budgets=(ACCOUNT, other)))
    objects.run(reserve(task(), 4, budgets=(ACCOUNT, DAG)))
    for attempt in range(2, 6):
        objects.run(reserve(task(attempt=attempt), 1, budgets=(ACCOUNT, DAG)), crash=crash)
        assert spent(objects) >= 7
        assert spent(objects, DAG) >= 1
    objects.run(reserve(task(attempt=6), 1, budgets=(ACCOUNT, DAG)))
    objects.run(spend.give_back(task(attempt=6), OnRecord(orders=1)))
    assert 7 <= spent(objects) <= 10
    assert 1 <= spent(objects, DAG) <= 4


@pytest.mark.parametrize("crash", range(1, 16))
def test_what_was_held_yesterday_is_given_back_there_once_and_never_today(crash: int) -> None:
    objects = Objects()
    objects.run(reserve(task("other"), 6))
    objects.run(reserve(task(), 4))
    objects.run(reserve(task("third"), 10, day=TOMORROW))
    for attempt in range(2, 5):
        steps = reserve(task(attempt=attempt), 1, day=TOMORROW)
        with contextlib.suppress(CreditsError):
            objects.run(steps, crash=crash)
        objects.run(spend.give_back(task(attempt=attempt), NOTHING), crash=crash)
        assert spent(objects) >= 6
        assert spent(objects, day=TOMORROW) == 10


def test_a_batch_that_is_refused_today_gives_yesterdays_money_back_once() -> None:
    objects = Objects()
    objects.run(reserve(task(), 8))
    for attempt in (2, 3, 4):
        with pytest.raises(CreditsError):
            objects.run(reserve(task(attempt=attempt), 400, OnRecord(orders=3), day=TOMORROW))
        assert (spent(objects), spent(objects, day=TOMORROW)) == (3, 0)


def test_a_price_that_has_changed_is_what_is_held_from_then_on() -> None:
    objects = Objects()
    objects.run(reserve(task(), 4))
    objects.run(spend.reserve(task(attempt=2), (ACCOUNT,), NOTHING, more=4, price=0.5, day=TODAY))
    assert spent(objects) == 2
    objects.run(spend.reserve(task(attempt=3), (ACCOUNT,), NOTHING, more=2, price=2.0, day=TODAY))
    assert spent(objects) == 4
    objects.run(spend.give_back(task(attempt=3), NOTHING))
    assert spent(objects) == 0


def test_a_storage_that_loses_its_own_answer_counts_once() -> None:
    objects = Objects(lose_answers=True)
    objects.run(reserve(task(), 3))
    assert spent(objects) == 3


def test_the_newest_of_a_thousand_entries_is_found_with_few_reads() -> None:
    objects = Objects()
    plenty = Budget(ACCOUNT.of, ACCOUNT.setting, 1e6)
    for number in range(1000):
        objects.run(reserve(task(str(number)), 1, budgets=(plenty,)))
    objects.asked.clear()
    assert spent(objects) == 1000
    assert len(objects.asked) == 3
    (hint,) = (name for name in objects if name.endswith("newest"))
    for wrong in (b"", b"999999", b"soon", b"1" * 20, b"500", b"1"):
        objects[hint] = wrong
        objects.asked.clear()
        assert spent(objects) == 1000
        assert len(objects.asked) <= 23


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b'{"version": 2, "total": 1}',
        b'{"version": 1, "total": true}',
        b'{"version": 1}',
        b'{"version": 1, "series": "", "orders": "many", "price": 1, "logs": [], "attempt": 1}',
    ],
)
def test_a_damaged_object_is_named_and_stops_the_order(data: bytes) -> None:
    objects = Objects()
    objects.run(reserve(task(), 1))
    for name in [name for name in objects if not name.endswith("newest")]:
        damaged = Objects({**objects, name: data})
        with pytest.raises(InvalidRequestError, match=f"object {name} is damaged.*Nothing was ordered now.*delete it"):
            damaged.run(reserve(task(), 2))


def test_an_entry_says_whose_it_is() -> None:
    objects = Objects()
    objects.run(reserve(task(), 2))
    (entry,) = (json.loads(step.data) for step in objects.asked if isinstance(step, Create))
    assert (entry["owner"], entry["dollars"], entry["total"]) == ({"task_id": "a"}, 2, 2)


def test_what_a_deleted_run_of_the_same_id_spent_is_no_reservation_of_the_new_one() -> None:
    objects = Objects()
    objects.run(reserve(task(), 6, begins=True))
    with pytest.raises(CreditsError):
        objects.run(reserve(task(), 6, begins=True))
    objects.run(spend.give_back(task(), NOTHING))
    assert spent(objects) == 6
