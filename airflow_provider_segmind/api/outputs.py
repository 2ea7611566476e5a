"""Read what a job made, and why one failed, in every shape that the service is known to send."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_segmind.api.models import Output


def read_outputs(output: object) -> tuple[Output, ...]:
    """
    Read the ``output`` of a completed job: a JSON string as documented, or a list that is parsed already.

    :raises ValueError: when it is neither; the message says what is wrong with it.
    """
    if isinstance(output, str):
        try:
            output = json.loads(output)
        except (ValueError, RecursionError):
            raise ValueError("it is no JSON") from None
    if isinstance(output, dict):
        output = [output]
    if not isinstance(output, list) or not output:
        raise ValueError("it is no list of outputs")
    return tuple(part for index, item in enumerate(output) for part in _read_item(item, index))


def _read_item(item: object, index: int) -> Iterator[Output]:
    if not isinstance(item, dict):
        raise ValueError(f"entry {index} is no object")
    keyname = str(item.get("keyname") or f"output_{index}")
    value = item.get("value")
    kind = ""
    if isinstance(value, dict):
        kind = str(value.get("type") or "")
        value = value.get("data")
    for data in value if isinstance(value, list) else [value]:
        if not isinstance(data, str) or not data:
            raise ValueError(f"entry {index} ({keyname}) has no data")
        yield Output(keyname=keyname, type=kind, url=data)


def failure_text(body: Mapping[str, Any]) -> str:
    """Return the service's words about a failure, from ``error`` and ``error_message`` in all their shapes."""
    parts: list[str] = []
    for name in ("error", "error_message"):
        for text in _texts(body.get(name)):
            if text not in parts:
                parts.append(text)
    return "; ".join(parts)


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
            yield json.dumps(value, sort_keys=True, default=str)
