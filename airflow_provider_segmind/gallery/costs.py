"""The page of costs, made from the memory of swaps and Airflow's audit log. It runs no script."""

from __future__ import annotations

import html
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

from airflow.models.log import Log
from airflow.utils.session import create_session
from fastapi import Response
from sqlalchemy import func, select

from airflow_provider_segmind.api.costs import Costs, Row, day_of, only
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.memory.costs import reader_of
from airflow_provider_segmind.memory.store import the_memory

Choose = Callable[[set[str]], set[str]]
DAYS, MAX_DAYS = 30, 366
SECONDS = 4.0
"""Time that one request reads the memory at most; the next one goes on where it stopped."""
MAX_ROWS = 2000
_CLEARS = ("post_clear_task_instances", "clear_dag_run", "clear_dag_runs")
"""What Airflow's API writes into its audit log when somebody clears tasks or runs."""
_MAX_CLEARS = 10_000
"""Lines of the log that are read at most, the newest first."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}
_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.4rem } nav a { margin-right: 1rem } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
caption { text-align: left; padding: .5rem 0 } th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left } thead th, tfoot th, tfoot td { font-weight: 600 }
thead, tbody tr { border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent) }
"""
_COLUMNS = (
    ("Day (UTC)", "the day on which it was ordered or reused"),
    ("DAG", ""),
    ("Ordered", "orders that Segmind accepted"),
    ("Spent", "what they cost, at the configured price"),
    ("Reused", "swaps that were taken without paying"),
    ("Saved", "what they would have cost"),
    ("Failed", "orders whose job FAILED"),
    ("Replaced", "orders whose picture was rejected, or replaced by a later order"),
    ("Lost", "orders whose picture nobody stored in time"),
    ("Wasted", "the cost of what failed, was replaced or lost"),
    ("Unknown", "orders that may be accepted; they are in no sum"),
    ("Cleared by", "who cleared tasks of this DAG on this day, and how often"),
)


def costs_page(days: int, readable: Choose, logged: Choose) -> Response:
    """Return the page; ``readable`` and ``logged`` choose the DAGs whose data and audit log the user may read."""
    try:
        every = reader_of(the_memory()).costs(days, seconds=SECONDS)
    except SegmindError as error:
        return _page(days, f"<p role='alert'>{html.escape(str(error))}</p>", 503)
    costs = only(every, readable({row.dag_id for row in every.rows}))
    who = _clears(logged({row.dag_id for row in costs.rows}), days)
    return _page(days, _table(costs, who) + ("" if every.is_whole else _PARTIAL))


_PARTIAL = "<p role='status'>These are not all orders yet: reading the memory takes longer. Load the page again.</p>"


def _page(days: int, body: str, status: int = 200) -> Response:
    choices = "".join(
        f"<a href='?days={number}'{' aria-current=page' if number == days else ''}>{number} days</a>"
        for number in (7, 30, 90, 366)
    )
    text = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Costs of body swaps</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body><main>"
        "<h1>Costs of body swaps</h1><nav aria-label='Pages'><a href='../plugin/body-swaps'>Body swaps</a>"
        f"{choices}</nav>{body}</main></body></html>"
    )
    return Response(text, status, _HEADERS, "text/html; charset=utf-8")


def _table(costs: Costs, who: Mapping[tuple[str, str], str]) -> str:
    if not costs.rows:
        return "<p>Nothing was ordered or reused on these days by the DAGs that you may read.</p>"
    head = "".join(f"<th scope='col' title='{html.escape(said)}'>{name}</th>" for name, said in _COLUMNS)
    rows = "".join(
        f"<tr>{_cells(row, row.day, row.dag_id, who.get((row.day, row.dag_id), ''))}</tr>"
        for row in costs.rows[:MAX_ROWS]
    )
    shown = "" if len(costs.rows) <= MAX_ROWS else f" The newest {MAX_ROWS:,} lines are shown; the sum is of all."
    return (
        f"<div class='scroll' tabindex='0'><table><caption>By day and DAG, in US dollars.{shown}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody><tfoot><tr>{_cells(costs.total, 'All', '')}</tr></tfoot>"
        "</table></div>"
    )


def _cells(row: Row, day: str, dag_id: str, who: str = "") -> str:
    numbers = (
        f"{row.ordered:,}",
        f"${row.spent:,.2f}",
        f"{row.reused:,}",
        f"${row.saved:,.2f}",
        f"{row.failed:,}",
        f"{row.replaced:,}",
        f"{row.lost:,}",
        f"${row.wasted:,.2f}",
        f"{row.unknown:,}",
        html.escape(who),
    )
    return f"<th scope='row'>{day}</th><td>{html.escape(dag_id)}</td>" + "".join(f"<td>{one}</td>" for one in numbers)


def _clears(dag_ids: Collection[str], days: int) -> Mapping[tuple[str, str], str]:
    """Return by day (UTC) and DAG who cleared tasks of it in the last days, and how often: ``ana 3, ben 1``."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    query = (
        select(Log.dttm, Log.dag_id, func.coalesce(Log.owner_display_name, Log.owner, "somebody"))
        .where(Log.event.in_(_CLEARS), Log.dag_id.in_(dag_ids), Log.dttm >= midnight - timedelta(days=days - 1))
        .order_by(Log.dttm.desc())
        .limit(_MAX_CLEARS)
    )
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with create_session(scoped=False) as session:
        for at, dag_id, who in session.execute(query):
            if at is not None and dag_id is not None:
                found[day_of(at.timestamp()), dag_id][who] += 1
    return {
        place: ", ".join(f"{who} {number}" for who, number in sorted(times.items())) for place, times in found.items()
    }
