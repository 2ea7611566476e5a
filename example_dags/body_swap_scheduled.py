"""
Every night: one body swap for each photograph of a list, a few at a time.

With ``[segmind] memory`` set, a night orders and pays only for what is new: the other pictures are taken from the memory.
Without it, each night pays for the whole list again.

The pool bounds what is in flight; create it once, with deferred tasks counted:
``airflow pools set segmind 8 "Swaps in flight" --include-deferred``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

with DAG(
    dag_id="body_swap_scheduled",
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    default_args={"pool": "segmind"},
    tags=["segmind"],
    doc_md=__doc__,
    params={
        # Whoever may trigger this DAG names files: [segmind] input_roots bounds which of them tasks read.
        "photographs": Param(
            ["s3://aws_default@catalogue/monday.jpg", "s3://aws_default@catalogue/tuesday.jpg"],
            type="array",
            items={"type": "string"},
            description="The scenes to edit.",
        ),
        "model": Param("s3://aws_default@catalogue/model.jpg", type="string", description="The new person."),
    },
):

    @task
    def orders(params: dict[str, Any]) -> list[dict[str, str]]:
        """Return one order for each photograph."""
        return [
            {"character_image": photograph, "reference_character_image": params["model"]}
            for photograph in params["photographs"]
        ]

    submit = SubmitBodySwapOperator.partial(
        task_id="submit", select_character="the person in front", max_active_tis_per_dag=4
    ).expand_kwargs(orders())

    wait = BodySwapSensor.partial(task_id="wait", timeout=3600, retries=2, retry_delay=timedelta(seconds=10)).expand(
        poll_url=submit.output
    )

    @task(trigger_rule="all_done")
    def report(swaps: Any) -> list[str]:
        """List the pictures that were made; swaps that failed are not among them."""
        pictures = [swap["image_url"] for swap in swaps if swap]
        print("\n".join(pictures) or "No picture was made.")
        return pictures

    report(wait.output)
