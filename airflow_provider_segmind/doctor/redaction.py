"""Keep of an answer only what is known to be harmless, for public bug reports; the rest becomes its kind. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.wire import Response
from airflow_provider_segmind.emulator.like import JSON, LIMIT, PAGE, TEXT

_MOST = 40  # names in an object
_DEEPEST = 8
_LARGE = 8000  # characters of an answer
_CODES = frozenset(("status", "model_status", "state", "type", "keyname", "code", "model"))
_SENTENCES = frozenset(("message", "error", "error_message", "detail", "details", "reason"))
_NUMBERS = frozenset(("latency_ms", "credits_deduction", "code", "page", "per_page"))
_PLAIN = r"[a-z]{1,16}(?:[A-Z][a-z]{1,15}|[_-][a-z]{1,16}|_?\d{1,2}(?![a-z\d])){0,6}"
_NAME = re.compile(rf"{_PLAIN}|[A-Z]{{1,12}}(?:_[A-Z]{{1,12}}){{0,3}}")
"""Names as programmers give them; what mixes letters and digits may be a token, and two capitals a person."""
_CODE = re.compile(
    rf"{_PLAIN}|[A-Z]{{1,16}}(?:[_ -][A-Z]{{1,16}}){{0,2}}|[A-Z][a-z]{{1,15}}(?: [a-z]{{1,15}})?|image/[a-z+]{{1,10}}"
)
_SIGNED = re.compile(r"X-(?:Amz|Goog|Ms)-[A-Z][a-z]{1,12}(?:-[A-Z][a-z]{1,7})?|Expires|Signature|Policy|Key-Pair-Id")
"""Names in the query of a signed URL."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]{5,18}(?:Z|[+-]\d\d:?\d\d)?")
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT")
_LIMIT_PARTS = re.compile(
    r"x|rate|(?:rate)?limit|remaining|reset|used|at|utc|after|policy|requests|minute|second|hour|day"
)
"""What the names of header fields are made of whose values are numbers of a limit, and not of a user."""
_LIMITS = re.compile(r"\d{1,13}(?:[,;]\s?(?:w=)?\d{1,6}){0,4}")
_MEDIA_TYPE = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,40}(?:; ?charset=[\w-]{1,20})?", re.IGNORECASE)
_PATHS = frozenset(("workflows", "request", "requests", "assets", "outputs", "upload-asset", "get-user-credits"))
_PATHS |= {"v1", "v2", "inference-request", "request-history", "samples"}
_FILE = re.compile(r"\.(?:png|jpe?g|webp|gif|avif)\Z")
_LABEL = re.compile(r"[a-z]{1,12}|s3|workflows-api|segmind[a-z-]{1,30}")
_DOMAIN = re.compile(r"(?!(?:\D*\d){3})[a-z0-9-]{1,40}")
_ADDRESS = re.compile(r"[\d.]{7,15}|\[[0-9a-f:]{2,39}\]")
_WORD = re.compile(r"[A-Z]?[a-z']{1,14}|[45]\d\d|[-/]")
"""A plain word, or an HTTP code: other numbers may be a balance, or parts of a longer one."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEPT = _words(
    "Authorization Bearer x-api-key Content-Type HTTP JSON API URL URLs ID UTC Retry-After Bad Gateway Timeout "
    "Time-out Not Found Allowed Service Unavailable Forbidden Too Many Requests Internal Server Error Under "
    "Maintenance Request Workflow select_character character_image reference_character_image <request>"
)
_SECRET = _words("key token password secret passwd user account name email team owner")
_BEFORE_CODE = _words("HTTP code status error")
_GUARDED = 6
"""Words after one of these that are left out, beside harmless ones."""
_HARMLESS = _words(
    "is was not or and in missing invalid wrong expired for header has been required must does cannot credits to of "
    "the your an a with no found unauthorized insufficient please"
)


def _bounded(value: Any) -> Any:
    """Return a value, of an object only the small parts if it is large: a cassette has hundreds of answers."""
    if len(json.dumps(value)) <= _LARGE:
        return value
    if not isinstance(value, dict):
        return "<large>"
    return {name: part if len(json.dumps(part)) <= _LARGE / 20 else "<large>" for name, part in value.items()}


class Redactor:
    """Replaces what could be a secret; the connection's own ``hosts`` are shown as they are."""

    def __init__(self, key: str, known: Mapping[str, str], hosts: Collection[str] = ()) -> None:
        self.known = known  # texts of this run, such as the order's id, and what stands for each
        self._key, self._hosts = key, hosts

    def _host(self, host: str) -> str:
        """Return a host without labels that may name a customer, or be a secret."""
        if host in self._hosts or _ADDRESS.fullmatch(host) or host in ("", "localhost"):
            return host
        labels = host.split(".")
        kept = (_LABEL if place < len(labels) - 2 else _DOMAIN for place in range(len(labels)))
        return ".".join(one if form.fullmatch(one) else "<label>" for one, form in zip(labels, kept, strict=True))

    def headers(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the header fields that say something about the service."""
        kept = {name: self._header(name, value) for name, value in fields.items()}
        return {name: value for name, value in kept.items() if value is not None}

    def _header(self, name: str, value: str) -> str | None:
        if name == "location":
            return self.url(value)
        if name == "content-type":
            return value if _MEDIA_TYPE.fullmatch(value) else "<text>"
        is_limit = bool(LIMIT.search(name) and _NAME.fullmatch(name))
        if not is_limit and name not in ("date", "retry-after"):
            return None
        told = not is_limit or all(map(_LIMIT_PARTS.fullmatch, name.split("-")))
        return value if told and any(form.fullmatch(value) for form in (_LIMITS, _DATE, _TIME)) else "<text>"

    def body(self, response: Response, own: str = "", rows: bool = False) -> Any:
        """Return what is harmless of a body; of a history (``rows``) only the row of the order ``own`` keeps values."""
        if answers.is_page(response):
            return {PAGE: self.sentence(answers.words_of(response, self._key)), "bytes": len(response.body)}
        try:
            value = answers.read_json(response.body, self._key, most=50_000)
        except ValueError:
            words = answers.words_of(response, self._key) if response.body else ""
            return {TEXT: self.sentence(words), "bytes": len(response.body)} if response.body else None
        return _bounded(self._history(value, own) if rows else self.value(value))

    def _history(self, value: Any, own: str) -> Any:
        if isinstance(value, list):
            mine = [row for row in value if isinstance(row, dict) and own and str(row.get("request_id")) == own]
            others = [row for row in value if isinstance(row, dict) and row not in mine]
            return [self.value(row) for row in mine[:2]] + [self._shape(row) for row in others[:1]]
        if isinstance(value, dict):
            parts = {name: self._history(part, own) for name, part in value.items() if isinstance(part, list | dict)}
            rest = self.value({**value, **dict.fromkeys(parts)})
            return {**rest, **{self._name(name): part for name, part in list(parts.items())[:_MOST]}}
        return self.value(value)

    def _shape(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names of another request, and nothing that it says."""
        kinds = {str: "<text>", dict: "<object>", list: "<list>", type(None): None}
        return {self._name(name): kinds.get(type(value), "<number>") for name, value in list(row.items())[:_MOST]}

    def value(self, value: Any, name: str = "", depth: int = _DEEPEST) -> Any:
        """Return a JSON value without what could be a secret; ``name``: of the field that has it."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return value if name in _NUMBERS and abs(value) < 1e9 else "<number>"
        if isinstance(value, str):
            return self._text(value, name, depth)
        if not depth:
            return "<deep>"
        if isinstance(value, list):
            more = [f"<{len(value) - 3} more>"] if len(value) > 3 else []
            return [self.value(one, name, depth - 1) for one in value[:3]] + more
        return {self._name(key): self.value(part, key, depth - 1) for key, part in list(value.items())[:_MOST]}

    def _name(self, name: str) -> str:
        harmless = _NAME.fullmatch(name) and self._key not in name
        return name if harmless else self.known.get(name, "<name>")

    def _text(self, text: str, name: str, depth: int) -> Any:
        if text in self.known or not text:
            return self.known.get(text, "")
        if text[0] in "[{" and depth:
            try:
                return {JSON: self.value(answers.read_json(text, self._key), name, depth - 1)}
            except ValueError:
                return f"<text, {len(text)} characters>"
        if text.startswith(("http://", "https://")):
            return self.url(text)
        if (name in _CODES and _CODE.fullmatch(text)) or _TIME.fullmatch(text):
            return text
        return self.sentence(text) if name in _SENTENCES else f"<text, {len(text)} characters>"

    def url(self, url: str) -> str:
        """Return scheme, host and the shape of path and query of a URL."""
        try:
            parts = urlsplit(url)
            name = parts.hostname or ""
            host = self._host(f"[{name}]" if ":" in name else name) + (f":{parts.port}" if parts.port else "")
            pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return "<URL>"
        path = "/".join(self._segment(one) for one in parts.path.split("/"))
        # What has no value may be one.
        names = [
            (name if _SIGNED.fullmatch(name) else self._name(name)) if value else "<value>" for name, value in pairs
        ]
        query = "&".join(f"{name}=…" for name in names)
        scheme = f"{parts.scheme}://" if parts.scheme in ("http", "https") else "//" if parts.netloc else ""
        return f"{scheme}{host}{path}{f'?{query}' if parts.query else ''}{'#…' if parts.fragment else ''}"

    def _segment(self, one: str) -> str:
        if one in _PATHS or not one or one in self.known:
            return self.known.get(one, one)
        ending = _FILE.search(one)
        return f"<{len(one)}>{ending.group() if ending else ''}"

    def sentence(self, text: str) -> str:
        """Return the plain words of a text; names, ids and what follows the word key are left out."""
        for known, instead in self.known.items():
            text = text.replace(known, instead)
        kept: list[str] = []
        guarded, begins = 0, True
        for token in answers.hidden(text, self._key)[:2000].split()[:60]:
            word = token.strip(".,;:!?()'\"")
            plain = word in _KEPT or bool(_WORD.fullmatch(word) and (begins or not word[:1].isupper()))
            if guarded and word.lower() not in _HARMLESS and word not in _KEPT:
                plain = False
            if word.isdigit() and kept and kept[-1] not in _BEFORE_CODE:
                plain = False
            kept += [token if plain and set(token) <= set(word) | set(".,;:!?()'\"") else "…"]
            guarded -= guarded > 0 and word.lower() not in _HARMLESS
            guarded = _GUARDED if word.lower() in _SECRET else guarded
            begins = token.endswith((".", "!", "?"))
        return re.sub(r"…(?: …)+", "…", " ".join(kept))[: answers.MAX_WORDS]
