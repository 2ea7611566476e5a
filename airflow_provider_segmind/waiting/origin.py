"""
What the upstream task left for a sensor: facts about the job besides its URL, or why there is no job.
The facts serve only metrics and lineage: without them the sensor waits just the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.results import read_handle
from airflow_provider_segmind.compat import AirflowFailException, task_id_of
from airflow_provider_segmind.failures import WrongSettingsError
from airflow_provider_segmind.observability.lineage import INPUTS_KEY, is_listened_to

log = logging.getLogger(__name__)

RETURN_VALUE = "return_value"
_LEFT_NONE = {
    "skipped": "was skipped",
    "failed": "failed",
    "upstream_failed": "did not run, since a task before it failed,",
    "removed": "was removed",
}
"""States of a task that leaves nothing to wait for, in words."""


def known_job(task: Any, poll_url: object, before: str | None, context: Context) -> Mapping[str, Any]:
    """
    Return the known facts of a job: its URL and, if found, ``request_id``, ``workflow`` and ``submitted_at``.

    :param poll_url: the rendered value: the URL, or the whole output of the upstream task.
    :param before: id of the upstream task, if known.
    """
    if isinstance(poll_url, Mapping):
        return read_handle(poll_url)
    known = {"poll_url": poll_url}
    if before is None or not poll_url:
        return known
    try:
        handle = _pull(_task(task, before), RETURN_VALUE, context)
    except Exception as error:  # noqa: BLE001 - only a hint; the job is paid for
        log.debug("What task %s knows of the job cannot be read: %s", before, error)
        return known
    return read_handle(handle) if isinstance(handle, Mapping) and handle.get("poll_url") == poll_url else known


def photographs(task: Any, poll_url: object, before: str | None, context: Context) -> list[str]:
    """Return the job's input URIs for lineage, if OpenLineage is on and the upstream task left them."""
    before = before or _mapped_over(task)
    if before is None or not is_listened_to():
        return []
    try:
        left = _pull(_task(task, before), INPUTS_KEY, context)
    except Exception as error:  # noqa: BLE001 - only a hint; the job is paid for
        log.debug("What the job was made from cannot be read from task %s: %s", before, error)
        return []
    known = isinstance(left, Mapping) and left.get("poll_url") == poll_url
    return [str(uri) for uri in left["inputs"]] if known else []


def nothing_to_wait_for(task: Any, before: str | None, context: Context) -> Exception | None:
    """Return the exception for a sensor without a poll URL, or ``None`` if its upstream task is unknown."""
    before = before or _mapped_over(task) or _only_one_before(task)
    if before is None:
        return None
    state = _state(before, context)
    rule = getattr(task.trigger_rule, "value", task.trigger_rule)
    if state in _LEFT_NONE:
        return AirflowFailException(
            f"There is nothing to wait for: task {before!r} {_LEFT_NONE[state]} and left no order. This sensor ran all "
            f"the same, as its trigger_rule {rule!r} says. Look into the log of {before!r}; to have "
            "this sensor skipped then, leave trigger_rule at 'all_success' or set soft_fail=True."
        )
    ended = f"ended in state {state!r} and" if state else "was skipped or failed, or it"
    return WrongSettingsError(
        f"There is nothing to wait for: task {before!r} {ended} left no poll_url. Look into its log; if it is no task "
        "that orders, give this sensor the output of one, as in poll_url=submit.output['poll_url']."
    )


def _task(task: Any, task_id: str) -> Any:
    return task.get_dag().get_task(task_id)


def _mapped_over(task: Any) -> str | None:
    """Return the id of the task whose output a mapped sensor is mapped over."""
    dag = task.get_dag()
    mapped = dag.task_dict.get(task.task_id) if dag else None
    given = getattr(getattr(mapped, "expand_input", None), "value", None)
    return task_id_of(given.get("poll_url")) if isinstance(given, Mapping) else None


def _only_one_before(task: Any) -> str | None:
    """Return the id of the only upstream task, which a template like ``{{ ti.xcom_pull(…) }}`` must refer to."""
    before = sorted(task.upstream_task_ids)
    return before[0] if len(before) == 1 else None


def _pull(upstream: Any, key: str, context: Context) -> Any:
    """Return an XCom of the upstream task, with the same map index if both are mapped."""
    if upstream.is_mapped:
        ti = context["ti"]
        return ti.xcom_pull(task_ids=upstream.task_id, key=key, map_indexes=ti.map_index)
    return upstream.output[key].resolve(context)


def _state(task_id: str, context: Context) -> str | None:
    """Return the state of a task in this run, or ``None`` if Airflow does not say."""
    ti: Any = context["ti"]
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id])[ti.run_id]
    except Exception as error:  # noqa: BLE001 - only for a more exact message
        log.debug("The state of task %s cannot be read: %s", task_id, error)
        return None
    state = states.get(task_id) or states.get(f"{task_id}_{ti.map_index}")
    return None if state is None else str(getattr(state, "value", state))
