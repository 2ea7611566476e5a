"""What the cluster is given to do: swaps one by one, and a batch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

PARAMS = {
    "scene": Param("", type="string", description="URL of the photograph"),
    "people": Param("", type="string", description="URL of a person, with {} for a number"),
    "swaps": Param(0, type="integer"),
    "results": Param("", type="string", description="URI for the batch's results"),
}
RETRYING = {"retries": 9, "retry_delay": timedelta(seconds=3)}


@task(**RETRYING)
def orders() -> list[dict[str, Any]]:
    """As many different orders as the run's conf asks for."""
    params = get_current_context()["params"]
    return [
        {
            "character_image": params["scene"],
            "reference_character_image": params["people"].format(number),
            "select_character": "woman",
        }
        for number in range(params["swaps"])
    ]


with DAG(dag_id="mapped", schedule=None, params=PARAMS):
    submit = SubmitBodySwapOperator.partial(task_id="submit", **RETRYING).expand_kwargs(orders())
    BodySwapSensor.partial(task_id="wait", timeout=3600, **RETRYING).expand(poll_url=submit.output)

with DAG(dag_id="batch", schedule=None, params=PARAMS):
    BodySwapBatchOperator(
        task_id="swap", swaps=orders(), results_uri="{{ params.results }}", max_failures=0, **RETRYING
    )
