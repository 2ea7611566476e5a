from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

FOLDER = "{{ var.value.swap_folder }}"

with DAG(dag_id="one_swap", schedule=None):
    order = SubmitBodySwapOperator(
        task_id="order",
        character_image=f"{FOLDER}/samples/scene-0.png",
        reference_character_image=f"{FOLDER}/samples/person-0.png",
        select_character="woman",
    )
    wait = BodySwapSensor(
        task_id="wait",
        poll_url=order.output["poll_url"],
        timeout=1800,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
    SegmindToObjectStorageOperator(
        task_id="store",
        results=wait.output,
        destination=f"{FOLDER}/pictures",
        name="{dag_id}/{request_id}",
        retries=3,
    )
