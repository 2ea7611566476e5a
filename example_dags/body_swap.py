"""
One body swap: order it, wait for it without holding a worker, use the picture.

Trigger it with two pictures: https URLs, or paths and storage URIs (s3://…, gs://…, file://…), which are uploaded.
It needs the connection ``segmind_default``: type Segmind, the API key as its password.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

with DAG(
    dag_id="body_swap",
    schedule=None,
    tags=["segmind"],
    doc_md=__doc__,
    params={
        # URLs alone: whoever may trigger this DAG must not choose files of the worker.
        "character_image": Param(type="string", pattern="^https?://", description="The scene to edit."),
        "reference_character_image": Param(type="string", pattern="^https?://", description="The new person."),
        "select_character": Param("woman", type="string", minLength=1, description="Who in the scene is replaced."),
    },
):
    submit = SubmitBodySwapOperator(
        task_id="submit",
        character_image="{{ params.character_image }}",
        reference_character_image="{{ params.reference_character_image }}",
        select_character="{{ params.select_character }}",
    )

    # Waiting costs nothing, so it may be tried again soon; Airflow's own default is to pause for five minutes.
    wait = BodySwapSensor(
        task_id="wait",
        poll_url=submit.output["poll_url"],
        timeout=1800,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )

    @task
    def use(swap: dict[str, Any]) -> str:
        """Do something with the picture; Segmind deletes it after seven days."""
        print(f"Request {swap['request_id']} made {swap['image_url']}")
        return str(swap["image_url"])

    use(wait.output)
