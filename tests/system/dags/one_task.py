"""One swap in one task, with retries."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_segmind.operators.body_swap import BodySwapOperator

with DAG(
    dag_id="one_task",
    schedule=None,
    params={name: Param(type="string") for name in ("character_image", "reference_character_image")},
):
    BodySwapOperator(
        task_id="swap",
        character_image="{{ params.character_image }}",
        reference_character_image="{{ params.reference_character_image }}",
        poll_interval=1.0,
        retries=3,
        retry_delay=timedelta(seconds=2),
    )
