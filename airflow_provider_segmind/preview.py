"""Pictures for the form in which a person approves a swap."""

from __future__ import annotations

from airflow_provider_segmind.api.gallery import SLOTS


def swap_preview(task_id: str) -> str:
    """
    Return the body of an approval that shows the scene, the new person and the result of a swap, side by side.

    It is Markdown with templates that Airflow fills in: ``ApprovalOperator(body=swap_preview("store"), …)``. A mapped
    approval shows the swap with the same map index. Addresses are relative, so it also works under a path of
    ``[api] base_url``.

    :param task_id: the task whose swap is shown: the one that stores the result, or that orders it. A mapped task is
        shown by a mapped approval only.
    :return: Markdown with Jinja templates.
    """
    # A dot of a task group is no harm in a path; whatever else a task id may hold is letters, digits, "-" and "_".
    swap = f"{{{{ dag.dag_id | urlencode }}}}/{{{{ run_id | urlencode }}}}/{task_id}/{{{{ ti.map_index }}}}"
    pictures = " | ".join(f"![{slot}](segmind/image/{swap}/{slot}?size=small)" for slot in SLOTS)
    gallery = "dags/{{ dag.dag_id | urlencode }}/runs/{{ run_id | urlencode }}/plugin/body-swaps-run"
    return f"| Before | Reference | After |\n|---|---|---|\n| {pictures} |\n\n[All swaps of this run]({gallery})\n"
