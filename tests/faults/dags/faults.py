"""DAGs for the fault suite: what each orders, and through which connection, is in the run's conf."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
    SubmitBodySwapOperator,
)
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PARAMS = {
    "conn": Param("segmind_default", type="string"),
    "words": Param("woman", type="string"),
    "scene": Param("", type="string"),
    "people": Param([], type="array"),
    "manifest": Param("", type="string"),
    "results": Param("", type="string"),
}
ORDER = {
    "character_image": "{{ params.scene }}",
    "reference_character_image": "{{ params.people[0] }}",
    "select_character": "{{ params.words }}",
    "segmind_conn_id": "{{ params.conn }}",
}
SHORT = timedelta(seconds=2)


def dag(name: str, at_once: int = 16) -> DAG:
    return DAG(dag_id=name, schedule=None, params=PARAMS, max_active_tasks=at_once)


@task(retries=9, retry_delay=SHORT)
def people() -> list[dict[str, Any]]:
    """One order for each person of the run's conf."""
    params = get_current_context()["params"]
    return [
        {
            "character_image": params["scene"],
            "reference_character_image": person,
            # There are six pictures under many URLs, and a memory knows a swap by its pictures and words.
            "select_character": f"{params['words']}, {person.rpartition('/')[2]}",
            "segmind_conn_id": params["conn"],
        }
        for person in params["people"]
    ]


for dag_id, retries in {"swap": 3, "swap_retry_once": 1, "swap_never_retry": 0}.items():
    with dag(dag_id):
        BodySwapOperator(task_id="swap", retries=retries, retry_delay=SHORT, poll_interval=1.0, timeout=300.0, **ORDER)

with dag("swap_resumes"):
    how = {"retries": 3, "retry_delay": SHORT, "poll_interval": 1.0, "timeout": 300.0}
    BodySwapOperator(task_id="swap", end_in_trigger=False, **how, **ORDER)

with dag("swap_resubmit"):
    BodySwapOperator(task_id="swap", retries=3, retry_delay=SHORT, on_unknown_outcome="resubmit", **ORDER)

with dag("swap_apart"):
    submit = SubmitBodySwapOperator(task_id="submit", retries=3, retry_delay=SHORT, **ORDER)
    BodySwapSensor(
        task_id="swap",
        poll_url=submit.output["poll_url"],
        segmind_conn_id="{{ params.conn }}",
        retries=3,
        retry_delay=SHORT,
        poke_interval=1.0,
        timeout=300.0,
    )

# More at once than the machine has processors only makes each of them late; deferred tasks do not count.
with dag("swap_many", at_once=6):
    BodySwapOperator.partial(
        task_id="swap", retries=9, retry_delay=SHORT, poll_interval=2.0, timeout=600.0
    ).expand_kwargs(people())

# No retries: only a clear is left for what its worker was ordering.
with dag("swap_batch"):
    BodySwapBatchOperator(
        task_id="swap",
        swaps="{{ params.manifest }}",
        results_uri="{{ params.results }}",
        segmind_conn_id="{{ params.conn }}",
        retries=0,
        poll_interval=1.0,
        timeout=300.0,
    )
