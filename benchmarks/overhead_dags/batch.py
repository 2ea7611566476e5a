"""(e): everything in one task and one trigger."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_segmind.operators import body_swap
from benchmarks.overhead_orders import PEOPLE, RESULTS, SCENE

Batch = getattr(body_swap, "BodySwapBatchOperator", None)

if Batch:
    with DAG(dag_id="batch", schedule=None):
        Batch(
            task_id="swap",
            swaps=[
                {"character_image": SCENE, "reference_character_image": person, "select_character": "woman"}
                for person in PEOPLE
            ],
            results=f"{RESULTS}/{{{{ run_id }}}}.jsonl",
        )
