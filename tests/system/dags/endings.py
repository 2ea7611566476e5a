"""Every way in which a waiting task may start and end, in one run; tests/system/test_real_endings.py looks at it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, Param, task

from airflow_provider_segmind.operators.body_swap import BodySwapOperator, SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor


def note(context: Any) -> None:
    """Leave a file that says which task's callback ran, and in which process."""
    ti = context["ti"]
    Path(os.environ["AIRFLOW_HOME"], f"callback-{ti.task_id}-{ti.try_number}").write_text(str(os.getpid()))


PICTURES = {
    "character_image": "{{ params.scene }}",
    "reference_character_image": "{{ params.person }}",
}
RETRY: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(seconds=1)}

with DAG(
    dag_id="endings", schedule=None, params={name: Param("", type="string") for name in ("scene", "person")}
) as dag:
    failing = SubmitBodySwapOperator(task_id="submit_failing", **PICTURES)
    submit = SubmitBodySwapOperator(task_id="submit", **PICTURES)
    poll_url = submit.output["poll_url"]

    BodySwapSensor(task_id="plain", poll_url=poll_url)
    BodySwapSensor(task_id="never", poll_url=poll_url, end_in_trigger=False)
    BodySwapSensor(task_id="with_callback", poll_url=poll_url, on_success_callback=note)
    BodySwapSensor(task_id="callback_forced", poll_url=poll_url, on_success_callback=note, end_in_trigger=True)
    BodySwapSensor(task_id="with_outlet", poll_url=poll_url, outlets=[Asset("swapped")])
    swap = BodySwapOperator(task_id="one_task", **PICTURES)
    measured = BodySwapSensor(task_id="mapped_over", poll_url=poll_url)

    @task
    def each(entry: Any) -> Any:
        """Take one entry of a result."""
        return entry

    each.expand(entry=measured.output)

    BodySwapSensor(task_id="skips", poll_url=failing.output["poll_url"], soft_fail=True)
    BodySwapSensor(task_id="fails", poll_url=failing.output["poll_url"])
    BodySwapSensor(task_id="fails_for_good", poll_url=failing.output["poll_url"], **RETRY)
    BodySwapSensor(task_id="fails_with_callback", poll_url=failing.output["poll_url"], on_failure_callback=note)

    empty = SubmitBodySwapOperator(task_id="submit_empty", **{**PICTURES, "select_character": "nobody at all"})
    BodySwapSensor(task_id="retries", poll_url=empty.output["poll_url"], start_from_trigger=True, **RETRY)

    mapped = SubmitBodySwapOperator.partial(
        task_id="submits", reference_character_image="{{ params.person }}", character_image="{{ params.scene }}"
    ).expand(select_character=["woman", "man", "girl"])

    @task
    def listed(jobs: Any) -> list[dict[str, Any]]:
        """Return all handles in one list, as one task that ordered them all does."""
        return list(jobs)

    handles = listed(mapped.output)
    BodySwapSensor.partial(task_id="ends_mapped").expand(poll_url=mapped.output)
    BodySwapSensor.partial(task_id="starts_after_mapped", start_from_trigger=True).expand(poll_url=mapped.output)
    BodySwapSensor.partial(task_id="starts_after_list", start_from_trigger=True).expand(poll_url=handles)
    BodySwapSensor.partial(task_id="starts_elsewhere", start_from_trigger=True).expand(
        poll_url=mapped.output.map(lambda job: job["poll_url"])
    )
    BodySwapSensor(task_id="starts", poll_url=poll_url, start_from_trigger=True)
    BodySwapSensor(
        task_id="starts_with_text",
        poll_url="{{ ti.xcom_pull(task_ids='submit', key='poll_url', map_indexes=-1) }}",
        start_from_trigger=True,
    ).set_upstream(submit)
    BodySwapSensor(task_id="starts_with_callback", poll_url=poll_url, start_from_trigger=True, on_success_callback=note)
    BodySwapSensor(
        task_id="starts_and_skips", poll_url=failing.output["poll_url"], start_from_trigger=True, soft_fail=True
    )
    BodySwapSensor(
        task_id="starts_and_fails_for_good", poll_url=failing.output["poll_url"], start_from_trigger=True, **RETRY
    )

    failing >> [submit, swap, empty, mapped]
