"""A swap whose sensors wait on a worker's account and on none, for an Airflow with a listener."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PICTURES = {"character_image": "{{ params.scene }}", "reference_character_image": "{{ params.person }}"}

with DAG(dag_id="listened", schedule=None, params={name: Param("", type="string") for name in ("scene", "person")}):
    submit = SubmitBodySwapOperator(task_id="submit", **PICTURES)
    BodySwapOperator(task_id="one_task", **PICTURES)
    BodySwapSensor(task_id="waits", poll_url=submit.output["poll_url"])
    BodySwapSensor(task_id="starts", poll_url=submit.output["poll_url"], start_from_trigger=True)
