"""(c): one task orders everything, and the sensors start and end in the trigger."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from benchmarks.overhead_orders import POLL, SWAPS

with DAG(dag_id="one_submit", schedule=None):
    submit = SubmitBodySwapBatchOperator(task_id="submit", swaps=SWAPS)
    BodySwapSensor.partial(task_id="wait", poke_interval=POLL, start_from_trigger=True).expand(poll_url=submit.output)
