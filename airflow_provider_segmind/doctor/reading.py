"""Read from a cassette what the service does: one value for each belief. Pure, so that a report can be made anew."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api.models import TERMINAL
from airflow_provider_segmind.api.workflows import PRICE
from airflow_provider_segmind.doctor.redaction import JSON, LIMIT
from airflow_provider_segmind.doctor.tape import (
    Entry,
    Seen,
    Tape,
    body,
    code,
    is_page,
    last_at,
    may_be_accepted,
    words_of,
)

HOUR, WEEK = 3600.0, 7 * 86400.0
_LATE = 60.0
_STATUSES = TERMINAL | {"QUEUED", "PROCESSING"}
_ROW = ("request_id", "request_body", "model_status")


def _read_as(one: Entry) -> str:
    return f"{code(one)}, read as {one.get('facts', {}).get('read_as', 'nothing')}"


def _reach(tape: Tape) -> Seen | None:
    bad = {}
    for number, one in tape.of("bearer", "x-api-key", "wrong-key", "upload", "file", "history"):
        host = urlsplit(one["url"]).netloc
        if one["status"] is None:
            bad[f"{host}: {one['failure'] or 'no answer'}"] = number
        elif is_page(one):
            bad[f"{host}: a web page with HTTP {one['status']}"] = number
        elif 300 <= one["status"] < 400:
            bad[f"{host}: a redirect"] = number
        elif one["status"] >= 500:
            bad[f"{host}: HTTP {one['status']}"] = number
    first = next(tape.of("bearer", "wrong-key"), None)
    return Seen("; ".join(bad), min(bad.values())) if bad else first and Seen("all answer", first[0])


def _clock(tape: Tape) -> Seen | None:
    for number, one in tape.said("bearer", "wrong-key"):
        if (skew := one.get("facts", {}).get("skew")) is not None:
            word = "ahead" if skew > 0 else "behind"
            said = f"{abs(skew)} s {word}"
            return Seen("within 30 s", number, said) if abs(skew) <= 30 else Seen(said, number)
    return None


def _speed(tape: Tape) -> Seen | None:
    # The slowest, since it may be an order; but not files, which are large.
    took = [(one["took"], number) for number, one in tape.answered() if one["key"] != "no key"]
    if not took:
        return None
    slowest, number = max(took)
    more = f"{slowest:.1f} s at most, {statistics.median(seconds for seconds, _ in took):.1f} s in the median"
    return Seen("below 10 s" if slowest < 10 else f"{slowest:.0f} s", number, more)


def _auth(tape: Tape) -> Seen | None:
    asked = list(tape.said("bearer", "x-api-key"))
    taken = {one["step"]: n for n, one in asked if one["status"] == 200 or _has_no_balance(one)}
    refused = {one["step"]: n for n, one in asked if one["status"] in (401, 403)}
    if taken and (taken.keys() | refused.keys()) >= {"bearer"}:
        return Seen(" and ".join(taken), min(taken.values()))
    return Seen("neither", min(refused.values())) if len(refused) == 2 else None


def _has_no_balance(one: Entry) -> bool:
    return one["status"] == 404 and "credits" in words_of(one).lower()


def _credits(tape: Tape) -> Seen | None:
    for number, one in tape.said("bearer", "x-api-key"):
        if _has_no_balance(one):
            return Seen("no balance", number)
        if one["status"] == 200:
            names = sorted({"credits", "free-credits"} & body(one).keys()) or list(body(one))[:6]
            return Seen(", ".join(names) or "no name", number)
        if one["status"] not in (401, 403):
            return Seen(code(one), number)
    return None


def _limit_headers(tape: Tape) -> Seen | None:
    told: dict[str, int] = {}
    last = 0
    for last, one in tape.answered():
        for name, value in one["headers"].items():
            moves = any(part in name for part in ("remaining", "reset", "used"))
            told |= {name if moves else f"{name}: {value}": last} if LIMIT.search(name) else {}
    return Seen("; ".join(sorted(told)) or "none", min(told.values(), default=last)) if last else None


def _polls_count(tape: Tape) -> Seen | None:
    for number, one in tape.of("poll"):
        for name, value in one["headers"].items():
            last, polls = one.get("last", {}).get(name, ""), one.get("counted", 1)
            if LIMIT.search(name) and "remaining" in name and f"{value}{last}".isdigit() and last and polls >= 4:
                # Some of the other requests in between count, too.
                fell = int(value) - int(last)
                return Seen(
                    "they count" if 2 * fell > polls else "they do not count", number, f"{fell} for {polls} polls"
                )
    return None


def _plain(step: str, say: Callable[[Entry], str]) -> Callable[[Tape], Seen | None]:
    return lambda tape: next((Seen(say(one), number) for number, one in tape.said(step)), None)


def _upload_url(tape: Tape) -> tuple[int, str, str] | None:
    for number, one in tape.said("upload"):
        for name, value in body(one).items():
            if isinstance(value, list) and value and str(value[0]).startswith("http"):
                return number, name, value[0]
    return None


def _upload_name(tape: Tape) -> Seen | None:
    if found := _upload_url(tape):
        return Seen(found[1], found[0])
    return next((Seen(f"{code(one)}: {', '.join(body(one)) or 'no name'}", n) for n, one in tape.said("upload")), None)


def _of_upload(say: Callable[[Tape, str], str]) -> Callable[[Tape], Seen | None]:
    return lambda tape: (found := _upload_url(tape)) and Seen(say(tape, found[2]), found[0])


def _query(_: Tape, url: str) -> str:
    query = urlsplit(url).query
    if not url.startswith("http"):
        return "no URL"
    return query.replace("=…", "").replace("&", ", ") if query else "without a query"


def _file(one: Entry) -> str:
    facts = one.get("facts", {})
    return "the same file" if facts.get("same") else facts.get("format") or f"HTTP {one['status']}"


def _way(tape: Tape, one: Entry) -> str:
    return f"after a redirect to {tape.where(one['url'])}" if one.get("facts", {}).get("redirected") else ""


def _rows(one: Entry) -> list[Mapping[str, Any]] | None:
    body = one["body"]
    listed = next((part for part in body.values() if isinstance(part, list)), None) if isinstance(body, dict) else body
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else None


def _history(tape: Tape) -> Seen | None:
    seen = None
    for number, one in tape.said("history", "history-order"):
        rows = _rows(one) if one["status"] == 200 else None
        seen = Seen(code(one) if rows is None else "requests" if rows else "an empty list", number)
        if rows:
            break
    return seen


def _history_names(tape: Tape) -> Seen | None:
    for number, one in tape.said("history", "history-order"):
        for row in (_rows(one) or []) if one["status"] == 200 else []:
            missing = [name for name in _ROW if name not in row]
            missing += [] if {"model_created", "created_at"} & row.keys() else ["a time"]
            return Seen(f"without {', '.join(missing)}" if missing else "as documented", number)
    return None


def _own_rows(tape: Tape) -> Iterator[tuple[int, Entry, Mapping[str, Any]]]:
    for number, one in tape.said("history-order"):
        yield from ((number, one, row) for row in _rows(one) or [] if row.get("request_id") == "<request>")


def _history_order(tape: Tape) -> Seen | None:
    end = tape.end()
    for number, one, _ in _own_rows(tape):
        late = one["at"] - end[1]["at"] if end else 0.0
        if end is None or late < 0:
            return Seen("while it runs", number)
        return Seen("after its end" if late <= _LATE else f"{late:.0f} s after its end", number)
    looks = [(n, one) for n, one in tape.said("history-order") if one["status"] == 200]
    late_looks = [n for n, one in looks if end and last_at(one) - end[1]["at"] > _LATE]
    return Seen("not listed", late_looks[-1]) if late_looks else None


def _history_inputs(tape: Tape) -> Seen | None:
    for number, _, row in _own_rows(tape):
        sent = row.get("request_body")
        given = sent.get(JSON, sent) if isinstance(sent, dict) else {}
        values = list(given.values()) if isinstance(given, dict) else []
        if "<scene>" in values and "<person>" in values:
            return Seen("as sent", number)
        return Seen("without the fragment" if "<scene without its fragment>" in values else "changed", number)
    return None


def _order(tape: Tape) -> Seen | None:
    for number, one in reversed(list(tape.of("order"))):
        if one["status"] is None:
            if not one.get("sent", True):
                continue
            return Seen("unknown outcome", number, one["failure"])
        names = [name for name in ("poll_url", "request_id") if body(one).get(name)]
        if not may_be_accepted(one):
            return Seen("refused", number, f"{code(one)}, {words_of(one)}")
        if one["status"] >= 300:
            return Seen("unknown outcome", number, f"{code(one)}, {words_of(one)}")
        if one.get("facts", {}).get("read_as") == "OutcomeUnknownError":
            return Seen("accepted without a poll_url", number, code(one))
        return Seen(f"{one['status']} with {', '.join(names)}", number)
    return None


def _poll_host(tape: Tape) -> Seen | None:
    found = ((n, str(body(one).get("poll_url"))) for n, one in tape.said("order"))
    return next((Seen(tape.where(url), number) for number, url in found if url.startswith("http")), None)


def _first_poll(tape: Tape) -> Seen | None:
    polls, began = list(tape.of("poll")), tape.order_at()
    unknown = [(n, one) for n, one in polls if one["status"] in tape.gone]
    known = next(iter(tape.jobs()), None)
    if known is None or began is None:
        return Seen("as unknown until it was given up", unknown[-1][0]) if unknown and began is not None else None
    before = [(n, last_at(one)) for n, one in unknown if n < known[0]]
    return (
        Seen(f"as unknown for {before[-1][1] - began:.0f} s", before[0][0])
        if before
        else Seen("known at once", known[0])
    )


def _poll_code(tape: Tape) -> Seen | None:
    codes = {str(one["status"]): number for number, one in tape.jobs()}
    return Seen(", ".join(sorted(codes)), max(codes.values())) if codes else None


def _statuses(tape: Tape) -> Seen | None:
    words = {str(body(one)["status"]): number for number, one in tape.jobs()}
    odd = {word: number for word, number in words.items() if word.upper() not in _STATUSES}
    return Seen(", ".join(odd) or "no other", min((odd or words).values())) if words else None


def _job_end(tape: Tape) -> Seen | None:
    if end := tape.end():
        return Seen(body(end[1])["status"].upper(), end[0])
    return next((Seen(f"last seen {body(one)['status']}", n) for n, one in reversed(list(tape.jobs()))), None)


def _failure(tape: Tape) -> Seen | None:
    end = tape.end()
    if end is None or body(end[1])["status"].upper() != "FAILED":
        return None
    names = [name for name in ("error", "error_message") if body(end[1]).get(name)]
    return Seen(f"{end[1]['status']} {' and '.join(names) or 'without a reason'}", end[0])


def _duration(tape: Tape) -> Seen | None:
    end, began = tape.end(), tape.order_at()
    if end is None or began is None:
        return None
    before = max([began, *(last_at(one) for n, one in tape.of("poll") if n < end[0])])
    if end[1]["at"] - before > _LATE:  # a later run has seen it, and nobody knows when it ended
        return None
    took = end[1]["at"] - began
    return Seen("within 180 s", end[0], f"{took:.0f} s") if took <= 180 else Seen(f"{took:.0f} s", end[0])


def _life(step: str, enough: float, words: str) -> Callable[[Tape], Seen | None]:
    def read(tape: Tape) -> Seen | None:
        if (end := tape.end()) is None:
            return None
        alive, number = 0.0, 0
        for n, one in tape.said(step):
            if _is_there(one):
                alive, number = last_at(one) - end[1]["at"], n
            elif one["status"] in (200, 403, *tape.gone) and alive < enough:
                gone = one["at"] - end[1]["at"]
                if gone >= enough:  # somewhen in between
                    return None
                return Seen(f"there {alive / 60:.0f} min after the end, and gone {gone / 60:.0f} min after it", n)
        last = f"{alive / 60:.0f} min after the end"
        return Seen(words if alive >= enough else "there when last asked", number, last) if number else None

    return read


def _is_there(one: Entry) -> bool:
    """Whether a record names a job's end, or a file is a picture."""
    named = str(body(one).get("status")).upper() in TERMINAL
    return one["status"] < 500 and (named or one.get("facts", {}).get("format", "no picture") != "no picture")


def _output_form(tape: Tape) -> Seen | None:
    if (found := tape.output()) is None:
        return None
    number, given, _ = found
    if isinstance(given, dict):
        return Seen("JSON in a string" if JSON in given else "an object", number)
    return Seen("a list" if isinstance(given, list) else "a text", number)


def _of_output(say: Callable[[Tape, Mapping[str, Any]], str]) -> Callable[[Tape], Seen | None]:
    def read(tape: Tape) -> Seen | None:
        if (found := tape.output()) is None or not found[2]:
            return None
        return Seen(", ".join(dict.fromkeys(say(tape, one) for one in found[2])), found[0])

    return read


def _value(one: Mapping[str, Any], name: str) -> str:
    value = one.get("value")
    if isinstance(value, dict):
        value = value.get(name)
    elif name == "type":
        value = None
    value = value[0] if isinstance(value, list) and value else value
    return str(value) if value else "missing"


def _picture_size(tape: Tape) -> Seen | None:
    for number, one in tape.said("picture"):
        if size := one.get("facts", {}).get("size"):
            scene = one["facts"].get("scene")
            same = "as the scene" if size == scene else f"{size[0]} x {size[1]} for a scene of {scene[0]} x {scene[1]}"
            return Seen(same, number, f"{size[0]} x {size[1]}")
    return None


def _price(tape: Tape) -> Seen | None:
    spent = [(n, row.get("credits_deduction")) for n, _, row in _own_rows(tape)]
    spent += [(n, one.get("facts", {}).get("spent")) for n, one in tape.said("balance-after")]
    for number, dollars in spent:
        if isinstance(dollars, int | float) and dollars > 0:
            usual = abs(dollars - PRICE) < PRICE / 50
            return Seen(f"${PRICE}" if usual else f"${dollars:.4f}", number)
    return None


READERS: dict[str, Callable[[Tape], Seen | None]] = {
    "reach": _reach,
    "clock": _clock,
    "speed": _speed,
    "auth": _auth,
    "wrong-key": _plain("wrong-key", code),
    "credits": _credits,
    "limit-headers": _limit_headers,
    "polls-count": _polls_count,
    "unknown-job": _plain("unknown-job", _read_as),
    "unknown-workflow": _plain("unknown-workflow", _read_as),
    "upload-name": _upload_name,
    "upload-host": _of_upload(lambda tape, url: tape.where(url)),
    "upload-url": _of_upload(_query),
    "upload-file": _plain("file", _file),
    "history": _history,
    "history-names": _history_names,
    "history-order": _history_order,
    "history-inputs": _history_inputs,
    "order": _order,
    "poll-host": _poll_host,
    "first-poll": _first_poll,
    "poll-code": _poll_code,
    "statuses": _statuses,
    "job-end": _job_end,
    "failure": _failure,
    "duration": _duration,
    "record-life": _life("record", HOUR, "an hour or more"),
    "output-form": _output_form,
    "keyname": _of_output(lambda _, one: str(one.get("keyname", "missing"))),
    "output-type": _of_output(lambda _, one: _value(one, "type")),
    "output-host": _of_output(lambda tape, one: tape.where(_value(one, "data"))),
    "output-url": _of_output(lambda tape, one: _query(tape, _value(one, "data"))),
    "picture": lambda tape: next((Seen(_file(one), n, _way(tape, one)) for n, one in tape.said("picture")), None),
    "picture-size": _picture_size,
    "picture-life": _life("picture-later", WEEK, "seven days or more"),
    "price": _price,
}
