"""Read a cassette: its requests by name, and what the free ones show, one value for each belief. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_segmind.api.models import TERMINAL
from airflow_provider_segmind.emulator.like import JSON, LIMIT, PAGE, TEXT

_ROW = ("request_id", "request_body", "model_status")
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


Reader = Callable[[Tape], Seen | None]


def each(say: Callable[[Tape, Entry], str | tuple[str, str] | None], *steps: str) -> Reader:
    """Return what reads single answers: the first that shows a value, or a value and what it is more exactly."""

    def read(tape: Tape) -> Seen | None:
        for number, one in tape.said(*steps):
            if (seen := say(tape, one)) is not None:
                return Seen(seen, number) if isinstance(seen, str) else Seen(seen[0], number, seen[1])
        return None

    return read


def _reach(tape: Tape) -> Seen | None:
    asked = list(tape.of("bearer", "x-api-key", "wrong-key", "upload", "file", "history"))
    bad = {f"{urlsplit(one['url']).netloc}: {what}": number for number, one in asked if (what := _no_answer(one))}
    if bad:
        why = dict.fromkeys(one["failure"].partition(": ")[2] for _, one in asked if one["status"] is None)
        return Seen("; ".join(bad), min(bad.values()), "; ".join(filter(None, why)))
    return next((Seen("all answer", number) for number, one in asked if one["step"] in ("bearer", "wrong-key")), None)


def _no_answer(one: Entry) -> str:
    if one["status"] is None:
        return one["failure"].partition(":")[0] or "no answer"
    if is_page(one):
        return f"a web page with HTTP {one['status']}"
    if 300 <= one["status"] < 400:
        return "a redirect"
    return f"HTTP {one['status']}" if one["status"] >= 500 else ""


def _clock(_: Tape, one: Entry) -> str | tuple[str, str] | None:
    if (skew := facts(one).get("skew")) is None:
        return None
    said = f"{abs(skew)} s {'ahead' if skew > 0 else 'behind'}"
    return ("within 30 s", said) if abs(skew) <= 30 else said


def _speed(tape: Tape) -> Seen | None:
    # The slowest, since it may be an order; but not files, which are large.
    took = [(one["took"], number) for number, one in tape.said() if one["key"] != "no key"]
    if not took:
        return None
    slowest, number = max(took)
    more = f"{slowest:.1f} s at most, {statistics.median(seconds for seconds, _ in took):.1f} s in the median"
    return Seen("below 10 s" if slowest < 10 else f"{slowest:.0f} s", number, more)


def _auth(tape: Tape) -> Seen | None:
    asked = list(tape.said("bearer", "x-api-key"))
    taken = {one["step"]: n for n, one in asked if one["status"] == 200 or _has_no_balance(one)}
    refused = {one["step"]: n for n, one in asked if one["status"] in (401, 403)}
    if taken and "bearer" in taken | refused:
        return Seen(" and ".join(taken), min(taken.values()))
    return Seen("neither", min(refused.values())) if len(refused) == 2 else None


def _has_no_balance(one: Entry) -> bool:
    return one["status"] == 404 and "credits" in words_of(one).lower()


def _credits(_: Tape, one: Entry) -> str | None:
    if _has_no_balance(one):
        return "no balance"
    if one["status"] == 200:
        return ", ".join(sorted({"credits", "free-credits"} & body(one).keys()) or list(body(one))[:6]) or "no name"
    return None if one["status"] in (401, 403) else code(one)


def _limit_headers(tape: Tape) -> Seen | None:
    told: dict[str, int] = {}
    last = 0
    for last, one in tape.said():
        for name, value in one["headers"].items():
            moves = any(part in name for part in ("remaining", "reset", "used"))
            told |= {name if moves else f"{name}: {value}": last} if LIMIT.search(name) else {}
    return Seen("; ".join(sorted(told)) or "none", min(told.values(), default=last)) if last else None


def _polls_count(_: Tape, one: Entry) -> tuple[str, str] | None:
    for name, value in one["headers"].items():
        last, polls = one.get("last", {}).get(name, ""), one.get("counted", 1)
        if LIMIT.search(name) and "remaining" in name and f"{value}{last}".isdigit() and last and polls >= 4:
            # Some of the other requests in between count, too.
            fell = int(value) - int(last)
            return "they count" if 2 * fell > polls else "they do not count", f"{fell} for {polls} polls"
    return None


def _code(_: Tape, one: Entry) -> str:
    return code(one)


def _read_as(_: Tape, one: Entry) -> str:
    return f"{code(one)}, read as {facts(one).get('read_as', 'nothing')}"


def _uploaded(one: Entry) -> tuple[str, str]:
    """Return name and first URL of a list of URLs."""
    lists = ((name, str(value[0])) for name, value in body(one).items() if isinstance(value, list) and value)
    return next(((name, url) for name, url in lists if url.startswith("http")), ("", ""))


def _upload_name(_: Tape, one: Entry) -> str:
    return _uploaded(one)[0] or f"{code(one)}: {', '.join(body(one)) or 'no name'}"


def _upload_host(tape: Tape, one: Entry) -> str | None:
    return tape.where(_uploaded(one)[1]) if _uploaded(one)[1] else None


def _upload_url(_: Tape, one: Entry) -> str | None:
    return query_of(_uploaded(one)[1]) if _uploaded(one)[1] else None


def query_of(url: str) -> str:
    """Return the names in a URL's query."""
    query = urlsplit(url).query.replace("=…", "").replace("&", ", ")
    return (query or "without a query") if url.startswith("http") else "no URL"


def fetched(tape: Tape, one: Entry) -> tuple[str, str]:
    """Return what a file is, and where it was found."""
    said = "the same file" if facts(one).get("same") else facts(one).get("format") or f"HTTP {one['status']}"
    return said, f"after a redirect to {tape.where(one['url'])}" if facts(one).get("redirected") else ""


def rows_of(one: Entry) -> list[Mapping[str, Any]] | None:
    """Return the rows of a history; ``None`` if it is none."""
    said = one["body"] if one["status"] == 200 else None
    listed = next((part for part in said.values() if isinstance(part, list)), None) if isinstance(said, dict) else said
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else None


def _history(tape: Tape) -> Seen | None:
    seen = None
    for number, one in tape.said("history", "history-order"):
        rows = rows_of(one)
        seen = Seen(code(one) if rows is None else "requests" if rows else "an empty list", number)
        if rows:
            break
    return seen


def _history_names(_: Tape, one: Entry) -> str | None:
    for row in rows_of(one) or []:
        missing = [name for name in _ROW if name not in row]
        missing += [] if {"model_created", "created_at"} & row.keys() else ["a time"]
        return f"without {', '.join(missing)}" if missing else "as documented"
    return None


FREE: dict[str, Reader] = {
    "reach": _reach,
    "clock": each(_clock, "bearer", "wrong-key"),
    "speed": _speed,
    "auth": _auth,
    "wrong-key": each(_code, "wrong-key"),
    "credits": each(_credits, "bearer", "x-api-key"),
    "limit-headers": _limit_headers,
    "polls-count": each(_polls_count, "poll"),
    "unknown-job": each(_read_as, "unknown-job"),
    "unknown-workflow": each(_read_as, "unknown-workflow"),
    "upload-name": each(_upload_name, "upload"),
    "upload-host": each(_upload_host, "upload"),
    "upload-url": each(_upload_url, "upload"),
    "upload-file": each(fetched, "file"),
    "history": _history,
    "history-names": each(_history_names, "history", "history-order"),
}
