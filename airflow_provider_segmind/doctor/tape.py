"""A cassette to read in: its requests by name, the job's polls, the order's output. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_segmind.api.models import TERMINAL
from airflow_provider_segmind.doctor.redaction import JSON, PAGE, TEXT

Entry = Mapping[str, Any]


class Seen(NamedTuple):
    """A value, the request that showed it (the first is 1), and the same more exactly."""

    value: str
    by: int
    more: str = ""


class Tape:
    """The entries of a cassette, by the name of the request; ``host``: the connection's base URL."""

    def __init__(self, host: str, entries: Sequence[Entry]) -> None:
        self.host = host
        self.entries = entries

    def of(self, *steps: str) -> Iterator[tuple[int, Entry]]:
        """Yield the requests of these names, or all, with their numbers."""
        return ((n, one) for n, one in enumerate(self.entries, 1) if not steps or one["step"] in steps)

    def said(self, *steps: str) -> Iterator[tuple[int, Entry]]:
        """Yield those that the service itself has answered, and not refused for a while."""
        return ((n, one) for n, one in self.of(*steps) if is_answer(one))

    @property
    def gone(self) -> tuple[int, ...]:
        """The HTTP codes of what is not there: as of an unknown job, which may be another than 404."""
        return (404, 410, *(one["status"] for _, one in self.said("unknown-job") if one["status"] >= 400))

    def jobs(self) -> Iterator[tuple[int, Entry]]:
        """Yield the polls that were answered with a job's state."""
        return ((n, one) for n, one in self.said("poll") if body(one).get("status"))

    def end(self) -> tuple[int, Entry] | None:
        """Return the poll that saw the job's end."""
        return next(((n, one) for n, one in self.jobs() if str(body(one)["status"]).upper() in TERMINAL), None)

    def output(self) -> tuple[int, Any, list[Mapping[str, Any]]] | None:
        """Return of a COMPLETED job the output as it came, and its list."""
        if (end := self.end()) is None or body(end[1])["status"].upper() != "COMPLETED":
            return None
        given = body(end[1]).get("output")
        inner = given.get(JSON) if isinstance(given, dict) and JSON in given else given
        listed = inner if isinstance(inner, list) else [inner]
        return end[0], given, [one for one in listed if isinstance(one, dict)]

    def where(self, url: str) -> str:
        """Return the host of a URL, or that it is the connection's own."""
        host = urlsplit(url).netloc or "no URL"
        return "the connection's host" if host == urlsplit(self.host).netloc else host

    def order_at(self) -> float | None:
        """Return when the order was sent, in seconds since the epoch."""
        return next((one["at"] for _, one in self.of("order") if one["status"] is None or one["status"] < 300), None)


def is_page(one: Entry) -> bool:
    """Whether an answer is a web page."""
    return isinstance(one["body"], dict) and PAGE in one["body"]


def is_answer(one: Entry) -> bool:
    """Whether an entry is the service's own answer to what was asked."""
    return one["status"] is not None and one["status"] < 500 and one["status"] != 429 and not is_page(one)


def may_be_accepted(one: Entry) -> bool:
    """Whether the answer to an order does not prove that it was refused."""
    if one["status"] is None:
        return bool(one.get("sent"))
    read_as = facts(one).get("read_as", "")
    refused = str(read_as).endswith("Error") and read_as != "OutcomeUnknownError"
    return not refused


def facts(one: Entry) -> Mapping[str, Any]:
    """Return what was noted of an answer besides it."""
    noted: Mapping[str, Any] = one.get("facts", {})
    return noted


def body(one: Entry) -> Mapping[str, Any]:
    """Return the body of an answer, if it is an object."""
    return one["body"] if isinstance(one["body"], dict) else {}


def words_of(one: Entry) -> str:
    """Return the service's plain words about an error."""
    names = (TEXT, PAGE, "error", "error_message", "message", "detail")
    return next((said for name in names if isinstance(said := body(one).get(name), str)), "")


def code(one: Entry) -> str:
    """Return the HTTP status, and whether the body is JSON."""
    kind = "json" if isinstance(one["body"], dict | list) and TEXT not in one["body"] else "no json"
    return f"{one['status']} {kind}"


def last_at(one: Entry) -> float:
    """Return when an entry was last seen, in seconds since the epoch."""
    return float(one.get("until", one["at"]))
