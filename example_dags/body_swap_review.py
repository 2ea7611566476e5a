"""
A batch of body swaps, stored, checked, and looked at by people: keep, reject, or order again each picture.

The manifest is that of ``body_swap_batch``. *Finish the review*, on the task's tab *Body swaps*, ends the wait.

It needs the connections ``segmind_default`` and ``aws_default``, ``apache-airflow-providers-amazon[s3fs]``,
``apache-airflow-providers-standard`` 1.13 or later, and ``[segmind] gallery_roots = s3://aws_default@catalogue``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.operators.review import ReviewSwapsOperator
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

FOLDER = "{{ params.folder }}"

with DAG(
    dag_id="body_swap_review",
    schedule=None,
    max_active_runs=1,
    tags=["segmind"],
    doc_md=__doc__,
    params={
        # Whoever may trigger this DAG names files: [segmind] input_roots bounds which of them tasks read.
        "folder": Param(
            "s3://aws_default@catalogue/looks", type="string", description="Has swaps.csv; takes all else."
        ),
    },
):
    swaps = BodySwapBatchOperator(
        task_id="swaps", swaps=f"{FOLDER}/swaps.csv", results_uri=f"{FOLDER}/results.jsonl", retries=3
    )
    store = SegmindToObjectStorageOperator(
        task_id="store", results=swaps.output, destination=f"{FOLDER}/pictures", retries=5
    )
    check = CheckSwapOperator(task_id="check", results=store.output, on_failure="report")
    review = ReviewSwapsOperator(
        task_id="review",
        results=store.output,
        review_uri=f"{FOLDER}/review.jsonl",
        response_timeout=timedelta(days=3),
        # An answer within the same second can find the task not yet at rest in Airflow 3.3.2, which fails it.
        retries=2,
        retry_delay=timedelta(seconds=10),
    )

    @task
    def publish(reviewed: dict[str, Any]) -> None:
        """Do something with the pictures that are kept."""
        for line in ObjectStoragePath(reviewed["kept_uri"]).read_text().splitlines():
            print("Published:", line)

    @task.short_circuit
    def is_wanted_again(reviewed: dict[str, Any]) -> bool:
        """Go on only if there is something to order again."""
        return bool(reviewed["again"])

    again = BodySwapBatchOperator(
        task_id="again", swaps=review.output["again_uri"], results_uri=f"{FOLDER}/again.jsonl", retries=3
    )

    check >> review
    publish(review.output)
    is_wanted_again(review.output) >> again
