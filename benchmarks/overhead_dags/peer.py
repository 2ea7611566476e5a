"""The least; and (a), as other providers write it, without retries, so that a resume that is lost is a failed task."""

from __future__ import annotations

from airflow.sdk import DAG

from benchmarks.overhead_orders import PEOPLE
from benchmarks.overhead_peer import DeferOnceOperator, PeerSensor, PeerSubmitOperator, RecordsOperator

# What each process does only once should count for no pattern.
for dag_id, ids in {"warm_up": PEOPLE[:16], "peer": PEOPLE}.items():
    with DAG(dag_id=dag_id, schedule=None):
        submit = PeerSubmitOperator.partial(task_id="submit").expand(request_id=ids)
        PeerSensor.partial(task_id="wait").expand(request_id=submit.output)

with DAG(dag_id="defers_once", schedule=None):
    DeferOnceOperator.partial(task_id="wait").expand(request_id=PEOPLE)

with DAG(dag_id="keeps_records", schedule=None):
    RecordsOperator.partial(task_id="wait").expand(request_id=PEOPLE)
