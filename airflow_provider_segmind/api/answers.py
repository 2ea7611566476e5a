"""
The one way in for what an answer says.

An answer is data from outside: Segmind's, or that of a proxy in between. What passes here is bounded in size, depth and
work, does not contain the API key, and can be stored by each database that Airflow runs on: PostgreSQL's JSON takes
neither a NUL nor half of a surrogate pair, and a triggerer whose event is refused ends with all its other waits.
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
"""Levels of nesting in an answer; real ones have five."""
MAX_PARTS = 50_000
"""Values in an answer, roughly: reading more would hold the event loop of all waits for too long."""
MAX_NAME = 200
"""Characters of an id, a status or another name; real ones have up to 40."""
MAX_URL = 2048
"""Characters of a poll URL or of an uploaded file's URL."""
MAX_WORDS = 500
"""Characters of the service's words in a message."""
SHORTEST_KEY = 8
"""Characters from which a key is taken out of URLs, too; a shorter one would be found in many of them by chance."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Control characters forge log lines; marks of direction make a line read as something else.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
_TAG = re.compile(r"<(script|style)\b.{0,2000}?</\1>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
# NaN and Infinity are no JSON, and databases refuse them. The work on a number grows faster than its digits.
_DECODER = json.JSONDecoder(
    parse_constant=str, parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits)
)


def read_json(body: bytes | str, key: str) -> Any:
    """
    Return the value of a JSON text, with every text in it storable and without the key.

    :param body: a body, or a text inside one that is JSON itself.
    :param key: the API key, should the service have echoed it.
    :raises ValueError: when it is no JSON, or is too deep or too long to be an answer of Segmind.
    """
    text = unpacked(body).decode("utf-8-sig") if isinstance(body, bytes) else body
    containers = text.count("[") + text.count("{")
    if containers + text.count(",") + text.count('"') // 2 > MAX_PARTS:
        raise ValueError("it has too many parts")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # Most answers are small and plain: nothing in them needs a look.
    if containers <= MAX_DEPTH and "\\u" not in text and not _may_hold(text, key):
        return value
    return _clean(value, key, MAX_DEPTH)


def unpacked(body: bytes) -> bytes:
    """
    Return a body that was compressed as it was before; no client asks for compression, yet some proxies do it.

    :raises ValueError: when it cannot be unpacked, or is too large then.
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
    """Return a text as one line of at most so many characters, without those that no log should have."""
    # Cut first: the work must not depend on what was sent. Blanks may shrink, so keep more than the limit.
    shown = " ".join(_UNSHOWABLE.sub(" ", text[: 4 * limit]).split())
    return shown if len(shown) <= limit and len(text) <= 4 * limit else f"{shown[: limit - 1]}…"


def storable(text: str) -> str:
    """Return a text with each character replaced that a database cannot hold; line breaks stay."""
    return _UNSTORABLE.sub("\ufffd", text)


def name(value: object, default: str = "") -> str:
    """Return a name of the service, such as an id or a status, as one short line."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return (line(value) if isinstance(value, str) else "") or default


def id_in(poll_url: str) -> str:
    """Return the job's id, with which its poll URL ends."""
    return line(poll_url.rstrip("/").rpartition("/")[2])


def hidden(text: str, key: str) -> str:
    """Return a text without the key, in each of the forms that it has in URLs and messages."""
    for form in _forms(key):
        if form in text:
            text = text.replace(form, "***")
    return text


@lru_cache(maxsize=8)
def _forms(key: str) -> frozenset[str]:
    """Return the key as it stands in messages and in URLs; each answer is searched for them."""
    return frozenset((key, quote(key, safe="")))


def words_of(response: Response, key: str) -> str:
    """Return the beginning of a body that is no JSON, as one line without tags: a page of a proxy, for example."""
    try:
        body = unpacked(response.body[:MAX_BODY])[:4096]
    except ValueError as error:
        return f"(a body that cannot be read: {error})"
    text = body.decode("utf-8", "replace")
    if len(_UNSHOWABLE.findall(text)) + text.count("\ufffd") > len(text) / 4 + 8:
        return f"(binary data, {len(response.body)} bytes)"
    return line(hidden(_TAG.sub(" ", text), key), MAX_WORDS)


def is_page(response: Response) -> bool:
    """Whether an answer is a web page: Segmind's API sends none, but a firewall, a proxy or a login wall does."""
    return response.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or response.headers.get(
        "content-type", ""
    ).lower().startswith("text/html")


def brief(value: Any) -> Any:
    """Return the beginning of a JSON value, small whatever its size: for messages that quote it."""
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
    """Whether the key may be in a JSON text; a backslash can write each of its characters in another way."""
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
