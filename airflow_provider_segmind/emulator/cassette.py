"""Read a cassette that the doctor has recorded. It may come with anybody's bug report, so nothing in it is trusted."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_segmind.emulator.like import LIMIT, PAGE, TEXT, Entry, Like, Limit, json_value

VERSION = 1
_ENDS = ("COMPLETED", "FAILED")
_LOOK = 30.0
"""Seconds between two looks of the doctor into the history."""
_MOST_BYTES = 2**24
_DEEPEST = 40
_MOST = 1e10
"""Largest number: seconds since the epoch until the year 2286, and nothing that a date cannot be moved by."""


def read_like(path: str | Path | None) -> Like:
    """Return what the ``cassette.json`` at a path shows, nothing without a path; raise ``ValueError`` if it is none."""
    if path is None:
        return Like()
    data = Path(path).read_bytes()
    said = json_value(data) if len(data) <= _MOST_BYTES else None
    said = said if isinstance(said, dict) and said.get("cassette") == VERSION else {}
    given = said.get("entries")
    if not isinstance(given, list) or not all(map(_is_entry, given)):
        raise ValueError(
            f"{path} is no cassette of the doctor, or damaged, or of another version of this package: record it anew"
        )
    entries: list[Entry] = [one for one in given if _is_answer(one)]
    by_step = {one["step"]: one for one in entries}
    jobs = [one for one in entries if one["step"] == "poll" and _status(one)]
    skews = [one["facts"]["skew"] for one in entries if "skew" in one.get("facts", {})]
    return Like(
        settings=_settings(by_step, entries),
        host=str(said.get("host")),
        limit=_limit(entries, jobs),
        skew=statistics.median([0.0, *skews][bool(skews) :]),
        seen={**_answers(by_step), **_polls(jobs)},
        unseen=_unseen(by_step, entries, jobs),
        listed=_listed(entries, jobs),
        picture_seconds=_gone(entries, "picture-later"),
        form=str(by_step.get("picture", {}).get("facts", {}).get("format", "PNG")).upper(),
    )


def _is_entry(one: Any) -> bool:
    """Whether an entry has the form that the doctor gives it: a cassette may come with a bug report of anybody."""
    match one:
        case {"step": str(), "status": None}:
            return True
        case {"step": str(), "status": int(status), "at": at, "took": took, "headers": {**headers}, "body": body}:
            facts, last = one.get("facts", {}), one.get("last", {})
            kinds = isinstance(facts, dict) and isinstance(last, dict) and isinstance(one.get("counted", 1), int)
            return (
                200 <= status < 600
                and kinds
                and all(map(_is_number, (at, took, facts.get("skew", 0), facts.get("spent", 0))))
                and all(_is_field(name, value) for name, value in (*headers.items(), *last.items()))
                and isinstance(body.get(TEXT, "") if isinstance(body, dict) else "", str)
                and _is_shallow(body, _DEEPEST)
            )
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _MOST


def _is_field(name: Any, value: Any) -> bool:
    """Whether a header field can be sent, if it is one that is sent."""
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    return not LIMIT.search(name) or all(text.isascii() and text.isprintable() for text in (name, value))


def _is_shallow(value: Any, deepest: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deepest > 0 and all(_is_shallow(part, deepest - 1) for part in parts)


def _is_answer(one: Entry) -> bool:
    """Whether an answer is the service's own, and not of an outage or of something in between."""
    is_page = isinstance(one.get("body"), dict) and PAGE in one["body"]
    return one["status"] is not None and one["status"] < 500 and one["status"] != 429 and not is_page


def _limit(entries: list[Entry], jobs: list[Entry]) -> Limit:
    left: dict[str, int] = {}
    for one in entries:
        for name, value in (*one["headers"].items(), *one.get("last", {}).items()):
            if LIMIT.search(name) and "remaining" in name and value.isdecimal():
                left[name] = max(left.get(name, 0), int(value))
    return Limit(left, polls_count=_polls_count(jobs))


def _status(one: Entry) -> str:
    body = one["body"]
    return str(body.get("status") or "").upper() if isinstance(body, dict) else ""


def _answers(by_step: Mapping[str, Entry]) -> dict[str, Entry]:
    found = {name: by_step[name] for name in ("wrong-key", "unknown-job", "unknown-workflow") if name in by_step}
    shown_by = {
        **dict.fromkeys(("bearer", "x-api-key"), "credits"),
        "upload": "upload",
        "order": "submit",
        **dict.fromkeys(("history", "history-order"), "history"),
    }
    for step, on in shown_by.items():
        if step in by_step and by_step[step]["status"] < 300:
            found[on] = by_step[step]
    return found


def _polls(jobs: list[Entry]) -> dict[str, Entry]:
    pending = [one for one in jobs if _status(one) not in _ENDS]
    found = {f"poll {_status(one)}": one for one in jobs if _status(one) in _ENDS}
    return found | ({"poll QUEUED": pending[0], "poll PROCESSING": pending[-1]} if pending else {})


def _settings(by_step: Mapping[str, Entry], entries: list[Entry]) -> dict[str, Any]:
    taken = [name for name in ("bearer", "x-api-key") if by_step.get(name, {}).get("status") not in (401, 403, None)]
    found: dict[str, Any] = {"auth": taken[0]} if len(taken) == 1 else {}
    if "history" in by_step and by_step["history"]["status"] != 200:
        found["history"] = False
    end = _end(entries)
    if end is not None and "order" in by_step:
        found["job_seconds"] = max(0.0, end["at"] - by_step["order"]["at"])
    uploaded = by_step.get("upload", {}).get("body")
    if isinstance(uploaded, dict) and (name := next((name for name in ("file_urls", "urls") if name in uploaded), "")):
        found["upload_as"] = name
    if end is not None and isinstance(end["body"].get("output"), list):
        found["output_as"] = "list"
    if (life := _gone(entries, "record")) is not None:
        found["record_seconds"] = life
    spent = [one.get("facts", {}).get("spent", 0) for one in entries] + [
        float(dollars)
        for one in entries
        for dollars in re.findall(r'"credits_deduction": (\d+(?:\.\d+)?)', json.dumps(one))
    ]
    return found | ({"price": max(spent)} if any(spent) else {})


def _end(entries: list[Entry]) -> Entry | None:
    return next((one for one in entries if one["step"] == "poll" and _status(one) in _ENDS), None)


def _unseen(by_step: Mapping[str, Entry], entries: list[Entry], jobs: list[Entry]) -> float:
    polls = [one for one in entries if one["step"] == "poll"]
    if "order" not in by_step or not jobs or polls[0] is jobs[0]:
        return 0.0
    return max(0.0, float(jobs[0]["at"] - by_step["order"]["at"]))


def _listed(entries: list[Entry], jobs: list[Entry]) -> float | None:
    looks = [one for one in entries if one["step"] == "history-order" and one["status"] == 200]
    first = next((one for one in looks if "<request>" in json.dumps(one["body"])), None)
    end = _end(jobs)
    if not looks or end is None:
        return None
    if first is None:
        return float("inf")
    late = first["at"] - end["at"]
    return None if late < 0 else max(0.0, late - _LOOK / 2)


def _gone(entries: list[Entry], step: str) -> float | None:
    end = _end(entries)
    codes = {403, 404, 410} | {one["status"] for one in entries if one["step"] == "unknown-job"}
    gone = next((one for one in entries if one["step"] == step and one["status"] in codes), None)
    return float(gone["at"] - end["at"]) if gone and end else None


def _polls_count(jobs: list[Entry]) -> bool:
    for one in jobs:
        for name, value in one["headers"].items():
            last, polls = one.get("last", {}).get(name, value), one.get("counted", 1)
            if "remaining" in name and f"{value}{last}".isdecimal() and 2 * (int(value) - int(last)) > polls:
                return True
    return not any("remaining" in name for one in jobs for name in one["headers"])
