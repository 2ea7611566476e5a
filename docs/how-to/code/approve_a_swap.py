from datetime import timedelta

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, task

from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from airflow_provider_segmind.preview import swap_name, swap_preview
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

PICTURES = {
    "character_image": "s3://aws_default@catalogue/monday.jpg",
    "reference_character_image": "s3://aws_default@catalogue/person.png",
}

with DAG(dag_id="approve_a_swap", schedule=None):

    @task
    def publish(answer, stored):
        # In a mapped task group of Airflow 3.3.2 a rejection does not skip what follows.
        if answer["chosen_options"] != [ApprovalOperator.APPROVE]:
            raise AirflowSkipException("It was rejected.")
        print("Published:", stored["uri"])

    swap = BodySwapOperator(task_id="swap", **PICTURES, retries=2)
    store = SegmindToObjectStorageOperator(
        task_id="store",
        results=swap.output,
        destination="s3://aws_default@catalogue/swaps",
        details={"inputs": PICTURES},
        retries=5,
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Publish {swap_name('store')}?",
        body=swap_preview("store"),
        response_timeout=timedelta(days=3),
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
    store >> approve
    publish(approve.output, store.output)
