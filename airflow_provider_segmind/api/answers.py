"""
Read answers safely; the data of every answer passes here.

An answer comes from Segmind or from a proxy in between. Here it becomes limited in size, depth and work, loses the API
key, and fits every database that Airflow uses: PostgreSQL's JSON takes neither NUL nor half a surrogate pair, and one
refused event would end a triggerer with all its other waits.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from airflow_provider_segmind.api.wire import MAX_BODY, Response

MAX_DEPTH = 32
"""Most levels of nesting; real answers have five."""
MAX_PARTS = 20_000
"""Most values in an answer, roughly: more would block the event loop of all waits for too long. Real ones have 50."""
MAX_NAME = 200
"""Longest id, status or other name in characters; real ones have up to 40."""
MAX_URL = 2048
"""Longest poll URL or URL of an uploaded file, in characters."""
MAX_WORDS = 500
"""Longest quote of the service's words in a message, in characters."""
_PAGE = 4096
"""Bytes of a page that are read for its words."""
SHORTEST_KEY = 8
"""Shortest key in characters that is also removed from URLs; a shorter one would match by chance."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Control characters can forge log lines; direction marks make a line read differently.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
_TAG = re.compile(r"<(script|style)\b.{0,2000}?</\1>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
# NaN and Infinity are not JSON, and databases refuse them. Parsing long integers takes more than linear time.
_DECODER = json.JSONDecoder(
    parse_constant=str, parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits)
)


def read_json(body: bytes | str, key: str, *, most: int = MAX_PARTS) -> Any:
    """
    Return the value of a JSON text, with every text in it storable and without the key.

    :param body: a body, or a text in a body that is itself JSON.
    :param most: most values in it, roughly.
    :raises ValueError: if it is not JSON, or too deep or too long for an answer of Segmind.
    """
    # Not by the codec "utf-8-sig", which is written in Python and slow: this runs for each poll.
    text = unpacked(body).decode().removeprefix("\ufeff") if isinstance(body, bytes) else body
    containers = text.count("[") + text.count("{")
    if containers + text.count(",") + text.count('"') // 2 > most:
        raise ValueError("it has too many parts")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # Most answers are small and plain, and need no cleaning.
    if containers <= MAX_DEPTH and "\\u" not in text and not _may_hold(text, key):
        return value
    return _clean(value, key, MAX_DEPTH)


def unpacked(body: bytes) -> bytes:
    """
    Return a body uncompressed; no client asks for compression, but some proxies compress anyway.

    :raises ValueError: if it is damaged, or too large when uncompressed.
    """
    if not body.startswith(b"\x1f\x8b"):
        return body
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(body, MAX_BODY)
    except zlib.error:
        raise ValueError("it is compressed and damaged") from None
    if unpacker.unconsumed_tail:
        raise ValueError("it is too large when unpacked")
    return data


def line(text: str, limit: int = MAX_NAME) -> str:
    """Return a text as one line of limited length, without characters unsafe in a log."""
    if len(text) <= limit and text.isascii() and text.isprintable() and " " not in text:
        return text  # as ids and statuses are
    # Cut first, to limit the work whatever was sent. Blanks may shrink, so keep more than the limit.
    shown = " ".join(_UNSHOWABLE.sub(" ", text[: 4 * limit]).split())
    return shown if len(shown) <= limit and len(text) <= 4 * limit else f"{shown[: limit - 1]}…"


def storable(text: str) -> str:
    """Replace each character that a database cannot store; line breaks stay."""
    return _UNSTORABLE.sub("\ufffd", text)


def name(value: object, default: str = "") -> str:
    """Return a name from the service, such as an id or a status, as one short line."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return (line(value) if isinstance(value, str) else "") or default


def id_in(poll_url: str) -> str:
    """Return the job's id, the last part of its poll URL."""
    return line(poll_url.rstrip("/").rpartition("/")[2])


def hidden(text: str, key: str) -> str:
    """Return a text without the key, as it appears in messages and in URLs."""
    for form in _forms(key):
        if form in text:
            text = text.replace(form, "***")
    return text


@lru_cache(maxsize=8)
def _forms(key: str) -> frozenset[str]:
    """Return the key as it appears in messages and in URLs; cached, since each answer is searched for it."""
    return frozenset((key, quote(key, safe="")))


def words_of(response: Response, key: str) -> str:
    """Return the beginning of a non-JSON body, such as a proxy's page, as one line without tags."""
    try:
        whole = unpacked(response.body[:MAX_BODY])
    except ValueError as error:
        return f"(a body that cannot be read: {error})"
    text = beginning(whole, _PAGE, key)
    if len(_UNSHOWABLE.findall(text)) + text.count("\ufffd") > len(text) / 4 + 8:
        return f"(binary data, {len(response.body)} bytes)"
    return line(_TAG.sub(" ", text), MAX_WORDS)


def beginning(data: bytes, size: int, key: str) -> str:
    """Return the beginning of a body as text, without the key, also where the cut goes through it."""
    reach = max(map(len, _forms(key)))
    text = hidden(data[: size + reach].decode("utf-8", "replace"), key)
    # Cut from the end: characters are not bytes, and what was hidden is shorter, so a place from the start is no limit.
    return text[: len(text) - reach] if len(data) > size + reach else text


def is_page(response: Response) -> bool:
    """Whether an answer is a web page: not from Segmind's API, but from a firewall, a proxy or a login page."""
    return response.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or response.headers.get(
        "content-type", ""
    ).lower().startswith("text/html")


def brief(value: Any) -> Any:
    """Return the beginning of a JSON value, with limited size, to quote in messages."""
    return _brief(value, iter(range(100)), 6)


def _brief(value: Any, budget: Iterator[int], depth: int) -> Any:
    if isinstance(value, str):
        return value[:MAX_WORDS]
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return "…"
    if isinstance(value, list):
        return [_brief(item, budget, depth - 1) for item, _ in zip(value, budget, strict=False)]
    return {
        key[:MAX_NAME]: _brief(item, budget, depth - 1) for (key, item), _ in zip(value.items(), budget, strict=False)
    }


def _may_hold(text: str, key: str) -> bool:
    """Whether a JSON text may hold the key; a backslash can escape any of its characters."""
    return len(key) >= SHORTEST_KEY and ("\\" in text or hidden(text, key) is not text)


def _clean(value: Any, key: str, depth: int) -> Any:
    if isinstance(value, str):
        return storable(hidden(value, key) if len(key) >= SHORTEST_KEY else value)
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_clean(item, key, depth - 1) for item in value]
    return {_clean(part, key, 1): _clean(item, key, depth - 1) for part, item in value.items()}
