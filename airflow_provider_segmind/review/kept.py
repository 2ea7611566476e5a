"""The verdicts of an attempt that has ended: before the next one Airflow deletes what the task has said."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.batch.files import Row

log = logging.getLogger(__name__)

KEY = "segmind_verdicts"
"""Key under which a task's store keeps the verdicts, and of which pictures they are."""


def verdicts_on(context: Context, rows: Iterable[Row]) -> dict[str, Any]:
    """Return the verdicts of an earlier attempt, if it asked about the same pictures."""
    store: Any = context.get("task_state_store")
    if store is None:  # Airflow 3.1 and 3.2
        return {}
    pictures = hashlib.sha256(json.dumps([row["uri"] for row in rows]).encode()).hexdigest()
    known = store.get(KEY) or {}
    verdicts: dict[str, Any] = known["verdicts"] if known.get("pictures") == pictures else {}
    store.set(KEY, {"pictures": pictures, "verdicts": verdicts})
    if verdicts:
        log.info("%d verdicts of an earlier attempt stand, until somebody changes them.", len(verdicts))
    return verdicts


def keep(context: Context, verdicts: Mapping[str, Any]) -> None:
    """Keep the verdicts for a next attempt; the one that ends now has them anyway."""
    store: Any = context.get("task_state_store")
    try:
        if store is not None:
            store.set(KEY, {**(store.get(KEY) or {}), "verdicts": verdicts})
    except Exception:
        log.warning("The verdicts are not kept for another attempt; this one has them.", exc_info=True)
