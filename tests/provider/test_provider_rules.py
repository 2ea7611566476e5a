"""What an administrator demands before anything is ordered: consent on record, and a limit to what a run spends."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_segmind.api.errors import CreditsError
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from airflow_provider_segmind.operators.pixelflow import SubmitPixelFlowOperator
from airflow_provider_segmind.orders.store import OrderStore
from tests.airflow_fork import airflow
from tests.api.drive import WORKFLOW
from tests.provider.running import TaskInstance
from tests.provider.tries import Store

CONSENT = "AIRFLOW__SEGMIND__REQUIRE_CONSENT"
LIMIT = "AIRFLOW__SEGMIND__MAX_SPEND_PER_RUN"
PRICE = 0.2687


class Run:
    """A DAG run: tasks in one DAG, which see what the others have pushed."""

    def __init__(self) -> None:
        self.dag = DAG("run", schedule=None)
        self.instances: dict[tuple[str, int], Instance] = {}

    def context(self, task_id: str, map_index: int = -1) -> Any:
        """Begin an attempt of a task: its XComs are gone, as Airflow does it, and its record is not."""
        before = self.instances.get((task_id, map_index))
        ti = Instance(self, map_index, before.store if before else Store())
        self.instances[task_id, map_index] = ti
        return {"ti": ti, "task_state_store": ti.store}


class Instance(TaskInstance):
    """A task instance that sees the XComs of its run."""

    def __init__(self, run: Run, map_index: int, store: Store) -> None:
        super().__init__(max_tries=2)
        self.run, self.map_index, self.store = run, map_index, store

    def xcom_pull(self, *, task_ids: Any, key: str, map_indexes: Any = None) -> Any:
        """Return what the instances of several tasks pushed, as Airflow does when no index is asked for."""
        assert not isinstance(task_ids, str)
        found = [ti.xcoms.get(key) for (task_id, _), ti in self.run.instances.items() if task_id in task_ids]
        return [value for value in found if value is not None] or [None]


def single(run: Run, emulator: Emulator, task_id: str = "swap", **changes: Any) -> SubmitBodySwapOperator:
    if task_id in run.dag.task_dict:
        known = run.dag.task_dict[task_id]
        assert isinstance(known, SubmitBodySwapOperator)
        return known
    return SubmitBodySwapOperator(
        task_id=task_id,
        dag=run.dag,
        character_image=emulator.sample("scene", 0),
        reference_character_image=emulator.sample("person", 0),
        **changes,
    )


def swaps(emulator: Emulator, count: int, **columns: Any) -> list[dict[str, Any]]:
    person = emulator.sample("person", 0)
    return [
        {"character_image": emulator.sample("scene", number), "reference_character_image": person, **columns}
        for number in range(count)
    ]


# Consent


@pytest.mark.parametrize("reference", [None, "", "  ", "None", "NULL", "nan", "N/A", "-", "\\N", "no"])
def test_a_swap_without_consent_is_refused_where_it_is_required(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, reference: str | None
) -> None:
    monkeypatch.setenv(CONSENT, "True")
    run = Run()
    with pytest.raises(AirflowFailException, match=r"consent_reference is .*\[segmind\] require_consent is on"):
        single(run, emulator, consent_reference=reference).execute(run.context("swap"))
    assert not emulator.charges


def test_the_reference_lets_the_swap_through_and_is_never_sent(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, "True")
    run = Run()
    single(run, emulator, consent_reference="release-0815").execute(run.context("swap"))
    (charge,) = emulator.charges
    assert "release-0815" not in json.dumps(charge.inputs)
    assert set(charge.inputs) == {"character_image", "reference_character_image", "select_character"}


def test_the_generic_operator_cannot_swap_bodies_without_consent_but_make_anything_else(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, "True")
    run = Run()
    inputs = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    task = SubmitPixelFlowOperator(task_id="flow", workflow=WORKFLOW, inputs=inputs, dag=run.dag)
    with pytest.raises(AirflowFailException, match="consent_reference"):
        task.execute(run.context("flow"))
    other = SubmitPixelFlowOperator(task_id="other", workflow="abc-v2", inputs={"prompt": "a cat"}, dag=run.dag)
    other.execute(run.context("other"))
    assert [charge.workflow for charge in emulator.charges] == ["abc-v2"]


def test_an_order_that_is_paid_for_is_taken_although_consent_has_become_required_since(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run()
    first = single(run, emulator).execute(run.context("swap"))
    monkeypatch.setenv(CONSENT, "True")
    assert single(run, emulator).execute(run.context("swap"))["request_id"] == first["request_id"]
    assert len(emulator.charges) == 1


def test_a_batch_names_each_line_without_consent_before_it_orders_any(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, "True")
    run = Run()
    given = [*swaps(emulator, 2, consent_reference="release-1"), *swaps(emulator, 4)[2:]]
    task = SubmitBodySwapBatchOperator(task_id="batch", swaps=given, dag=run.dag)
    with pytest.raises(
        AirflowFailException, match=r"item 2: consent_reference is None(.|\n)*item 3: consent_reference"
    ):
        task.execute(run.context("batch"))
    assert not emulator.charges


def test_a_batch_keeps_each_consent_in_its_results_and_fills_in_its_own(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    run = Run()
    given = [*swaps(emulator, 1, consent_reference="release-1"), swaps(emulator, 2)[1]]
    task = BodySwapBatchOperator(
        task_id="batch",
        swaps=given,
        results_uri=str(tmp_path / "results.jsonl"),
        consent_reference="release-all",
        poll_interval=0.05,
        dag=run.dag,
    )
    files = task.run_of(run.context("batch")).plan()
    assert [row["consent_reference"] for row in files.rows()] == ["release-1", "release-all"]
    assert all("consent_reference" not in swap.given for swap in files.swaps)


# Spend


def test_the_order_that_would_cost_more_than_the_run_may_spend_is_not_sent(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, str(2 * PRICE))
    run = Run()
    for task_id in ("one", "two", "three"):
        single(run, emulator, task_id)
    for task_id in ("one", "two"):
        single(run, emulator, task_id).execute(run.context(task_id))
    with pytest.raises(AirflowFailException, match=r"ordered 3\. At \$0\.2687 each, that is \$0\.81, .* is \$0\.54"):
        single(run, emulator, "three").execute(run.context("three"))
    assert len(emulator.charges) == 2


def test_of_a_mapped_task_just_those_are_ordered_that_can_be_paid_for_in_whatever_order_they_come(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, str(3 * PRICE))
    run = Run()
    ordered = []
    for index in (4, 2, 0, 3, 1):
        try:
            single(run, emulator).execute(run.context("swap", index))
            ordered.append(index)
        except AirflowFailException:
            pass
    assert sorted(ordered) == [0, 1, 2]
    assert len(emulator.charges) == 3


def test_a_batch_that_costs_more_than_the_run_may_spend_orders_nothing(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, "1")
    run = Run()
    single(run, emulator).execute(run.context("swap"))
    task = SubmitBodySwapBatchOperator(task_id="batch", swaps=swaps(emulator, 3), dag=run.dag)
    with pytest.raises(AirflowFailException, match=r"this task's 3 swaps, this DAG run would have ordered 4\."):
        task.execute(run.context("batch"))
    assert len(emulator.charges) == 1
    affordable = SubmitBodySwapBatchOperator(task_id="smaller", swaps=swaps(emulator, 2), dag=run.dag)
    affordable.execute(run.context("smaller"))  # what was refused before counts for nothing
    assert len(emulator.charges) == 3


def test_a_retry_of_a_batch_goes_on_with_its_orders_whatever_is_wrong_with_the_limit(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run()
    task = SubmitBodySwapBatchOperator(task_id="batch", swaps=swaps(emulator, 2), dag=run.dag)
    first = task.execute(run.context("batch"))
    for limit in ("0.01", "nan", "a lot"):
        monkeypatch.setenv(LIMIT, limit)
        assert task.execute(run.context("batch")) == first
    assert len(emulator.charges) == 2


def test_a_batch_that_may_not_order_its_rest_waits_for_what_it_ordered(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    emulator.set(job_seconds=1)
    emulator.script(Fault("406-credits", after=1, times=None))
    run = Run()
    task = BodySwapBatchOperator(
        task_id="batch", swaps=swaps(emulator, 3), results_uri=str(tmp_path / "results.jsonl"), dag=run.dag
    )
    with pytest.raises(TaskDeferred):
        task.execute(run.context("batch"))
    monkeypatch.setenv(LIMIT, "nan")
    with pytest.raises(TaskDeferred):
        task.execute(run.context("batch"))
    assert len(emulator.charges) == 1


def test_a_retry_that_orders_a_failed_job_again_counts_both(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, str(PRICE))
    run = Run()
    ctx = run.context("swap")
    single(run, emulator).execute(ctx)
    store = OrderStore(ctx)
    record = store.load()
    assert record is not None
    store.save(replace(record, failed=True))
    with pytest.raises(
        CreditsError,
        match=r"this task's 2 swaps, this DAG run.* a retry continues where it stopped\. Clearing the task pays again",
    ):
        single(run, emulator).execute(run.context("swap"))
    assert len(emulator.charges) == 1


def test_a_retry_goes_on_with_its_order_however_much_the_run_has_spent(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, str(PRICE))
    run = Run()
    first = single(run, emulator).execute(run.context("swap"))
    for limit in ("0.01", "nan", "a lot"):
        monkeypatch.setenv(LIMIT, limit)
        assert single(run, emulator).execute(run.context("swap"))["request_id"] == first["request_id"]
    assert len(emulator.charges) == 1


def test_a_retry_that_goes_on_with_a_second_order_says_that_there_were_two(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, "10")
    run = Run()
    ctx = run.context("swap")
    single(run, emulator).execute(ctx)
    record = OrderStore(ctx).load()
    assert record is not None
    OrderStore(ctx).save(replace(record, failed=True))
    single(run, emulator).execute(run.context("swap"))
    again = run.context("swap")
    single(run, emulator).execute(again)
    assert len(emulator.charges) == again["ti"].xcoms["segmind_orders"] == 2


@pytest.mark.parametrize("limit", ["-1", "nan", "inf"])
def test_a_limit_that_is_no_amount_is_named(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv(LIMIT, limit)
    run = Run()
    with pytest.raises(
        AirflowFailException, match=r"\[segmind\] max_spend_per_run is .*Ask your Airflow administrator"
    ):
        single(run, emulator).execute(run.context("swap"))
    assert not emulator.charges


def test_a_limit_without_a_price_is_refused(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "10")
    monkeypatch.setenv("AIRFLOW__SEGMIND__PRICE_PER_SWAP", "0")
    run = Run()
    with pytest.raises(AirflowFailException, match=r"price_per_swap is 0\.0, so the cost of an order is not known"):
        single(run, emulator).execute(run.context("swap"))


DAG_FILE = """
from airflow.sdk import DAG
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator, SubmitBodySwapOperator

SCENES = {scenes!r}
PERSON = {person!r}
with DAG("limited", schedule=None):
    batch = SubmitBodySwapBatchOperator(
        task_id="batch",
        swaps=[dict(character_image=scene, reference_character_image=PERSON) for scene in SCENES[:2]],
    )
    mapped = SubmitBodySwapOperator.partial(task_id="mapped", reference_character_image=PERSON).expand(
        character_image=SCENES[2:]
    )
    batch >> mapped
"""


@pytest.mark.slow
@pytest.mark.usefixtures("airflow_db")
@pytest.mark.skipif(version("apache-airflow") < "3.3", reason="a batch is for Airflow 3.3")
def test_the_limit_holds_in_a_run_of_airflow_itself(emulator: Emulator, tmp_path: Path) -> None:
    scenes = [emulator.sample("scene", number) for number in range(5)]
    (tmp_path / "limited.py").write_text(DAG_FILE.format(scenes=scenes, person=emulator.sample("person", 0)))
    env = {**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path), LIMIT: str(4 * PRICE)}
    said = airflow("dags", "test", "limited", env=env).stdout
    assert len(emulator.charges) == 4, said[-5000:]
    assert sorted(charge.inputs["character_image"] for charge in emulator.charges) == scenes[:4]
    assert "max_spend_per_run is $1.07" in said
