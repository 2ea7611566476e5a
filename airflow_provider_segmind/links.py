"""Buttons on a task's page: its swap in the gallery, and the result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_segmind.api.gallery import GalleryRecord

TASK_TAB = "body-swaps-task"
_PICTURE = "_segmind_picture_url"
"""Attribute of an operator: the address of the picture that it stored; ``swap_result`` is what it waited for."""


class BeforeAfterLink(BaseOperatorLink):
    """Link to the gallery's tab of the task."""

    name = "Before / after"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the tab's address relative to Airflow's own, which a worker need not know."""
        return task_tab(ti_key)


class ResultPictureLink(BaseOperatorLink):
    """Link to the result in full size: the stored file or, for a task that waited, Segmind's copy, kept for a week."""

    name = "Result picture"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the picture's address, or an empty string if there is none yet."""
        # Airflow asks the task that has run, which knows. An XCom that is not there would be an error in its log.
        return getattr(operator, _PICTURE, "") or result_url(getattr(operator, "swap_result", None))


def task_tab(ti: Any) -> str:
    """Return the address of a task's tab in the gallery, relative to Airflow's own."""
    return f"{_task_url(ti)}/plugin/{TASK_TAB}"


def picture_url(ti: Any, slot: str = "after") -> str:
    """
    Return the gallery's address of a task's picture, relative to Airflow's own address.

    :param ti: a task instance or its key.
    :param slot: ``before``, ``reference`` or ``after``.
    """
    where = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index), slot)
    return "segmind/image/" + "/".join(quote(part, safe="") for part in where)


def result_url(result: object) -> str:
    """Return the URL of a result's picture, or an empty string; only http(s), as Segmind's answer is not trusted."""
    url = result.get("image_url") if isinstance(result, Mapping) else None
    return url if isinstance(url, str) and url.lower().startswith(("https://", "http://")) else ""


def note_picture(ti: Any, record: GalleryRecord) -> None:
    """Let a task know the address of the picture that it stored, for its link."""
    operator = getattr(ti, "task", None)
    if operator is not None and record.after:
        setattr(operator, _PICTURE, picture_url(ti))


def before_after(ti: Any) -> dict[str, str]:
    """Return the link to a task's swap, by its XCom key."""
    link = BeforeAfterLink()
    return {link.xcom_key: link.get_link(None, ti_key=ti)}


def result_picture(result: object) -> dict[str, str]:
    """Return the link to a result's picture, by its XCom key; empty if there is no picture."""
    url = result_url(result)
    return {ResultPictureLink().xcom_key: url} if url else {}


def links_of(ti: Any, record: GalleryRecord) -> dict[str, str]:
    """Return the links that can be shown before the task has ended, by XCom key."""
    # Airflow writes links only when a task ends on a worker: too late for a deferred task, and never for a task that
    # ends in the triggerer.
    operator = getattr(ti, "task", None)
    own = getattr(operator, "operator_extra_links", ())
    links = {link.xcom_key: link.get_link(operator, ti_key=ti) for link in own if isinstance(link, BeforeAfterLink)}
    if record.after:
        links |= {link.xcom_key: picture_url(ti) for link in own if isinstance(link, ResultPictureLink)}
    return links


def _task_url(ti: Any) -> str:
    run = f"dags/{quote(ti.dag_id, safe='')}/runs/{quote(ti.run_id, safe='')}/tasks/{quote(ti.task_id, safe='')}"
    return run if ti.map_index is None or ti.map_index < 0 else f"{run}/mapped/{ti.map_index}"
