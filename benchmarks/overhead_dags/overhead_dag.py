"""N swaps, written in every way that is compared; how many, and where Segmind is, comes from the environment."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators import body_swap
from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from benchmarks.overhead_patterns import BATCHES, ENDS, STARTS
from benchmarks.overhead_peer import PeerSensor, PeerSubmitOperator

SEGMIND = os.environ["OVERHEAD_SEGMIND"]
SCENE = f"{SEGMIND}/samples/scene/0.png"
PEOPLE = [f"{SEGMIND}/samples/person/{number}.png" for number in range(int(os.environ["OVERHEAD_SWAPS"]))]
POLL = 2.0
"""Seconds between polls: the jobs take five."""

# What each process does only once should count for no pattern.
with DAG(dag_id="warm_up", schedule=None):
    warm = PeerSubmitOperator.partial(task_id="submit").expand(request_id=PEOPLE[:16])
    PeerSensor.partial(task_id="wait").expand(request_id=warm.output)

# No retries, so that a resume that Airflow loses is seen as a failed task.
with DAG(dag_id="peer", schedule=None):
    peer = PeerSubmitOperator.partial(task_id="submit").expand(request_id=PEOPLE)
    PeerSensor.partial(task_id="wait").expand(request_id=peer.output)

with DAG(dag_id="mapped", schedule=None):
    submit = SubmitBodySwapOperator.partial(task_id="submit", character_image=SCENE).expand(
        reference_character_image=PEOPLE
    )
    BodySwapSensor.partial(task_id="wait", poke_interval=POLL).expand(poll_url=submit.output)

with DAG(dag_id="one_task_resumed", schedule=None):
    BodySwapOperator.partial(
        task_id="swap", character_image=SCENE, poll_interval=POLL, **({"end_in_trigger": False} if ENDS else {})
    ).expand(reference_character_image=PEOPLE)

if ENDS:
    with DAG(dag_id="one_task", schedule=None):
        BodySwapOperator.partial(task_id="swap", character_image=SCENE, poll_interval=POLL, end_in_trigger=True).expand(
            reference_character_image=PEOPLE
        )


@task
def submit_all() -> list[dict[str, Any]]:
    """Order everything in one task, one request after the other."""
    hook = SegmindHook()
    same = {"character_image": SCENE, "select_character": "woman"}
    jobs = [hook.submit(BODY_SWAP_WORKFLOW, {**same, "reference_character_image": person}) for person in PEOPLE]
    return [{"request_id": job.request_id, "poll_url": job.poll_url} for job in jobs]


if STARTS:
    with DAG(dag_id="mapped_from_trigger", schedule=None):
        BodySwapSensor.partial(task_id="wait", poke_interval=POLL, end_in_trigger=True).expand(poll_url=submit_all())

if BATCHES:
    with DAG(dag_id="batch", schedule=None):
        body_swap.BodySwapBatchOperator(
            task_id="swap",
            swaps=[{"character_image": SCENE, "reference_character_image": person} for person in PEOPLE],
            results=f"{os.environ['OVERHEAD_RESULTS']}/{{{{ run_id }}}}.jsonl",
        )
