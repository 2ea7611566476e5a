"""The least that a task costs that waits once."""

from __future__ import annotations

from airflow.sdk import DAG

from benchmarks.overhead_orders import PEOPLE
from benchmarks.overhead_peer import DeferOnceOperator

with DAG(dag_id="defers_once", schedule=None):
    DeferOnceOperator.partial(task_id="wait").expand(request_id=PEOPLE)
