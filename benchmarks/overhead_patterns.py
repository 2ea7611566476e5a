"""The ways to write N swaps that are compared; a DAG of the same name belongs to each."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from airflow_provider_segmind.operators import body_swap
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor


@dataclass(frozen=True)
class Pattern:
    """
    One way to write N swaps.

    :param dag_id: its DAG in ``overhead_dags``.
    :param title: what it is, for the table.
    :param there: whether this version of the provider can do it.
    :param orders: whether it orders from the emulator, whose ledger then is checked.
    :param preloaded: whether it runs on an Airflow that imports the provider before it forks.
    """

    dag_id: str
    title: str
    there: bool = True
    orders: bool = True
    preloaded: bool = False


def takes(cls: type[Any], parameter: str) -> bool:
    """Return whether a class has a parameter of that name, its own or inherited."""
    makers = [vars(base)["__init__"] for base in cls.__mro__[:-1] if "__init__" in vars(base)]
    return any(parameter in inspect.signature(maker).parameters for maker in makers)


ENDS = takes(BodySwapSensor, "end_in_trigger")
STARTS = takes(BodySwapSensor, "start_from_trigger")
BATCHES = hasattr(body_swap, "BodySwapBatchOperator")

WARM_UP = Pattern("warm_up", "a few of the peer's, not counted", orders=False)
PEER = Pattern("peer", "(a) as other providers: submit → sensor that resumes on a worker", orders=False)
PATTERNS = (
    PEER,
    Pattern("mapped", "(b) mapped submits → mapped sensors"),
    Pattern("mapped", "(b), provider preloaded", preloaded=True),
    Pattern("mapped_from_trigger", "(b), sensors start in the trigger, provider preloaded", STARTS, preloaded=True),
    Pattern("one_submit", "(c) one submit of all → mapped sensors that start in the trigger", STARTS),
    Pattern("one_task", "(d) `BodySwapOperator`, mapped", ENDS),
    Pattern("one_task", "(d), provider preloaded", ENDS, preloaded=True),
    Pattern("batch", "(e) `BodySwapBatchOperator`", BATCHES),
)
