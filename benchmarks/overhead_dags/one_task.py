"""(d): each swap in one task."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from benchmarks.overhead_orders import PEOPLE, POLL, SCENE

with DAG(dag_id="one_task", schedule=None):
    BodySwapOperator.partial(task_id="swap", character_image=SCENE, poll_interval=POLL).expand(
        reference_character_image=PEOPLE
    )
