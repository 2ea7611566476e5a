"""
What failed in a batch, as a batch of its own: reads the manifest of results, and orders the rows with these statuses.

Leave ``UNKNOWN`` and ``UNFINISHED`` out: those may be paid for.
It needs the connection ``segmind_default``.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator

COLUMNS = ("id", "character_image", "reference_character_image", "select_character", "consent_reference")

with DAG(
    dag_id="order_what_failed",
    schedule=None,
    tags=["segmind"],
    doc_md=__doc__,
    params={
        "results": Param(type="string", description="The manifest of results of the batch that failed."),
        "statuses": Param(["FAILED", "NOT_ORDERED"], type="array", items={"type": "string"}),
    },
):

    @task
    def rest(params: dict[str, Any]) -> list[dict[str, str]]:
        """Return the rows with one of the statuses, as swaps."""
        rows = map(json.loads, ObjectStoragePath(params["results"]).read_text().splitlines())
        return [
            {name: row[name] for name in COLUMNS if row[name]} for row in rows if row["status"] in params["statuses"]
        ]

    BodySwapBatchOperator(
        task_id="swaps", swaps=rest(), results_uri="{{ params.results }}.second.jsonl", max_failures=0.01, retries=3
    )
