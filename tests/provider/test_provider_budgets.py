"""What a connection and a DAG may spend on a day holds over all runs, also those that order at the same moment."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import spend
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.memory import Create
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory import store as stores
from airflow_provider_segmind.operators.body_swap import (
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from tests.provider.remembering import memory, task_of
from tests.provider.running import context, run
from tests.provider.tries import Store as TaskStore

__all__ = ["memory"]

PRICE = 0.25


@pytest.fixture(autouse=True)
def price(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__PRICE_PER_SWAP", str(PRICE))


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that limits how many orders a day may have."""

    def limit(orders: float, option: str = "MAX_SPEND_PER_DAY") -> None:
        monkeypatch.setenv(f"AIRFLOW__SEGMIND__{option}", str(orders * PRICE))

    return limit


def ctx(run_id: str = "a", dag_id: str = "dag", **attempt: Any) -> Any:
    return context(task_of(run_id=run_id, dag_id=dag_id, **attempt))


def submit(emulator: Emulator, number: int = 0, **changes: Any) -> SubmitBodySwapOperator:
    return SubmitBodySwapOperator(
        task_id="task",
        character_image=emulator.sample("scene", number),
        reference_character_image=emulator.sample("person"),
        **changes,
    )


def batch(emulator: Emulator, count: int, first: int = 0, **changes: Any) -> SubmitBodySwapBatchOperator:
    person = emulator.sample("person")
    swaps = [
        {"character_image": emulator.sample("scene", first + number), "reference_character_image": person}
        for number in range(count)
    ]
    return SubmitBodySwapBatchOperator(task_id="task", swaps=swaps, **changes)


def spent(memory: Path) -> set[float]:
    """Return what the budgets of today count, in orders."""
    logs: dict[Path, list[tuple[int, float]]] = {}
    for path in (memory / "spend").rglob("*.json"):
        said = json.loads(path.read_bytes())
        if "total" in said:
            logs.setdefault(path.parent, []).append((int(path.stem), said["total"] / PRICE))
    return {max(entries)[1] for entries in logs.values()}


def test_without_a_limit_nothing_is_counted(emulator: Emulator, memory: Path) -> None:
    submit(emulator).execute(ctx())
    assert not (memory / "spend").exists()


def test_the_runs_of_a_day_share_what_a_connection_may_spend(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(2)
    for number, dag_id in enumerate(("one", "two")):
        submit(emulator, number).execute(ctx(dag_id=dag_id))
    with pytest.raises(
        AirflowFailException,
        match=r"\$0\.50 are spent or reserved for connection 'segmind_default', and \[segmind\] max_spend_per_day is",
    ):
        submit(emulator, 2).execute(ctx(dag_id="three"))
    assert len(emulator.charges) == 2
    assert spent(memory) == {2}


def test_another_connection_has_money_of_its_own(
    emulator: Emulator, limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"])
    limit(1)
    submit(emulator, 0).execute(ctx("a"))
    submit(emulator, 1, segmind_conn_id="other").execute(ctx("b"))
    assert len(emulator.charges) == 2


def test_a_dag_may_spend_less_than_its_connection(emulator: Emulator, limit: Any) -> None:
    limit(3)
    limit(1, "MAX_SPEND_PER_DAY_AND_DAG")
    submit(emulator, 0).execute(ctx(dag_id="one"))
    with pytest.raises(AirflowFailException, match=r"for DAG 'one', and \[segmind\] max_spend_per_day_and_dag is"):
        submit(emulator, 1).execute(ctx("b", dag_id="one"))
    submit(emulator, 2).execute(ctx(dag_id="two"))
    submit(emulator, 3).execute(ctx(dag_id="three"))
    with pytest.raises(AirflowFailException, match="for connection 'segmind_default'"):
        submit(emulator, 4).execute(ctx(dag_id="four"))
    assert len(emulator.charges) == 3


class Watched(stores.Store):
    """A storage that knows the folders of the days' counts in which entries were made."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.logs: list[str] = []

    def _do(self, step: Any) -> Any:
        if isinstance(step, Create) and step.name.startswith(f"{spend.FOLDER}/2"):
            self.logs.append(step.name.rpartition("/")[0])
        return super()._do(step)


def test_a_run_that_its_dag_may_not_pay_for_takes_nothing_from_other_dags_for_a_moment(
    emulator: Emulator, limit: Any, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(2)
    limit(1, "MAX_SPEND_PER_DAY_AND_DAG")
    storage = Watched(str(memory))
    monkeypatch.setitem(stores._stores, str(memory), storage)
    submit(emulator, 0).execute(ctx("a"))
    assert len(set(storage.logs)) == 2
    storage.logs.clear()
    with pytest.raises(AirflowFailException, match="max_spend_per_day_and_dag is"):
        submit(emulator, 1).execute(ctx("b"))
    assert not storage.logs


def test_twenty_runs_at_once_never_pass_the_limit(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(7)
    together = threading.Barrier(20)

    def one(number: int) -> bool:
        task = submit(emulator, number % 8, select_character=f"person {number}")
        together.wait()
        try:
            task.execute(ctx(f"run {number}"))
        except AirflowFailException as error:
            assert "max_spend_per_day" in str(error)  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        passed = sum(pool.map(one, range(20)))
    assert passed == len(emulator.charges) == 7
    assert spent(memory) == {7}


def test_a_refused_order_gives_its_money_back(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(1)
    emulator.script(Fault("406-credits"))
    with pytest.raises(AirflowFailException):
        submit(emulator).execute(ctx("a"))
    assert spent(memory) == {0}
    submit(emulator).execute(ctx("b"))
    assert len(emulator.charges) == 1


def test_an_order_whose_outcome_is_not_known_keeps_its_money(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(5)
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        submit(emulator).execute(ctx("a"))
    assert spent(memory) == {1}


def test_what_is_reused_reserves_nothing(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(1)
    emulator.set(job_seconds=0)
    pictures = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    for run_id in "abc":
        run(BodySwapOperator(task_id="task", poll_interval=0.05, **pictures), ctx(run_id))
    assert len(emulator.charges) == 1
    assert spent(memory) == {1}


def test_a_retry_that_goes_on_with_its_order_reserves_nothing_more(
    emulator: Emulator, limit: Any, memory: Path
) -> None:
    limit(1)
    first = submit(emulator).execute(ctx(max_tries=2))
    again = submit(emulator).execute(ctx(max_tries=2, try_number=2))
    assert again["request_id"] == first["request_id"]
    assert spent(memory) == {1}


def test_a_batch_is_refused_as_a_whole_and_reserves_for_all_of_its_orders(
    emulator: Emulator, limit: Any, memory: Path
) -> None:
    limit(5)
    batch(emulator, 3).execute(ctx("a"))
    with pytest.raises(AirflowFailException, match=r"3 swaps at \$0\.25 cost \$0\.75\."):
        batch(emulator, 3, 3).execute(ctx("b"))
    batch(emulator, 2, 3).execute(ctx("c"))
    assert len(emulator.charges) == 5
    assert spent(memory) == {5}


def test_a_batch_reserves_nothing_for_what_it_reuses(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(4)
    batch(emulator, 3).execute(ctx("a"))
    batch(emulator, 4).execute(ctx("b"))
    batch(emulator, 4).execute(ctx("c"))
    assert len(emulator.charges) == 4
    assert spent(memory) == {4}


def test_a_batch_gives_back_what_it_did_not_order_and_its_retry_orders_the_rest(
    emulator: Emulator, limit: Any, memory: Path
) -> None:
    limit(4)
    emulator.script(Fault("406-credits", after=1, times=None))
    store = TaskStore()
    with pytest.raises((SegmindError, AirflowFailException)):
        batch(emulator, 4).execute({**ctx(max_tries=2), "task_state_store": store})
    ordered = len(emulator.charges)
    assert spent(memory) == {ordered}
    emulator.clear_faults()
    batch(emulator, 4).execute({**ctx(max_tries=2, try_number=2), "task_state_store": store})
    assert len(emulator.charges) == 4
    assert spent(memory) == {4}


def test_a_batch_that_the_balance_cannot_pay_for_gives_all_back(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(5)
    emulator.set(credits=0.5)
    with pytest.raises(AirflowFailException, match=r"the account has \$0\.50"):
        batch(emulator, 4).execute(ctx())
    assert not emulator.charges
    assert spent(memory) == {0}


def test_a_run_that_is_deleted_and_made_again_with_the_same_id_counts_once_more(
    emulator: Emulator, limit: Any, memory: Path
) -> None:
    """Airflow 3.3 deletes with it what its tasks have on record."""
    limit(1)
    submit(emulator).execute({**ctx(), "task_state_store": TaskStore()})
    with pytest.raises(AirflowFailException, match="max_spend_per_day"):
        submit(emulator, reuse="never").execute({**ctx(), "task_state_store": TaskStore()})
    assert len(emulator.charges) == 1
    assert spent(memory) == {1}


def test_a_retry_orders_what_a_killed_worker_had_reserved(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(4)
    first = batch(emulator, 4)
    store = TaskStore()
    killed = {**ctx(max_tries=2), "task_state_store": store}
    first.run_of(killed).plan().open_orders(())  # the worker is killed before it orders
    assert spent(memory) == {4}
    batch(emulator, 4).execute({**ctx(max_tries=2, try_number=2), "task_state_store": store})
    assert len(emulator.charges) == 4
    assert spent(memory) == {4}


def test_a_cleared_batch_orders_with_what_a_killed_worker_had_reserved(
    emulator: Emulator, limit: Any, memory: Path
) -> None:
    limit(4)
    store = TaskStore()
    batch(emulator, 4).run_of({**ctx(max_tries=2), "task_state_store": store}).plan().open_orders(())
    batch(emulator, 4).execute({**ctx(max_tries=5, try_number=3), "task_state_store": store})
    assert len(emulator.charges) == 4
    assert spent(memory) == {4}


@pytest.mark.parametrize("option", ["MAX_SPEND_PER_DAY", "MAX_SPEND_PER_DAY_AND_DAG"])
def test_a_limit_without_a_memory_is_refused(
    emulator: Emulator, limit: Any, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", "")
    limit(5, option)
    with pytest.raises(AirflowFailException, match=r"not \[segmind\] memory.*Ask your Airflow administrator to set"):
        submit(emulator).execute(ctx())
    assert not emulator.charges


@pytest.mark.parametrize("value", ["-1", "nan"])
def test_a_limit_that_is_no_amount_is_named(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__MAX_SPEND_PER_DAY", value)
    with pytest.raises(AirflowFailException, match=r"max_spend_per_day is .*Ask your Airflow administrator"):
        submit(emulator).execute(ctx())
    assert not emulator.charges


def test_a_damaged_count_is_named_and_nothing_is_ordered(emulator: Emulator, limit: Any, memory: Path) -> None:
    limit(5)
    submit(emulator, 0).execute(ctx("a"))
    (entry,) = (memory / spend.FOLDER).glob("2*/*/1.json")
    entry.write_text("{")
    with pytest.raises(AirflowFailException, match=r"spend/.*/1\.json is damaged.*delete it"):
        submit(emulator, 1).execute(ctx("b"))
    assert len(emulator.charges) == 1
    assert stores.has_memory()
