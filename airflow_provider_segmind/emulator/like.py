"""Answer as a real service did: names, codes, headers and timings of a cassette that the doctor has recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.faults import Endpoint

VERSION = 1
PAGE, TEXT, JSON = "<page>", "<text>", "<json>"
"""What a cassette calls a web page, another body that is no JSON, and JSON in a string."""
_ENDS = ("COMPLETED", "FAILED")
_LIMIT = re.compile(r"rate-?limit")
_OWN_HOSTS = ("images.segmind.com", "workflows-api.segmind.com", "api.spotprod.segmind.com")
_LOOK = 30.0
"""Seconds between two looks of the doctor into the history."""

Entry = Mapping[str, Any]


@dataclass
class Like:
    """
    What is imitated.

    :param settings: Settings of the emulator that the cassette shows.
    :param host: Host of the service, in the cassette's URLs.
    :param seen: An answer for each kind of request, by name.
    :param unseen: Seconds after its order in which a job is answered as unknown.
    :param listed: Seconds after a job's end from which the history lists it; None: while it runs; infinite: never.
    :param picture_seconds: Seconds after a job's end from which its picture is gone; None: never.
    :param form: Format of the pictures.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    seen: Mapping[str, Entry] = field(default_factory=dict)
    unseen: float = 0.0
    listed: float | None = None
    picture_seconds: float | None = None
    form: str = "PNG"
    polls_count: bool = True
    _requests: int = 0

    def shaped(self, on: Endpoint, good: Answer, base: str) -> Answer:
        """Return an answer of the emulator as the service gave it; ``base``: the emulator's URL."""
        if not self.seen or on == "file" or good.status not in (200, 401, 404, 422):
            return good
        self._requests += on != "poll" or self.polls_count
        own = _json(good.body)
        entry = self.seen.get(_kind(on, good, own))
        if entry is None:
            return good
        answer = replace(good, status=entry["status"], headers=(*good.headers, *self._limits(entry)))
        body = entry["body"]
        if isinstance(body, dict) and (PAGE in body or TEXT in body):
            media_type = "text/html" if PAGE in body else "text/plain"
            text = f"<html><body>{body[PAGE]}</body></html>" if PAGE in body else body[TEXT]
            return replace(answer, body=text.encode(), media_type=media_type)
        if body is None:
            return replace(answer, body=b"")
        return replace(answer, body=json.dumps(_Filled(self.host, base, own).value(body)).encode())

    def _limits(self, entry: Entry) -> Iterator[tuple[str, str]]:
        for name, value in entry["headers"].items():
            if _LIMIT.search(name):
                left = "remaining" in name and str(value).isdigit()
                yield name, str(max(0, int(value) - self._requests)) if left else str(value)


class _Filled:
    """Puts the emulator's own values where a cassette has only what kind of value was there."""

    def __init__(self, host: str, base: str, own: Any) -> None:
        self._host = host
        self._base = base
        self._own = own if isinstance(own, dict) else {}
        self._urls = list(_urls(own))

    def value(self, seen: Any, name: str = "") -> Any:
        if isinstance(seen, dict):
            if JSON in seen:
                inner = self.value(seen[JSON], name)
                return inner if isinstance(self._own.get(name), list) else json.dumps(inner)
            if name == "request_body" and isinstance(self._own.get(name), dict):
                return self._inputs(seen)
            return {self._upload_name(key): self.value(part, key) for key, part in seen.items()}
        if isinstance(seen, list):
            return self._list(seen, name)
        if isinstance(seen, str):
            return self._text(seen, name)
        return self._own[name] if isinstance(seen, int | float) and name in self._own else seen

    def _upload_name(self, name: str) -> str:
        """Return which of the two known names of an upload's URLs is to be given; any other name as it is."""
        known = ("file_urls", "urls")
        return next((own for own in known if own in self._own), name) if name in known else name

    def _list(self, seen: list[Any], name: str) -> list[Any]:
        rows = next((part for part in self._own.values() if isinstance(part, list)), None)
        if rows is not None and all(isinstance(row, dict) for row in (*rows, *seen)):
            return [_Filled(self._host, self._base, row).row(seen[0]) if seen else row for row in rows]
        if seen and all(isinstance(one, str) and one.startswith("http") for one in seen):
            return [self._url(seen[0], url) for url in self._urls]
        return [self.value(one, name) for one in seen]

    def row(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row of the history with the names that were seen."""
        filled = {}
        for name, value in seen.items():
            plain = name in self._own and name != "request_body"
            filled[name] = self._own[name] if plain else self.value(value, name)
        return filled

    def _inputs(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        inputs = dict(self._own["request_body"])
        if "<scene without its fragment>" in seen.values():
            inputs = {key: one.partition("#")[0] if isinstance(one, str) else one for key, one in inputs.items()}
        return inputs

    def _text(self, seen: str, name: str) -> Any:
        own = self._own.get(name)
        if seen == "<number>":
            return own if own is not None else next((v for v in self._own.values() if isinstance(v, float)), 0)
        if seen == "<request>":
            return self._own.get("request_id", "")
        if seen == "<object>":
            return own if own is not None else {}
        if seen.startswith("<text"):
            return own if own is not None else ""
        if seen.startswith("http") and self._urls:
            return self._url(seen, self._urls[0])
        # Of a sentence, the emulator's own if it says the same with its ids.
        pattern = ".*".join(map(re.escape, seen.split("…")))
        return own if isinstance(own, str) and "…" in seen and re.fullmatch(pattern, own) else seen

    def _url(self, seen: str, own: str) -> str:
        """Return the emulator's URL; a host that the service has elsewhere becomes another name of this machine."""
        there, here = urlsplit(seen), urlsplit(own)
        host = here.netloc
        if there.netloc not in (urlsplit(self._host).netloc, *_OWN_HOSTS):
            name = "127.0.0.1" if here.hostname == "localhost" else "localhost"
            host = f"{name}:{here.port}"
        return urlunsplit((here.scheme, host, here.path, there.query.replace("…", "x"), ""))


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value


def _urls(value: Any) -> Iterator[str]:
    """Yield all URLs in an answer of the emulator."""
    if isinstance(value, str):
        if value.startswith("http"):
            yield value
        elif value.startswith("["):
            yield from _urls(_json(value.encode()))
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _urls(one)


def _kind(on: Endpoint, good: Answer, own: Any) -> str:
    if good.status == 401:
        return "wrong-key"
    if good.status == 404:
        return {"poll": "unknown-job", "submit": "unknown-workflow"}.get(on, "")
    return f"poll {own.get('status')}" if on == "poll" and isinstance(own, dict) else on


def read_like(path: str | Path | None) -> Like:
    """
    Return what a cassette shows; nothing without a path.

    :param path: Path of a ``cassette.json``.
    :raises ValueError: If it is no cassette of this version.
    """
    if path is None:
        return Like()
    said = _json(Path(path).read_bytes())
    if not isinstance(said, dict) or said.get("cassette") != VERSION or not isinstance(said.get("entries"), list):
        raise ValueError(f"{path} is no cassette of the doctor, or of another version of this package: record it anew")
    entries: list[Entry] = [one for one in said["entries"] if one["status"] is not None]
    by_step = {one["step"]: one for one in entries}
    jobs = [one for one in entries if one["step"] == "poll" and _status(one)]
    return Like(
        settings=_settings(by_step, entries),
        host=str(said.get("host")),
        seen={**_answers(by_step), **_polls(jobs)},
        unseen=_unseen(by_step, jobs),
        listed=_listed(entries, jobs),
        picture_seconds=_gone(entries, "picture-later"),
        form=str(by_step.get("picture", {}).get("facts", {}).get("format", "PNG")).upper(),
        polls_count=_polls_count(jobs),
    )


def _status(one: Entry) -> str:
    body = one["body"]
    return str(body.get("status") or "").upper() if isinstance(body, dict) else ""


def _answers(by_step: Mapping[str, Entry]) -> dict[str, Entry]:
    found = {name: by_step[name] for name in ("wrong-key", "unknown-job", "unknown-workflow") if name in by_step}
    taken = [by_step[name] for name in ("bearer", "x-api-key") if name in by_step and by_step[name]["status"] == 200]
    history = [by_step[name] for name in ("history", "history-order") if name in by_step]
    good: dict[str, list[Entry | None]] = {
        "credits": [*taken],
        "upload": [by_step.get("upload")],
        "submit": [by_step.get("order")],
        "history": [*history],
    }
    for on, entries in good.items():
        for one in entries:
            found |= {on: one} if one and one["status"] < 300 else {}
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
    uploaded = by_step.get("upload", {}).get("body") or {}
    if name := next((name for name in ("file_urls", "urls") if name in uploaded), ""):
        found["upload_as"] = name
    if end is not None and isinstance(end["body"].get("output"), list):
        found["output_as"] = "list"
    if (life := _gone(entries, "record")) is not None:
        found["record_seconds"] = life
    spent = [one.get("facts", {}).get("spent", 0) for one in entries] + [
        float(dollars) for one in entries for dollars in re.findall(r'"credits_deduction": ([\d.]+)', json.dumps(one))
    ]
    return found | ({"price": max(spent)} if any(spent) else {})


def _end(entries: list[Entry]) -> Entry | None:
    return next((one for one in entries if one["step"] == "poll" and _status(one) in _ENDS), None)


def _unseen(by_step: Mapping[str, Entry], jobs: list[Entry]) -> float:
    poll = [one for one in by_step.values() if one["step"] == "poll"]
    if "order" not in by_step or not jobs or not poll:
        return 0.0
    late = float(jobs[0]["at"] - by_step["order"]["at"])
    return late if late >= 1.0 else 0.0


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
            last, times = one.get("last", {}).get(name, value), one.get("times", 1)
            if "remaining" in name and f"{value}{last}".isdigit() and 2 * (int(value) - int(last)) > times:
                return True
    return not any("remaining" in name for one in jobs for name in one["headers"])
