"""Answer as a real service did: names, codes, headers and timings of a cassette that the doctor has recorded."""

from __future__ import annotations

import email.utils
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from airflow_provider_segmind.emulator.answers import Answer
from airflow_provider_segmind.emulator.faults import Endpoint

PAGE, TEXT, JSON = "<page>", "<text>", "<json>"
"""What a cassette calls a web page, another body that is no JSON, and JSON in a string."""
_SLOWEST = 30.0
"""Longest time in seconds that an answer is kept back."""
_MINUTE = 60.0
"""Seconds of a limit's window; no cassette tells them."""
LIMIT = re.compile(r"rate-?limit")
"""What names of header fields about a rate limit have in them."""
_OWN_HOSTS = ("images.segmind.com", "workflows-api.segmind.com", "api.spotprod.segmind.com")

Entry = Mapping[str, Any]


@dataclass
class Like:
    """What is imitated; times are in seconds."""

    settings: Mapping[str, Any] = field(default_factory=dict)  # of the emulator, as the cassette shows them
    host: str = ""  # of the service, in the cassette's URLs
    seen: Mapping[str, Entry] = field(default_factory=dict)  # an answer for each kind of request, by name
    unseen: float = 0.0  # time after its order in which a job is answered as unknown
    listed: float | None = None  # time from a job's end until the history lists it; None: while it runs; inf: never
    picture_seconds: float | None = None  # time from a job's end until its picture is gone; None: never
    form: str = "PNG"  # of the pictures
    limit: Limit | None = None  # the rate limit, as its header fields show it
    skew: float = 0.0  # time by which the service's clock is behind

    def shaped(self, on: Endpoint, good: Answer, base: str, now: float) -> Answer:
        """Return an answer of the emulator as the service gave it; ``base``: the emulator's URL."""
        if not self.seen or on == "file" or good.status not in (200, 401, 404, 422):
            return good
        if self.limit:
            self.limit.count(now, is_poll=on == "poll")
        own = json_value(good.body)
        entry = self.seen.get(_kind(on, good, own))
        if entry is None:
            return good
        limits = self.limit.headers(entry, now - self.skew) if self.limit else ()
        late = good.delay + min(entry["took"], _SLOWEST)
        answer = replace(good, status=entry["status"], headers=(*good.headers, *limits), delay=late)
        body = entry["body"]
        if isinstance(body, dict) and TEXT in body:
            return replace(answer, body=body[TEXT].encode(), media_type="text/plain")
        if body is None:
            return replace(answer, body=b"")
        return replace(answer, body=json.dumps(_Filled(self.host, base, own).value(body)).encode())

    def dated(self, answer: Answer, now: float) -> Answer:
        """Return an answer with the time of the service's clock."""
        date = email.utils.formatdate(now - self.skew, usegmt=True)
        return replace(answer, headers=(*answer.headers, ("Date", date))) if self.seen else answer


class Limit:
    """The service's rate limit, by its header fields; what is left is counted down, anew in each minute."""

    def __init__(self, left: Mapping[str, int], *, polls_count: bool) -> None:
        self._left = left  # the most that was left, by the name of the field
        self._polls_count = polls_count
        self._used = 0
        self._ends = -math.inf

    def count(self, now: float, *, is_poll: bool) -> None:
        """Count a request."""
        if now >= self._ends:
            self._used, self._ends = 0, now + _MINUTE
        self._used += self._polls_count or not is_poll

    def headers(self, entry: Entry, now: float) -> Iterator[tuple[str, str]]:
        """Yield the fields of an answer; ``now``: by the service's clock."""
        for name, value in entry["headers"].items():
            if name in self._left:
                yield name, str(max(0, self._left[name] - self._used))
            elif LIMIT.search(name):
                yield name, _reset(value, now, self._ends) if "reset" in name else value


def _reset(seen: str, now: float, ends: float) -> str:
    """Return when a limit's window ends, in the form in which the service tells it."""
    left = min(max(ends - now, 0.0), _MINUTE)
    if not seen.isdecimal():
        return f"{datetime.fromtimestamp(now + left, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if len(seen) < 8:
        return str(math.ceil(left))
    return str(math.ceil(now + left) * (1000 if len(seen) > 11 else 1))


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
            own = self._own.get(name)
            if name == "request_body" and isinstance(own, dict):
                if "<scene without its fragment>" not in seen.values():
                    return own
                return {key: one.partition("#")[0] if isinstance(one, str) else one for key, one in own.items()}
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
        return own if isinstance(own, str) and "…" in seen and _says(own, seen.split("…")) else seen

    def _url(self, seen: str, own: str) -> str:
        """Return the emulator's URL; a host that the service has elsewhere becomes another name of this machine."""
        there, here = _split(seen), urlsplit(own)
        host = here.netloc
        if there.netloc not in (_split(self._host).netloc, *_OWN_HOSTS):
            name = "127.0.0.1" if here.hostname == "localhost" else "localhost"
            host = f"{name}:{here.port}"
        return urlunsplit((here.scheme, host, here.path, there.query.replace("…", "x"), ""))


def _says(text: str, parts: list[str]) -> bool:
    """Whether a text consists of these parts in their order, with anything in between."""
    place = 0
    for part in parts[:-1]:
        found = text.find(part, place)
        if found < 0 or (not place and found):
            return False
        place = found + len(part)
    return text.endswith(parts[-1]) and len(text) - len(parts[-1]) >= place


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def json_value(body: bytes) -> Any:
    """Return the value of a JSON text; ``None`` if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _urls(value: Any) -> Iterator[str]:
    """Yield all URLs in an answer of the emulator."""
    if isinstance(value, str):
        if value.startswith("http"):
            yield value
        elif value.startswith("["):
            yield from _urls(json_value(value.encode()))
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _urls(one)


def _kind(on: Endpoint, good: Answer, own: Any) -> str:
    if good.status == 401:
        return "wrong-key"
    if good.status == 404:
        return {"poll": "unknown-job", "submit": "unknown-workflow"}.get(on, "")
    return f"poll {own.get('status')}" if on == "poll" and isinstance(own, dict) else on
