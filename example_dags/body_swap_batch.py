"""
Thousands of body swaps in one task: a manifest in, a manifest of results out.

The manifest is CSV (or JSON Lines) with the columns ``character_image``, ``reference_character_image`` and, if you
like, ``select_character`` and an ``id`` of your own. Everything is checked before the first charge; a retry orders only
what was not ordered, and what FAILED.
It needs the connection ``segmind_default``: type Segmind, the API key as its password.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator

with DAG(
    dag_id="body_swap_batch",
    schedule=None,
    max_active_runs=1,
    tags=["segmind"],
    doc_md=__doc__,
    params={
        # Whoever may trigger this DAG names files: [segmind] input_roots bounds which of them tasks read.
        "manifest": Param("s3://aws_default@catalogue/swaps.csv", type="string", description="What to swap."),
        "results_uri": Param(
            "s3://aws_default@catalogue/results.jsonl",
            type="string",
            description="Where the results go; every worker and triggerer must be able to read and write there.",
        ),
    },
):
    swaps = BodySwapBatchOperator(
        task_id="swaps",
        swaps="{{ params.manifest }}",
        results_uri="{{ params.results_uri }}",
        max_failures=0.01,
        retries=3,
        retry_delay=timedelta(minutes=2),
    )

    @task
    def report(summary: dict[str, Any]) -> None:
        """Say how it went; each swap's picture is in the results."""
        print(f"{summary['completed']} of {summary['total']} swaps, about ${summary['cost']}: {summary['results_uri']}")

    report(swaps.output)
