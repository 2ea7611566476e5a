"""The ways to write N swaps that are compared; a DAG of the same name belongs to each."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.overhead_peer import WAIT

SETTLE = 3.0
"""Seconds after a run in which what it left to do, such as callbacks, still counts."""


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
    Pattern("keeps_records", "the same, with the requests to Airflow that an order on record takes", orders=False),
    Pattern("mapped", "(b) mapped submits → mapped sensors"),
    Pattern("mapped", "(b), provider preloaded", preloaded=True),
    Pattern("mapped_from_trigger", "(b), sensors start in the trigger, provider preloaded", preloaded=True),
    Pattern("one_submit", "(c) `SubmitBodySwapBatchOperator` → mapped sensors that start in the trigger"),
    ONE_TASK,
    Pattern("one_task", "(d), provider preloaded", preloaded=True),
    BATCH,
)


@dataclass(frozen=True)
class Measured:
    """
    What one run of a pattern took.

    :param pattern: which.
    :param swaps: how many swaps.
    :param wall: seconds from the run's start to its end.
    :param cpu: seconds of processor time by component, PostgreSQL included.
    :param starts: how often a task began to run on a worker.
    :param resumes: how often one was to do so because its trigger had fired.
    :param lost: how many of those Airflow lost, each a failed task.
    :param failed: tasks that ended otherwise than well.
    """

    pattern: Pattern
    swaps: int
    wall: float
    cpu: dict[str, float]
    starts: int
    resumes: int
    lost: int
    failed: int

    @property
    def overhead(self) -> float:
        """Seconds beyond the wait for the jobs, which no pattern can avoid."""
        return self.wall - WAIT

    @property
    def cpu_per_swap(self) -> float:
        """Seconds of processor time of all components for each swap."""
        return sum(self.cpu.values()) / self.swaps
