"""A batch whose manifest and results the run's parameters name."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, SubmitBodySwapBatchOperator
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PARAMS = {"manifest": Param("", type="string"), "results": Param("", type="string")}

with DAG(dag_id="batch", schedule=None, params=PARAMS):
    BodySwapBatchOperator(
        task_id="swaps",
        swaps="{{ params.manifest }}",
        results_uri="{{ params.results }}",
        retries=3,
        retry_delay=timedelta(seconds=1),
    )

with DAG(dag_id="batch_mapped", schedule=None, params=PARAMS):
    submit = SubmitBodySwapBatchOperator(task_id="submit", swaps="{{ params.manifest }}")
    BodySwapSensor.partial(task_id="wait", start_from_trigger=True).expand(poll_url=submit.output)

with DAG(dag_id="batch_checked", schedule=None, params=PARAMS):
    swaps = BodySwapBatchOperator(
        task_id="swaps", swaps="{{ params.manifest }}", results_uri="{{ params.results }}", poll_interval=0.5
    )
    CheckSwapOperator(task_id="check", results=swaps.output)
