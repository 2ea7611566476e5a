"""(b), as the README writes it, but without retries; and the same with sensors that start in the trigger."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from benchmarks.overhead_orders import PEOPLE, POLL, SCENE

for dag_id, starts in {"mapped": False, "mapped_from_trigger": True}.items():
    with DAG(dag_id=dag_id, schedule=None):
        submit = SubmitBodySwapOperator.partial(task_id="submit", character_image=SCENE).expand(
            reference_character_image=PEOPLE
        )
        BodySwapSensor.partial(task_id="wait", poke_interval=POLL, start_from_trigger=starts).expand(
            poll_url=submit.output
        )
