"""Read what the function of a decorated task returned, and refuse orders that conflict with an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.uris import quoted
from airflow_provider_segmind.api.workflows import BODY_SWAP_IMAGES, SWAP_FIELDS
from airflow_provider_segmind.orders.store import OrderStore

Swap = Mapping[str, Any]


def read_returned(returned: object) -> Swap | list[Swap]:
    """Return the inputs of one swap, or a list of them, which the batch checks later."""
    if isinstance(returned, Mapping):
        return _one(returned)
    if isinstance(returned, (list, tuple)):
        return list(returned)
    raise InvalidRequestError(
        f"The function of a @task.body_swap returned {quoted(returned, most=200)}: let it return a dict "
        f"with {', '.join(BODY_SWAP_IMAGES)}, or a list of such dicts. Nothing was ordered now."
    )


def _one(returned: Swap) -> Swap:
    unknown = sorted(str(name) for name in returned if name not in SWAP_FIELDS)
    if unknown:
        raise InvalidRequestError(
            f"The function of a @task.body_swap returned {', '.join(unknown)}, which no swap has: known are "
            f"{', '.join(SWAP_FIELDS)}. Nothing was ordered now."
        )
    missing = [name for name in BODY_SWAP_IMAGES if not returned.get(name)]
    if missing:
        raise InvalidRequestError(
            f"The function of a @task.body_swap returned no {' and no '.join(missing)}, for which Segmind would take "
            "its own sample picture and bill. Nothing was ordered now."
        )
    return returned


def check_kind(context: Context, *, many: bool) -> None:
    """Raise if an earlier attempt ordered the other kind: one swap instead of a list, or a list instead of one swap."""
    # Each kind has its own record, so neither would see the paid orders of the other.
    max_tries = int(getattr(context["ti"], "max_tries", 0))
    if many:
        record = OrderStore(context).load()
        if record is not None and record.max_tries == max_tries and not record.failed:
            raise _changed("one swap", f"request {record.request_id or 'unknown'}", "a list")
        return
    header, entries = OrderStore(context).load_batch()
    if header is not None and header.max_tries == max_tries and entries:
        raise _changed("a list", f"{len(entries)} of its {header.count} swaps", "one swap")


def _changed(before: str, ordered: str, now: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The function of this @task.body_swap returned {before} to an earlier attempt, which ordered {ordered}, and "
        f"now {now}. This retry orders nothing. Let it return the same in each attempt. Clearing the task "
        "orders what it returns now, at the price of that."
    )
