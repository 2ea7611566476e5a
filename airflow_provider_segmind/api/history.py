"""
Look up an order in the account's request history when its answer was lost.

Segmind documents the history (its SDK's ``generations.history``), but not whether it lists PixelFlow requests. So this
is best effort: a match helps, no match proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_segmind.api import answers, flow, refusals
from airflow_provider_segmind.api.errors import InvalidRequestError, RateLimitError, ServiceError, TransportError
from airflow_provider_segmind.api.models import TERMINAL, Settings
from airflow_provider_segmind.api.orders import OrderRecord, digest
from airflow_provider_segmind.api.patience import PACE
from airflow_provider_segmind.api.wire import Request, Response

HISTORY_PATH = "/inference-request/request-history"
PER_PAGE = 100
MOST_PARTS = 50_000
"""Most values on a page, roughly; only workers read it, so no event loop waits."""
MOST_PAGES = 1000
"""Most pages to fetch: 100,000 requests."""
EARLY = 60.0
"""Seconds by which the service's clock may be behind this machine's."""
LATE = flow.PATIENCE + 120.0
"""Seconds after the intent within which the order can be accepted."""
PATIENCE = 300.0
"""Seconds that a worker waits for the history about one order, outages included."""
LOOK_STEP = 15.0
"""Longest pause in seconds between two looks; a request may appear a little late."""
SETTLED = 60.0
"""Seconds after which the history lists every accepted order, if it lists orders at all."""
LONGER = 3.0
"""An order may take this many times the slowest listed job until a history of ended jobs lists it."""
USUAL = 40.0
"""Assumed job duration in seconds if the history lists nothing of that time."""
SLOW = 300.0
"""Assumed job duration in seconds if the history does not give one."""


@dataclass(frozen=True)
class Row:
    """
    One request in the history.

    :param inputs: the inputs as sent.
    :param created: seconds since the epoch.
    :param running: whether the history says that the request has not ended.
    :param took: seconds, if the history says so.
    """

    request_id: str
    inputs: Mapping[str, Any]
    created: float
    running: bool = False
    took: float | None = None


@dataclass(frozen=True)
class Listing:
    """
    Rows of the history.

    :param rows: the requests that can be recognised, newest first.
    :param complete: whether no row was left out that could be an order.
    :param size: number of all rows listed.
    """

    rows: tuple[Row, ...]
    complete: bool
    size: int

    def and_also(self, other: Listing) -> Listing:
        """Return what two readings of the same history list together."""
        return Listing(self.rows + other.rows, self.complete and other.complete, max(self.size, other.size))


def find(
    settings: Settings, auth: flow.Auth, record: OrderRecord, *, clock: Callable[[], float], pace: flow.Pace = PACE
) -> flow.Flow[list[str]]:
    """
    Look for requests with an order's inputs, made at its time; five minutes at most, outages included.

    Goes on until the history must list the order, since another order with the same inputs may be listed first. An
    order with an input of its own is recognised at once.

    :param record: the intent whose outcome is unknown.
    :return: unique request ids; empty if there is none, or no history.
    :raises SegmindError: if the history does not answer.
    """
    if record.request_id:
        return [record.request_id]
    if settings.history_url is None:
        return []
    give_up, errors, looks, found = clock() + PATIENCE, 0, 0, list[str]()
    search = Search(record.at, record.at)
    while True:
        try:
            listing = yield from search.page(settings, auth, pace=pace)
        except (RateLimitError, ServiceError, TransportError) as error:
            if clock() >= give_up:
                error.message += f" Before, it showed: {', '.join(found)}." if found else ""
                raise
            errors += 1
            seconds = pace.after_429(error, errors) if isinstance(error, RateLimitError) else pace.backoff(errors)
            seconds = min(seconds, give_up - clock())
            yield flow.Pause(seconds, f"the request history is asked again in {seconds:.0f} s: {error}")
            continue
        errors = 0
        if listing is None and clock() < give_up:
            continue
        rows = [row for row in (search.listing() if listing is None else listing).rows if in_time(row, record.at)]
        # The history has one row per output. What one look showed counts, even if the next one misses it.
        found = list(dict.fromkeys([*found, *(row.request_id for row in rows if _is_candidate(row, record))]))
        accepted = record.at + settings.connect_timeout + settings.read_timeout
        settled = min(settled_at(accepted, rows), give_up)
        if (found and record.own) or clock() >= settled:
            return found
        looks += 1
        search = Search(record.at, record.at)
        yield flow.Pause(min(2.0**looks, LOOK_STEP, max(settled - clock(), 0.0) + 0.1))


def _is_candidate(row: Row, record: OrderRecord) -> bool:
    return row.request_id not in record.replaced and matches(row, record)


def settled_at(accepted: float, rows: Sequence[Row]) -> float:
    """
    Return the time from which the history must list an order; it may list only ended requests.

    :param accepted: latest time, in seconds since the epoch, at which the order can have been accepted.
    :param rows: the rows listed for that time.
    """
    if any(row.running for row in rows):
        return accepted + SETTLED
    slowest = max((SLOW if row.took is None else row.took for row in rows), default=USUAL)
    return accepted + SETTLED + LONGER * slowest


class Search:
    """
    Fetches all requests made in a time span, page by page, for all orders of a batch at once.

    :param start: seconds since the epoch.
    :param end: seconds since the epoch.
    """

    def __init__(self, start: float, end: float) -> None:
        self._start = start
        self._end = end
        self._pages: list[Listing] = []

    def page(self, settings: Settings, auth: flow.Auth, *, pace: flow.Pace | None = None) -> flow.Flow[Listing | None]:
        """Fetch one more page, and return all rows; ``None`` while there are more pages."""
        if settings.history_url is None:
            return Listing((), complete=False, size=0)
        number = len(self._pages) + 1
        page = yield from _page(settings, auth, (self._start, self._end), number, pace or flow.Pace())
        self._pages.append(page)
        # Newest first, but a request that ended late may stand before a newer one: the whole page must be old.
        past = bool(page.rows) and max(row.created for row in page.rows) < self._start - EARLY
        ended = page.size < PER_PAGE or past
        if not ended and number < MOST_PAGES:
            return None
        return self.listing(ended=ended)

    def listing(self, *, ended: bool = False) -> Listing:
        """Return the rows of the pages so far; ``ended`` says whether there are no more."""
        rows = tuple(row for listed in self._pages for row in listed.rows)
        complete = ended and all(listed.complete for listed in self._pages)
        return Listing(rows, complete, sum(listed.size for listed in self._pages))


def matches(row: Row, record: OrderRecord) -> bool:
    """Whether a request has an order's inputs and time; the service may have added defaults."""
    return made_by(row, record.at, record.sent)


def made_by(row: Row, at: float, sent: Mapping[str, str]) -> bool:
    """
    Whether a request can be the order.

    :param at: time of the order's intent in seconds since the epoch.
    :param sent: digest of each input, by name.
    """
    return (
        in_time(row, at)
        and bool(sent)
        and all(name in row.inputs and digest(row.inputs[name]) == value for name, value in sent.items())
    )


def in_time(row: Row, at: float) -> bool:
    """Whether a request was made at the time of an order's intent."""
    return at - EARLY <= row.created <= at + LATE


def history_request(settings: Settings, span: tuple[float, float], page: int, scheme: str) -> Request:
    """Build the GET for one page of a span (seconds since the epoch), newest first."""
    query = {
        "page": page,
        "per_page": PER_PAGE,
        "from_date": _day(span[0] - EARLY),
        "to_date": _day(span[1] + LATE),
    }
    return Request("GET", f"{settings.history_url}{HISTORY_PATH}?{urlencode(query)}", scheme)


def read_history(settings: Settings, response: Response) -> Listing:
    """
    Read one page, without rows that lack an id, inputs or a time.

    :raises SegmindError: if the answer is no page of a history.
    """
    body = refusals.json_value(settings, response, most=MOST_PARTS)
    rows = body if isinstance(body, list) else None
    if isinstance(body, dict):
        rows = next((value for value in body.values() if isinstance(value, list)), None)
    if response.status == 404:
        raise InvalidRequestError(
            "Segmind has no request history at this address.",
            status=404,
            detail=refusals.detail_of(settings, response),
        )
    if response.status != 200 or rows is None:
        raise refusals.refusal(settings, response, "Segmind's request history did not answer.")
    read = tuple(_rows(settings, rows))
    return Listing(read, complete=len(read) == len(rows), size=len(rows))


def poll_url_of(settings: Settings, request_id: str) -> str:
    """Return the likely poll URL of a request in the history; the caller must check it by polling."""
    return f"{settings.base_url}/workflows/request/{quote(request_id, safe='')}"


def _page(
    settings: Settings, auth: flow.Auth, span: tuple[float, float], page: int, pace: flow.Pace
) -> flow.Flow[Listing]:
    return (
        yield from flow.repeated(
            settings, auth, lambda scheme: history_request(settings, span, page, scheme), read_history, pace
        )
    )


def _rows(settings: Settings, rows: list[Any]) -> Iterator[Row]:
    for row in rows:
        if not isinstance(row, dict):
            continue
        inputs, created = row.get("request_body"), row.get("model_created") or row.get("created_at")
        if isinstance(inputs, str):
            try:
                inputs = answers.read_json(inputs, settings.api_key)
            except ValueError:
                continue
        moment = refusals.moment_of(created) if isinstance(created, str) else None
        request_id = answers.name(refusals.text_of(row.get("request_id")))
        if isinstance(inputs, dict) and moment is not None and request_id:
            yield Row(request_id, inputs, moment, *_progress(row, moment))


def _progress(row: Mapping[str, Any], created: float) -> tuple[bool, float | None]:
    """Return whether a request is running, and its duration in seconds; ``(False, None)`` if unknown."""
    latency, completed = row.get("latency_ms"), row.get("model_completed")
    if refusals.text_of(row.get("model_status")).upper() in TERMINAL and latency is None and completed is None:
        return False, None
    if isinstance(latency, (int, float)):
        return False, latency / 1000 if 0 <= latency < 1e12 else None
    ended = refusals.moment_of(completed) if isinstance(completed, str) else None
    if ended is not None:
        return False, max(0.0, ended - created)
    return "latency_ms" in row or "model_completed" in row, None


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
