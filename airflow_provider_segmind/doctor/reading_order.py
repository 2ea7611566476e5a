"""Read from a cassette what an order has shown, as `reading` does for what is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_provider_segmind.api.models import RUNNING, TERMINAL
from airflow_provider_segmind.api.workflows import PRICE
from airflow_provider_segmind.doctor.reading import (
    FREE,
    Entry,
    Reader,
    Seen,
    Tape,
    body,
    code,
    each,
    facts,
    fetched,
    last_at,
    may_be_accepted,
    query_of,
    rows_of,
    words_of,
)
from airflow_provider_segmind.emulator.like import JSON

HOUR, WEEK = 3600.0, 7 * 86400.0
_LATE = 60.0


def _own_rows(tape: Tape) -> Iterator[tuple[int, Entry, Mapping[str, Any]]]:
    for number, one in tape.said("history-order"):
        yield from ((number, one, row) for row in rows_of(one) or [] if row.get("request_id") == "<request>")


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
    # Neither "too many requests" nor an order that was never sent says anything.
    sent = [
        (n, one) for n, one in tape.of("order") if (one["status"] or one.get("sent", True)) and one["status"] != 429
    ]
    return Seen(*_answer_to_order(*sent[-1])) if sent else None


def _answer_to_order(number: int, one: Entry) -> tuple[str, int, str]:
    if one["status"] is None:
        return "unknown outcome", number, one["failure"]
    words = f"{code(one)}, {words_of(one)}"
    if not may_be_accepted(one):
        return "refused", number, words
    if one["status"] >= 300:
        return "unknown outcome", number, words
    if facts(one).get("read_as") == "OutcomeUnknownError":
        return "accepted without a poll_url", number, code(one)
    names = ", ".join(name for name in ("poll_url", "request_id") if body(one).get(name))
    return f"{one['status']} with {names}", number, ""


def _poll_host(tape: Tape, one: Entry) -> str | None:
    url = str(body(one).get("poll_url"))
    return tape.where(url) if url.startswith("http") else None


def _first_poll(tape: Tape) -> Seen | None:
    polls, began = list(tape.of("poll")), tape.order_at()
    unknown = [(n, one) for n, one in polls if one["status"] in tape.gone]
    known = next(iter(tape.jobs()), None)
    if known is None or began is None:
        return Seen("as unknown until it was given up", unknown[-1][0]) if unknown and began is not None else None
    before = [(n, last_at(one) - began) for n, one in unknown if n < known[0]]
    return Seen(f"as unknown for {before[-1][1]:.0f} s", before[0][0]) if before else Seen("known at once", known[0])


def _poll_code(tape: Tape) -> Seen | None:
    codes = {str(one["status"]): number for number, one in tape.jobs()}
    return Seen(", ".join(sorted(codes)), max(codes.values())) if codes else None


def _statuses(tape: Tape) -> Seen | None:
    words = {str(body(one)["status"]): number for number, one in tape.jobs()}
    odd = {word: number for word, number in words.items() if word.upper() not in TERMINAL | RUNNING}
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


def _life(step: str, enough: float, words: str) -> Reader:
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
    is_end = str(body(one).get("status")).upper() in TERMINAL
    is_picture = facts(one).get("format", "no picture") != "no picture"
    return one["status"] in (200, 422) and (is_end or is_picture)


def _output_form(tape: Tape) -> Seen | None:
    if (found := tape.output()) is None:
        return None
    number, given, _ = found
    if isinstance(given, dict):
        return Seen("JSON in a string" if JSON in given else "an object", number)
    return Seen("a list" if isinstance(given, list) else "a text", number)


def _of_output(say: Callable[[Tape, Mapping[str, Any]], str]) -> Reader:
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


def _picture_size(_: Tape, one: Entry) -> str | tuple[str, str] | None:
    if not (size := facts(one).get("size")):
        return None
    scene, said = facts(one)["scene"], f"{size[0]} x {size[1]}"
    return ("as the scene", said) if size == scene else f"{said} for a scene of {scene[0]} x {scene[1]}"


def _price(tape: Tape) -> Seen | None:
    spent = [(n, row.get("credits_deduction")) for n, _, row in _own_rows(tape)]
    spent += [(n, facts(one).get("spent")) for n, one in tape.said("balance-after")]
    for number, dollars in spent:
        if isinstance(dollars, int | float) and dollars > 0:
            usual = abs(dollars - PRICE) < PRICE / 50
            return Seen(f"${PRICE}" if usual else f"${dollars:.4f}", number)
    return None


READERS: dict[str, Reader] = {
    **FREE,
    "history-order": _history_order,
    "history-inputs": _history_inputs,
    "order": _order,
    "poll-host": each(_poll_host, "order"),
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
    "output-url": _of_output(lambda tape, one: query_of(_value(one, "data"))),
    "picture": each(fetched, "picture"),
    "picture-size": each(_picture_size, "picture"),
    "picture-life": _life("picture-later", WEEK, "seven days or more"),
    "price": _price,
}
