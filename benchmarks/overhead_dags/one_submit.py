"""(c): one task orders everything, and the sensors start and end in the trigger."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from benchmarks.overhead_orders import PEOPLE, POLL, SCENE
from benchmarks.overhead_patterns import STARTS


@task
def submit_all() -> list[dict[str, Any]]:
    """Order everything, one request after the other."""
    hook = SegmindHook()
    same = {"character_image": SCENE, "select_character": "woman"}
    jobs = [hook.submit(BODY_SWAP_WORKFLOW, {**same, "reference_character_image": person}) for person in PEOPLE]
    return [{"request_id": job.request_id, "poll_url": job.poll_url} for job in jobs]


if STARTS:
    with DAG(dag_id="one_submit", schedule=None):
        BodySwapSensor.partial(task_id="wait", poke_interval=POLL, start_from_trigger=True).expand(
            poll_url=submit_all()
        )
