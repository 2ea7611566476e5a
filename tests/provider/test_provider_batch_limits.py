"""What is ordered again after an unknown outcome stays within what a run and a day may spend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.batch import settling
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.provider.remembering import memory
from tests.provider.test_provider_budgets import batch, ctx, limit, price, spent, submit
from tests.provider.tries import Store as TaskStore

__all__ = ["limit", "memory", "price"]


@pytest.fixture(autouse=True)
def hidden(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer no question about the history, and do not wait for it."""
    monkeypatch.setattr(settling, "OUTAGE", 0.0)
    emulator.set(history=False)


def attempt(store: TaskStore, number: int) -> Any:
    return {**ctx(max_tries=9, try_number=number), "task_state_store": store}


@pytest.mark.parametrize("option", ["MAX_SPEND_PER_DAY", "MAX_SPEND_PER_RUN"])
def test_what_a_batch_orders_again_after_an_unknown_outcome_counts_and_stays_within_the_limit(
    emulator: Emulator, limit: Any, memory: Path, option: str
) -> None:
    emulator.script(Fault("drop-after", times=None))
    store = TaskStore()

    def said_by(number: int) -> str:
        ordering = batch(emulator, 2, on_unknown_outcome="resubmit")
        with pytest.raises((SegmindError, AirflowFailException)) as error:
            ordering.execute(attempt(store, number))
        return str(error.value)

    charged = []
    for number, orders in enumerate((2, 2, 3, 4, 4, 6), 1):
        limit(orders, option)
        said = said_by(number)
        charged.append(len(emulator.charges))
        assert (f"[segmind] {option.lower()} " in said) == (number in {2, 3, 5})
    assert charged == [2, 2, 2, 4, 4, 6]
    assert option == "MAX_SPEND_PER_RUN" or spent(memory) == {6}


def test_a_batch_that_may_not_order_again_what_is_unknown_orders_the_rest(
    emulator: Emulator, limit: Any, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__SUBMIT_CONCURRENCY", "1")
    limit(3)
    emulator.script(Fault("drop-after"), Fault("401", after=1, times=None))
    store = TaskStore()
    with pytest.raises((SegmindError, AirflowFailException)):
        batch(emulator, 3).execute(attempt(store, 1))
    assert spent(memory) == {2}
    emulator.clear_faults()
    with pytest.raises((SegmindError, AirflowFailException), match=r"is not sent again.*max_spend_per_day is"):
        batch(emulator, 3, on_unknown_outcome="resubmit").execute(attempt(store, 2))
    assert len(emulator.charges) == 3
    assert spent(memory) == {3}


def test_what_is_reserved_to_order_again_and_is_not_needed_is_given_back(
    emulator: Emulator, limit: Any, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(9)
    emulator.script(Fault("drop-after", times=2))
    store = TaskStore()
    with pytest.raises((SegmindError, AirflowFailException)):
        batch(emulator, 2).execute(attempt(store, 1))
    emulator.set(history=True)
    batch(emulator, 2, on_unknown_outcome="resubmit").execute(attempt(store, 2))
    assert len(emulator.charges) == 2
    assert spent(memory) == {2}


def test_a_single_swap_that_is_ordered_again_counts_each_time(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(2)
    emulator.script(Fault("drop-after", times=None))
    store = TaskStore()
    for number in (1, 2, 3):
        with pytest.raises((SegmindError, AirflowFailException)):
            submit(emulator, on_unknown_outcome="resubmit").execute(attempt(store, number))
    assert len(emulator.charges) == 2
    assert spent(memory) == {2}
