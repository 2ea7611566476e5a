"""
Look an order up in the account's request history, when its answer was lost.

Segmind documents the history (its SDK's ``generations.history``), but not whether PixelFlow requests appear in it. So
this is best effort: what is found helps, what is not found proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from airflow_provider_segmind.api import flow, protocol
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.orders import Record, digest
from airflow_provider_segmind.api.wire import Request, Response

HISTORY_PATH = "/inference-request/request-history"
PER_PAGE = 100
MAX_PAGES = 10
EARLY = 60.0
"""Seconds that the service's clock may be behind this machine's."""
LATE = flow.PATIENCE + 120.0
"""Seconds after the intent in which the order can have been accepted."""
LOOKS = (0.0, 2.0, 5.0)
"""Seconds to wait before each look; a request may appear a little late."""


@dataclass(frozen=True)
class Row:
    """
    One request of the history.

    :param request_id: its id.
    :param inputs: its inputs, as sent.
    :param created: seconds since the epoch.
    """

    request_id: str
    inputs: Mapping[str, Any]
    created: float


def find(settings: Settings, auth: flow.Auth, record: Record, *, pace: flow.Pace | None = None) -> flow.Flow[list[str]]:
    """
    Look for requests with the inputs of an order, made at its time.

    :param record: the intent whose outcome is unknown.
    :return: their request ids, each once; empty when there is none, or no history.
    :raises SegmindError: when the history does not answer.
    """
    if settings.history_url is None:
        return []
    for seconds in LOOKS:
        if seconds:
            yield flow.Pause(seconds)
        found: list[str] = []
        for page in range(1, MAX_PAGES + 1):
            rows = yield from _page(settings, auth, record, page, pace or flow.Pace())
            found += [row.request_id for row in rows if matches(row, record)]
            if len(rows) < PER_PAGE:
                break
        if found:
            return list(dict.fromkeys(found))  # one row for each output
    return []


def matches(row: Row, record: Record) -> bool:
    """Whether a request was made with an order's inputs and at its time; the service may have added defaults."""
    in_time = record.at - EARLY <= row.created <= record.at + LATE
    return (
        in_time
        and bool(record.sent)
        and all(name in row.inputs and digest(row.inputs[name]) == value for name, value in record.sent.items())
    )


def history_request(settings: Settings, record: Record, page: int, scheme: str) -> Request:
    """Build the GET for one page, newest first."""
    query = {
        "page": page,
        "per_page": PER_PAGE,
        "from_date": _day(record.at - EARLY),
        "to_date": _day(record.at + LATE),
    }
    return Request("GET", f"{settings.history_url}{HISTORY_PATH}?{urlencode(query)}", scheme)


def read_history(settings: Settings, response: Response) -> list[Row]:
    """
    Read one page; rows that lack an id, inputs or a time are left out, since they cannot be recognised.

    :raises SegmindError: when it is no page of a history.
    """
    body = protocol.json_value(response)
    rows = body if isinstance(body, list) else None
    if isinstance(body, dict):
        rows = next((value for value in body.values() if isinstance(value, list)), None)
    if response.status != 200 or rows is None:
        raise protocol.refusal(settings, response, "Segmind's request history did not answer.")
    return list(_rows(rows))


def poll_url_of(settings: Settings, request_id: str) -> str:
    """Return the poll URL of a request found in a history; a guess, to be checked by asking it."""
    return f"{settings.base_url}/workflows/request/{request_id}"


def _page(settings: Settings, auth: flow.Auth, record: Record, page: int, pace: flow.Pace) -> flow.Flow[list[Row]]:
    return (
        yield from flow.repeated(
            settings, auth, lambda scheme: history_request(settings, record, page, scheme), read_history, pace
        )
    )


def _rows(rows: list[Any]) -> Iterator[Row]:
    for row in rows:
        if not isinstance(row, dict):
            continue
        inputs, created = row.get("request_body"), row.get("model_created") or row.get("created_at")
        if isinstance(inputs, str):
            try:
                inputs = json.loads(inputs)
            except ValueError:
                continue
        moment = protocol.moment_of(created) if isinstance(created, str) else None
        if isinstance(inputs, dict) and moment is not None and isinstance(row.get("request_id"), str):
            yield Row(row["request_id"], inputs, moment)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
