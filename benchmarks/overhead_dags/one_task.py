"""(d), and the same resumed on a worker."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from benchmarks.overhead_orders import PEOPLE, POLL, SCENE
from benchmarks.overhead_patterns import ENDS

ways = {"one_task_resumed": {"end_in_trigger": False}, "one_task": {"end_in_trigger": True}}
for dag_id, way in ways.items() if ENDS else [("one_task_resumed", {})]:
    with DAG(dag_id=dag_id, schedule=None):
        BodySwapOperator.partial(task_id="swap", character_image=SCENE, poll_interval=POLL, **way).expand(
            reference_character_image=PEOPLE
        )
