"""A night's photographs in one task: a manifest in, a manifest of results out."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator

with DAG(
    dag_id="body_swap_batch",
    schedule=None,
    params={
        "manifest": Param("s3://catalogue/swaps.jsonl", type="string", description="CSV or JSON Lines, a swap a line"),
        "results": Param("s3://catalogue/results.jsonl", type="string", description="Where the results go"),
    },
):
    swaps = BodySwapBatchOperator(
        task_id="swaps",
        swaps="{{ params.manifest }}",
        results="{{ params.results }}",
        max_failures=0.02,
        retries=3,
        retry_delay=timedelta(minutes=2),
    )

    @task
    def tell(summary: dict[str, object]) -> None:
        """Say how it went."""
        print(f"{summary['completed']} of {summary['total']} swaps have their picture, for about ${summary['cost']}.")

    tell(swaps.output)
