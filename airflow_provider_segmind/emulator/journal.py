"""The received requests, limited in number and bytes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

MAX_RECORDS = 100_000
MAX_BODY_BYTES = 128 * 1024 * 1024
_MAX_INTERNED = 2_000
_SECRET = {"authorization", "cookie", "proxy-authorization", "x-api-key"}
_MAX_FOREIGN = 32
_SHORTEST_KEY = 8
_CODED = rb"|%(?:25)*[0-9a-f]{2}|\\+u[0-9a-f]{4}"
_KEY = re.compile(
    rb"(?:S|%(?:25)*53|\\+u0053)(?:G|%(?:25)*47|\\+u0047)(?:_|%(?:25)*5f|\\+u005f)(?:\w" + _CODED + rb"){6,}",
    re.IGNORECASE,
)
"""A Segmind key, also URL- or JSON-encoded."""
_NAMED = re.compile(
    rb"""((?:api(?:[-_]|%5f|%2d)?key|(?<![a-z_])(?:key|token|secret|password))(?:=|%3d|\\*"\s*:\s*\\*"))"""
    rb"""([^&"\\\s#;]{8,})""",
    re.IGNORECASE,
)
"""A value named as a key in a query or JSON, whatever it looks like."""


@dataclass(slots=True)
class Recorded:
    """One request as received."""

    at: float  # seconds since the epoch
    method: str
    path: str  # with the query string
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    status: int | None = None  # of the answer; None if the connection was dropped, or no answer was sent yet


class Journal:
    """The newest requests, oldest first."""

    def __init__(self) -> None:
        self._records: deque[Recorded] = deque()
        self._body_bytes = 0
        self._foreign: dict[str, None] = {}
        self._interned: dict[tuple[str, tuple[tuple[bytes, bytes], ...]], Mapping[str, str]] = {}

    def add(
        self, at: float, method: str, path: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes, key: str
    ) -> Recorded:
        """Record a request, whose status comes later; a key other than the emulator's may be real and is not kept."""
        record = Recorded(at, method, path, self._intern(headers, key), body)
        self._records.append(record)
        self._body_bytes += len(body)
        while len(self._records) > MAX_RECORDS or self._body_bytes > MAX_BODY_BYTES:
            self._body_bytes -= len(self._records.popleft().body)
        return record

    def all(self) -> tuple[Recorded, ...]:
        """Return the records."""
        return tuple(self._records)

    def clear(self) -> None:
        """Remove all records."""
        self._records.clear()
        self._body_bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    def _intern(self, headers: tuple[tuple[bytes, bytes], ...], key: str) -> Mapping[str, str]:
        # A client polls with the same headers thousands of times; sharing them cuts a record's size to a tenth.
        known = self._interned.get((key, headers))
        if known is None:
            known = {name.decode("latin-1").lower(): value.decode("utf-8", "replace") for name, value in headers}
            known.update({name: self._shown(known[name], key) for name in _SECRET & known.keys()})
            if len(self._interned) >= _MAX_INTERNED:
                self._interned.clear()
            self._interned[key, headers] = known
        return known

    def _shown(self, value: str, key: str) -> str:
        scheme, blank, token = value.rpartition(" ")
        if token == key:
            return value
        for secret in (token, token.strip(",;").rpartition("=")[2]):
            if len(secret) >= _SHORTEST_KEY and key not in secret:
                self._foreign[secret] = None
        while len(self._foreign) > _MAX_FOREIGN:
            del self._foreign[next(iter(self._foreign))]
        return f"{scheme}{blank}(not this emulator's key: {len(token)} characters)"

    def without_keys(self, text: bytes, key: str) -> bytes:
        """Return a text without keys that are not the emulator's: by look, by name, or sent as a key before."""
        own = key.encode()
        for secret in self._foreign:
            for form in {secret, quote(secret, safe="")}:
                text = text.replace(form.encode(), b"(hidden)")
        text = _KEY.sub(lambda found: found[0] if found[0] == own else b"SG_(hidden)", text)
        return _NAMED.sub(lambda found: found[0] if found[2] == own else found[1] + b"(hidden)", text)
