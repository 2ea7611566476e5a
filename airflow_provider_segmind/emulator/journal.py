"""The requests as they came in, bounded in number and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

MAX_RECORDS = 100_000
MAX_BODY_BYTES = 128 * 1024 * 1024
_MAX_INTERNED = 2_000


@dataclass(slots=True)
class Recorded:
    """
    One request as it was seen on the wire.

    :param at: When it came in, in seconds since the epoch.
    :param method: HTTP method.
    :param path: Path and query string.
    :param headers: Headers, names in lower case.
    :param body: The bytes of the body.
    :param status: HTTP status that was answered; None if the connection was dropped, or no answer left yet.
    """

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None = None


class Journal:
    """The newest requests, the oldest first."""

    def __init__(self) -> None:
        self._records: deque[Recorded] = deque()
        self._body_bytes = 0
        self._interned: dict[tuple[tuple[bytes, bytes], ...], Mapping[str, str]] = {}

    def add(self, at: float, method: str, path: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> Recorded:
        """
        Write down a request; the caller fills in the status once it is known.

        :param at: When it came in, in seconds since the epoch.
        :param method: HTTP method.
        :param path: Path and query string.
        :param headers: Headers as raw name, value pairs.
        :param body: The bytes of the body.
        """
        record = Recorded(at, method, path, self._intern(headers), body)
        self._records.append(record)
        self._body_bytes += len(body)
        while len(self._records) > MAX_RECORDS or self._body_bytes > MAX_BODY_BYTES:
            self._body_bytes -= len(self._records.popleft().body)
        return record

    def all(self) -> tuple[Recorded, ...]:
        """Return the records."""
        return tuple(self._records)

    def clear(self) -> None:
        """Forget them."""
        self._records.clear()
        self._body_bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    def _intern(self, headers: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
        # A client polls with the same headers thousands of times: kept once, a record costs a tenth.
        known = self._interned.get(headers)
        if known is None:
            known = {name.decode("latin-1").lower(): value.decode("utf-8", "replace") for name, value in headers}
            if len(self._interned) >= _MAX_INTERNED:
                self._interned.clear()
            self._interned[headers] = known
        return known
