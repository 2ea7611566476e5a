"""The ways to write N swaps that are compared; a DAG of the same name belongs to each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """
    One way to write N swaps.

    :param dag_id: its DAG in ``overhead_dags``.
    :param title: what it is, for the table.
    :param orders: whether it orders from the emulator, whose ledger then is checked.
    :param preloaded: whether it runs on an Airflow that imports the provider before it forks.
    """

    dag_id: str
    title: str
    orders: bool = True
    preloaded: bool = False


WARM_UP = Pattern("warm_up", "a few of the peer's, not counted", orders=False)
PEER = Pattern("peer", "(a) as other providers: submit → sensor that resumes on a worker", orders=False)
LEAST = Pattern("defers_once", "the least: an operator that only defers once, mapped", orders=False)
ONE_TASK = Pattern("one_task", "(d) `BodySwapOperator`, mapped")
BATCH = Pattern("batch", "(e) `BodySwapBatchOperator`")
PATTERNS = (
    PEER,
    LEAST,
    Pattern("mapped", "(b) mapped submits → mapped sensors"),
    Pattern("mapped", "(b), provider preloaded", preloaded=True),
    Pattern("mapped_from_trigger", "(b), sensors start in the trigger, provider preloaded", preloaded=True),
    Pattern("one_submit", "(c) `SubmitBodySwapBatchOperator` → mapped sensors that start in the trigger"),
    ONE_TASK,
    Pattern("one_task", "(d), provider preloaded", preloaded=True),
    BATCH,
)
