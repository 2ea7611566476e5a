"""(e): everything in one task and one trigger."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator
from benchmarks.overhead_orders import POLL, RESULTS, SWAPS

with DAG(dag_id="batch", schedule=None):
    BodySwapBatchOperator(
        task_id="swap", swaps=SWAPS, results_uri=f"{RESULTS}/{{{{ run_id }}}}.jsonl", poll_interval=POLL
    )
