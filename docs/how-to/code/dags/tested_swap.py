from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

with DAG(
    dag_id="tested_swap", schedule=None, params={name: Param("", type="string") for name in ("scene", "person")}
) as dag:
    submit = SubmitBodySwapOperator(
        task_id="submit",
        character_image="{{ params.scene }}",
        reference_character_image="{{ params.person }}",
        select_character="the woman in front",
    )
    BodySwapSensor(task_id="wait", poll_url=submit.output["poll_url"], retries=2, retry_delay=timedelta(seconds=10))
