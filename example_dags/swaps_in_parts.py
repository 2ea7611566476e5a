"""
A large manifest in parts, one after the other, each with retries and a manifest of results of its own.

A part that is cleared by mistake costs one part.
It needs the connections ``segmind_default`` and ``aws_default``.
"""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from itertools import islice
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator

with DAG(
    dag_id="swaps_in_parts",
    schedule=None,
    tags=["segmind"],
    doc_md=__doc__,
    max_active_runs=1,
    params={
        "manifest": Param("s3://aws_default@catalogue/swaps.csv", type="string"),
        "results": Param("s3://aws_default@catalogue/results", type="string"),
        "size": Param(1000, type="integer", minimum=1),
    },
):

    @task
    def parts(params: dict[str, Any]) -> list[list[dict[str, str]]]:
        """Return the rows of the manifest, so many in each part."""
        text = ObjectStoragePath(params["manifest"]).read_text(encoding="utf-8-sig")  # Excel writes a mark
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return list(iter(lambda: list(islice(rows, params["size"])), []))

    BodySwapBatchOperator.partial(
        task_id="swaps",
        results_uri="{{ params.results }}/{{ dag_run.run_after | ts_nodash }}-{{ ti.map_index }}.jsonl",
        max_failures=0.01,
        max_active_tis_per_dag=1,  # one budget of requests, so one after the other
        retries=3,
        retry_delay=timedelta(minutes=2),
    ).expand(swaps=parts())
