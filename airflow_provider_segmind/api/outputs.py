"""Read a job's outputs, or its failure, in every known shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_segmind.api import answers
from airflow_provider_segmind.api.models import Output

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")
MAX_OUTPUT_URL = 16 * 1024
"""Longest URL of a result in characters; signed ones have up to 2,000."""


def read_outputs(output: object, key: str) -> tuple[Output, ...]:
    """
    Read the ``output`` of a completed job: a JSON string as documented, or a parsed list.

    :raises ValueError: if it is neither; the message says what is wrong.
    """
    if isinstance(output, str):
        try:
            output = answers.read_json(output, key)
        except ValueError:
            raise ValueError("it is no JSON") from None
    if isinstance(output, dict):
        output = [output]
    if not isinstance(output, list) or not output:
        raise ValueError("it is no list of outputs")
    return tuple(part for index, item in enumerate(output) for part in _read_item(item, index))


def _read_item(item: object, index: int) -> Iterator[Output]:
    if not isinstance(item, dict):
        raise ValueError(f"entry {index} is no object")
    keyname = answers.name(item.get("keyname"), f"output_{index}")
    value = item.get("value")
    kind = ""
    if isinstance(value, dict):
        kind = answers.name(value.get("type"))
        value = value.get("data")
    for data in value if isinstance(value, list) else [value]:
        if not isinstance(data, str) or not data:
            raise ValueError(f"entry {index} ({keyname}) has no data")
        yield _in_one_line(Output(keyname=keyname, type=kind, url=data))


def _in_one_line(output: Output) -> Output:
    """Clean a URL for messages, logs and pages; a text keeps its line breaks."""
    is_url = output.url.lstrip()[:8].lower().startswith(("http://", "https://"))
    if not is_url and not is_image(output):
        return output
    return replace(output, url=answers.line(output.url, MAX_OUTPUT_URL if is_url else len(output.url)))


def is_image(output: Output) -> bool:
    """Whether an output is a picture, by its type, or without a type by its name."""
    if output.type:
        return output.type.lower().startswith("image")
    return output.url.partition("?")[0].partition("#")[0].lower().endswith(_SUFFIXES)


def failure_text(body: Mapping[str, Any]) -> str:
    """Return the service's words about a failure, from ``error`` and ``error_message`` in every known shape."""
    texts = _texts([answers.brief(body.get(name)) for name in ("error", "error_message")])
    return "; ".join(dict.fromkeys(texts))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        words = next(iter(_texts([value.get(k) for k in ("error", "message", "detail", "error_message")])), "")
        model = value.get("model")
        if words:
            yield f"{model}: {words}" if isinstance(model, str) and model else words
        elif value:
            yield json.dumps(value, sort_keys=True, ensure_ascii=False)
