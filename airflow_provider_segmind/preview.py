"""Pictures for the form in which a person approves a swap."""

from __future__ import annotations

from airflow_provider_segmind.api.gallery import SLOTS, XCOM_KEY


def swap_preview(task_id: str, *, checks: str | None = None) -> str:
    """
    Return the body of an approval that shows scene, new person and result of a swap side by side.

    The body is Markdown with templates that Airflow fills in: ``ApprovalOperator(body=swap_preview("store"), …)``. A
    mapped approval shows the swap with the same map index. Addresses are relative, so they also work if ``[api]
    base_url`` has a path.

    :param task_id: the task whose swap is shown: the one that stores the result, or the one that orders it. Only a
        mapped approval can show a mapped task.
    :param checks: the task of a ``CheckSwapOperator`` whose findings are listed below the pictures.
    :return: Markdown with Jinja templates.
    """
    # A task id needs no quoting: letters, digits, "-", "_", and the dot of a task group are safe in a path.
    swap = f"{{{{ dag.dag_id | urlencode }}}}/{{{{ run_id | urlencode }}}}/{task_id}/{{{{ ti.map_index }}}}"
    # Another attempt, as after a clear, asks about another picture: no browser may show the one before.
    kept = "size=small&v={{ ti.try_number }}"
    pictures = " | ".join(f"![{slot}](segmind/image/{swap}/{slot}?{kept})" for slot in SLOTS)
    gallery = "dags/{{ dag.dag_id | urlencode }}/runs/{{ run_id | urlencode }}/plugin/body-swaps-run"
    found = "" if checks is None else _FINDINGS.replace("PULLED", _pulled(checks, "report"))
    return (
        f"| Before | Reference | After |\n|---|---|---|\n| {pictures} |\n\n{found}[All swaps of this run]({gallery})\n"
    )


def swap_name(task_id: str) -> str:
    """
    Return a template for the name of a swap, as on its card in the gallery: the name of the photograph's file.

    :param task_id: the task whose swap is meant, as for :func:`swap_preview`.
    :return: Jinja, for the subject of an approval: ``subject=f"Publish {swap_name('store')}?"``.
    """
    return f"{{{{ ({_pulled(task_id, XCOM_KEY)} or {{}}).get('label') or 'this picture' }}}}"


_FINDINGS = (
    "{% set found = (PULLED or {}).get('findings', []) %}"
    "{% if found %}The checks found:\n\n{% for one in found %}* {{ one }}\n{% endfor %}\n"
    "{% else %}The checks found nothing.\n\n{% endif %}"
)


def _pulled(task_id: str, key: str) -> str:
    return f"ti.xcom_pull(task_ids='{task_id}', key='{key}', map_indexes=ti.map_index)"
