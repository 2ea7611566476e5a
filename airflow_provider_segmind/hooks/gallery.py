"""Give the gallery in Airflow's UI something to show."""

from __future__ import annotations

import logging

from airflow.providers.common.compat.sdk import Context

from airflow_provider_segmind.api.gallery import XCOM_KEY, GalleryRecord
from airflow_provider_segmind.links import links_of

log = logging.getLogger(__name__)


def show(context: Context, record: GalleryRecord) -> None:
    """
    Show a swap in the gallery, and link to it from its task, from now on: also while the task is deferred.

    Nothing is raised: pictures in the UI must not cost a result.

    :param context: the task's context.
    :param record: what is known of the swap now; it takes the place of what was shown before.
    """
    try:
        ti = context["ti"]
        ti.xcom_push(key=XCOM_KEY, value=record.to_json())
        for key, url in links_of(ti, record).items():
            ti.xcom_push(key=key, value=url)
    except Exception:
        log.warning("This swap is not shown in the gallery; its result is not touched by that.", exc_info=True)
