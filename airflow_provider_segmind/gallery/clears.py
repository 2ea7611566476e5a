"""Who cleared tasks: from Airflow's audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import func, select

from airflow_provider_segmind.api.costs import day_of

EVENTS = ("post_clear_task_instances", "clear_dag_run", "clear_dag_runs")
"""What Airflow's API writes into its audit log when somebody clears tasks or runs."""
MAX_CLEARS = 10_000
"""Lines of the log that are read at most, the newest first."""


def clears(dag_ids: Collection[str], days: int) -> Mapping[tuple[str, str], str]:
    """
    Return by day (UTC) and DAG who cleared tasks of it, and how often, such as ``ana 3, ben 1``.

    :param days: number of days, today included.
    """
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    query = (
        select(Log.dttm, Log.dag_id, func.coalesce(Log.owner_display_name, Log.owner, "somebody"))
        .where(Log.event.in_(EVENTS), Log.dag_id.in_(dag_ids), Log.dttm >= midnight - timedelta(days=days - 1))
        .order_by(Log.dttm.desc())
        .limit(MAX_CLEARS)
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    with create_session(scoped=False) as session:
        for at, dag_id, who in session.execute(query):
            if at is not None and dag_id is not None:
                times = found.setdefault((day_of(at.timestamp()), dag_id), {})
                times[who] = times.get(who, 0) + 1
    return {
        place: ", ".join(f"{who} {number}" for who, number in sorted(times.items())) for place, times in found.items()
    }
