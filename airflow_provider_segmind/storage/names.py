"""Names of stored files, from a template of known fields whose values cannot leave the destination."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from airflow_provider_segmind.api.errors import InvalidRequestError

FIELDS = ("request_id", "row", "index", "keyname", "id", "ds", "ts_nodash", "run_id", "dag_id", "task_id")
MAX_VALUE = 100

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]+")


def check_name(name: str) -> None:
    """Raise if a template has unknown fields or leaves its destination."""
    try:
        parts = list(Formatter().parse(name))
    except ValueError as error:
        raise InvalidRequestError(f"name {name!r} cannot be read as a template: {error}.") from None
    for _, field, spec, conversion in parts:
        if field is not None and (field not in FIELDS or spec or conversion):
            raise InvalidRequestError(
                f"name {name!r} has the unknown field {{{field}}}; known are "
                f"{', '.join('{' + known + '}' for known in FIELDS)}."
            )
    if any(part.strip() in ("", ".", "..") for part in name.split("/")):
        raise InvalidRequestError(
            f"name {name!r} is empty, absolute, or has an empty, '.' or '..' part: give a path below the destination."
        )


def name_of(name: str, values: Mapping[str, Any]) -> str:
    """Fill a checked template; each value becomes safe for a path: no ``/``, no leading dot, at most 100 characters."""
    fields = {field for _, field, _, _ in Formatter().parse(name) if field is not None}
    return name.format(**{field: _safe(name, field, values.get(field)) for field in fields})


def _safe(name: str, field: str, value: Any) -> str:
    text = "" if value is None else _UNSAFE.sub("-", str(value)).lstrip(".")[:MAX_VALUE]
    if not text:
        raise InvalidRequestError(
            f"name {name!r} uses {{{field}}}, which is {value!r} here: use another field, such as {{request_id}}."
        )
    return text
