"""Pictures for the form in which a person approves a swap."""

from __future__ import annotations

from airflow_provider_segmind.api.gallery import SLOTS


def swap_preview(task_id: str) -> str:
    """
    Return the body of an approval that shows scene, new person and result of a swap side by side.

    The body is Markdown with templates that Airflow fills in: ``ApprovalOperator(body=swap_preview("store"), …)``. A
    mapped approval shows the swap with the same map index. Addresses are relative, so they also work if ``[api]
    base_url`` has a path.

    :param task_id: the task whose swap is shown: the one that stores the result, or the one that orders it. Only a
        mapped approval can show a mapped task.
    :return: Markdown with Jinja templates.
    """
    # A task id needs no quoting: letters, digits, "-", "_", and the dot of a task group are safe in a path.
    swap = f"{{{{ dag.dag_id | urlencode }}}}/{{{{ run_id | urlencode }}}}/{task_id}/{{{{ ti.map_index }}}}"
    pictures = " | ".join(f"![{slot}](segmind/image/{swap}/{slot}?size=small)" for slot in SLOTS)
    gallery = "dags/{{ dag.dag_id | urlencode }}/runs/{{ run_id | urlencode }}/plugin/body-swaps-run"
    return f"| Before | Reference | After |\n|---|---|---|\n| {pictures} |\n\n[All swaps of this run]({gallery})\n"
